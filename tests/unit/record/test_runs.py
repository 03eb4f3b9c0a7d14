"""Runs of a record: where each begins and ends, by seq and in the time of its market."""

import msgspec
import pytest

from services.kernel.events import AnyEvent, Clock, Event, RunEnded, RunStarted
from services.record.reading import RecordError, Span
from services.record.runs import RecordedRun, choose_run, runs_of, spans_within
from tests.recorded import lively_events, record_of, renumbered

pytestmark = pytest.mark.unit

TODAY = 1_800_000_000_000
"""When somebody replayed a market of long ago."""


def replayed(seed: int, run_id: str) -> list[AnyEvent]:
    """A run whose start has the time of the person, and all else that of the market."""
    events = [msgspec.structs.replace(e, run_id=run_id) for e in lively_events(seed, 60)]
    return [
        msgspec.structs.replace(e, timestamp=TODAY) if isinstance(e, RunStarted) else e
        for e in events
    ]


def clocks(events: list[AnyEvent]) -> list[int]:
    return [event.timestamp for event in events if isinstance(event, Clock)]


def test_each_run_reaches_to_the_next() -> None:
    first, second = replayed(1, "a" * 32), replayed(2, "b" * 32)
    runs = runs_of(record_of(renumbered([*first, *second])))

    assert [run.run_id[0] for run in runs] == ["a", "b"]
    assert runs[0].span == (0, len(first))
    assert runs[1].span == (len(first), len(first) + len(second))
    assert all(run.ended for run in runs)


def test_a_runs_time_is_its_markets_and_not_that_of_the_person_who_started_it() -> None:
    events = replayed(1, "a" * 32)
    (run,) = runs_of(record_of(events))

    assert run.started_at == TODAY
    assert run.first_at <= clocks(events)[0]
    assert run.last_at >= clocks(events)[-1] - 1000
    assert run.last_at < TODAY


def test_a_run_in_progress_has_no_end() -> None:
    events: list[Event] = [e for e in replayed(1, "a" * 32) if not isinstance(e, RunEnded)]
    (run,) = runs_of(record_of(events))  # type: ignore[arg-type]
    assert not run.ended
    assert run.last_at >= clocks(events)[-1] - 1000  # type: ignore[arg-type]


def test_a_run_that_saw_no_market_has_the_time_of_its_start() -> None:
    (run,) = runs_of(record_of(replayed(1, "a" * 32)[:1]))
    assert (run.first_at, run.last_at) == (TODAY, TODAY)


def test_a_run_is_chosen_by_the_beginning_of_its_id() -> None:
    runs = runs_of(record_of(renumbered([*replayed(1, "abc1"), *replayed(2, "abd2")])))
    assert choose_run(runs, "abc").run_id == "abc1"
    assert choose_run(runs, "last").run_id == "abd2"
    with pytest.raises(RecordError, match="several runs begin with 'ab'"):
        choose_run(runs, "ab")
    with pytest.raises(RecordError, match="no run has the id 'x'; the last ones are abc1"):
        choose_run(runs, "x")


def test_a_record_without_a_run_says_how_to_start_one() -> None:
    with pytest.raises(RecordError, match="claire run-paper"):
        runs_of(record_of(renumbered(replayed(1, "a" * 32)[1:])))


# -- a part by time, where time goes back from run to run -----------------------------------------


def run(number: int, first_at: int, last_at: int) -> RecordedRun:
    span = Span((number - 1) * 100, number * 100)
    return RecordedRun(f"run{number}", span, TODAY, first_at, last_at, "code", True, True)


MAY, APRIL, LATE_MAY = run(1, 500, 600), run(2, 400, 450), run(3, 550, 700)


@pytest.mark.parametrize(
    ("since", "until", "parts"),
    [
        (0, None, [(0, 300)]),
        (460, None, [(0, 100), (200, 300)]),
        (0, 450, [(100, 200)]),
        (0, 600, [(0, 300)]),
        (0, 550, [(0, 100), (100, 300)]),
        (660, None, [(200, 300)]),
        (460, 520, [(0, 100)]),
    ],
)
def test_the_runs_of_a_time_are_found_even_behind_one_of_a_later_market(
    since: int, until: int | None, parts: list[tuple[int, int]]
) -> None:
    assert spans_within([MAY, APRIL, LATE_MAY], since, until) == parts


def test_a_time_without_a_run_is_reported_with_the_times_there_are() -> None:
    with pytest.raises(RecordError, match=r"no run lies in that time; .* 1970-01-01 00:00 UTC to"):
        spans_within([MAY, APRIL], 800, None)
