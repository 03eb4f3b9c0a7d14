"""The store's benchmark: its record is one that passes, and its slope is the least squares'."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.events import RiskDecision, RunEnded, RunStarted
from services.lab.bench.store.record import BUSY, QUOTED, events_of, published
from services.lab.bench.store.writer import slope
from services.proof.verification.reexecution import reexecute
from tests.recorded import published as as_on_the_bus

pytestmark = pytest.mark.unit


def test_the_record_has_a_run_for_each_plan_and_re_executes() -> None:
    events = list(events_of((BUSY, QUOTED), 8_000))

    assert [type(e) for e in events if isinstance(e, RunStarted | RunEnded)] == [
        *(RunStarted, RunEnded, RunStarted, RunEnded),
    ]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert sum(isinstance(event, RiskDecision) for event in events) > 50
    found = reexecute(map(published, events))
    assert found.comparison.divergences == 0


def test_events_look_as_the_bus_publishes_them() -> None:
    for event in events_of((BUSY,), 50):
        assert published(event) == as_on_the_bus(event)


@given(
    st.lists(st.integers(0, 10_000), min_size=2, max_size=30, unique=True),
    st.integers(-1000, 1000),
    st.integers(-1000, 1000),
)
def test_points_on_a_line_have_its_slope(times: list[int], rise: int, start: int) -> None:
    points = [(float(at), float(start + rise * at)) for at in times]
    assert slope(points) == pytest.approx(rise, abs=1e-6)


def test_no_line_goes_through_one_point() -> None:
    assert slope([(1.0, 5.0)]) == slope([]) == slope([(1.0, 5.0), (1.0, 9.0)]) == 0.0
