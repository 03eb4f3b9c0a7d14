"""Which event times an intake accepts."""

import pytest

from services.runtime.intake.event_time import MOST_AHEAD_MS, STALE_MS, Verdict, judge, stale_ms

pytestmark = pytest.mark.unit
NOW = 1_700_000_000_000


@pytest.mark.parametrize(
    ("distance", "verdict"),
    [
        (0, Verdict.IN_TIME),
        (MOST_AHEAD_MS, Verdict.IN_TIME),
        (MOST_AHEAD_MS + 1, Verdict.AHEAD),
        (-10_000, Verdict.IN_TIME),
        (-10_001, Verdict.BEHIND),
    ],
)
def test_a_time_is_accepted_up_to_and_including_its_bounds(distance: int, verdict: Verdict) -> None:
    assert judge(NOW + distance, NOW, behind_ms=10_000) is verdict


def test_the_stale_timeout_is_the_runs() -> None:
    assert stale_ms({"DATA_STALE_TIMEOUT_SEC": "10"}) == 10_000
    assert stale_ms({}) == STALE_MS
