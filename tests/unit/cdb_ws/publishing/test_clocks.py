"""Where the clocks go (contract, 7.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cdb_ws.publishing.clocks import DAY_MS, HOUR_MS, ClockRule

pytestmark = pytest.mark.unit
NOON = 1_700_000_000_000 // DAY_MS * DAY_MS + 12 * HOUR_MS


def stream(*offsets: int, start: int = NOON) -> list[tuple[int, bool]]:
    """Offset of each event, and whether it is a clock."""
    ticks = [(start + offset, "tick") for offset in offsets]
    return [(at - start, what is None) for at, what in ClockRule((8,)).insert(ticks)]


def test_one_clock_before_the_first_tick_of_each_second_that_has_one() -> None:
    assert stream(100, 900, 1500, 4000) == [
        (0, True), (100, False), (900, False), (1000, True), (1500, False),
        (4000, True), (4000, False),
    ]  # fmt: skip


def test_a_silence_has_a_clock_every_fifteen_seconds() -> None:
    assert [at for at, clock in stream(0, 50_200) if clock] == [0, 15_000, 30_000, 45_000, 50_000]


def test_a_silence_that_ends_on_its_fifteenth_second_has_one_clock_there() -> None:
    assert [at for at, clock in stream(0, 15_000) if clock] == [0, 15_000]


def test_midnight_and_funding_times_have_a_clock() -> None:
    before = NOON + 4 * HOUR_MS - 7_000
    assert [at for at, clock in stream(0, 30_000, start=before) if clock] == [
        0, 7_000, 22_000, 30_000,
    ]  # fmt: skip
    rule = ClockRule((4, 8))
    assert rule.next_boundary(NOON) == NOON + 4 * HOUR_MS
    assert ClockRule(()).next_boundary(NOON) == NOON + 12 * HOUR_MS


@given(st.lists(st.integers(0, 200_000), min_size=1, max_size=60), st.integers(0, DAY_MS))
def test_clocks_increase_and_no_tick_comes_before_its_second(gaps: list[int], start: int) -> None:
    times, now = [], NOON + start
    for gap in gaps:
        now += gap
        times.append(now)
    clock, last_clock = -1, None
    for timestamp, tick in ClockRule((8,)).insert((time, "tick") for time in times):
        if tick is None:
            assert last_clock is None or last_clock < timestamp <= last_clock + 15_000
            assert timestamp % 1000 == 0
            last_clock = clock = timestamp
        else:
            assert clock <= timestamp < clock + 1000
