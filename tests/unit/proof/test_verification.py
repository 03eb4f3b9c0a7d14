"""Re-execution: equal bytes on an honest record, and every dishonest one is named."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec
import pytest

from services.kernel.events import (
    AnyEvent,
    Clock,
    Event,
    MarketData,
    Order,
    RiskDecision,
    RunEnded,
    RunStarted,
    Signal,
)
from services.kernel.execution.stage import ExecutionStage
from services.kernel.portfolio.stage import PortfolioStage
from services.kernel.risk.stage import RiskStage
from services.kernel.strategies.stage import SignalStage
from services.proof.verification import report
from services.proof.verification.comparison import Kind
from services.proof.verification.reexecution import (
    Hole,
    Reexecuted,
    Window,
    reexecute,
    reexecute_in_kernel,
)
from services.record.reading import RecordError, split_position
from tests.builders import recovered
from tests.recorded import lively_events, published, record_of, renumbered

pytestmark = pytest.mark.unit


def again(events: Sequence[AnyEvent], **options: object) -> Reexecuted:
    return reexecute([published(event) for event in events], **options)  # type: ignore[arg-type]


def first_of(events: Sequence[AnyEvent], kind: type[Event], number: int = 0) -> int:
    return [i for i, event in enumerate(events) if isinstance(event, kind)][number]


@pytest.mark.parametrize("seed", range(5))
def test_an_honest_record_re_executes_to_the_same_bytes(seed: int) -> None:
    events = lively_events(seed)
    found = again(events)
    assert found.comparison.divergences == 0
    assert found.events == len(events)
    assert sum(found.comparison.compared.values()) > 50
    assert set(found.comparison.compared) == {
        "cdb_execution",
        "cdb_risk",
        "cdb_core",
        "cdb_paper_runner",
    }


def test_the_kernel_in_one_process_decides_the_same() -> None:
    events = lively_events(2)
    found = reexecute_in_kernel(published(event) for event in events)
    assert found.comparison.divergences == 0
    assert found.comparison.compared == again(events).comparison.compared


def test_a_changed_decision_is_named_with_its_field_and_its_cause() -> None:
    events = lively_events()
    index = first_of(events, RiskDecision, 3)
    decision = events[index]
    assert isinstance(decision, RiskDecision)
    events[index] = msgspec.structs.replace(decision, quantity=Decimal("999"))

    found = again(events)
    record = record_of(events)

    first = found.comparison.first
    assert first is not None
    assert (first.kind, first.stage, first.seq) == (Kind.DIFFERS, "cdb_risk", decision.seq)
    reported = report.to_json(found, record, record.whole())["first_divergence"]
    assert reported["fields"] == ["quantity"]
    assert reported["recorded"]["quantity"] == "999"
    assert reported["reexecuted"]["quantity"] == str(decision.quantity)
    assert reported["differences"] == [
        {"field": "quantity", "recorded": "999", "reexecuted": str(decision.quantity)}
    ]
    assert reported["cause"]["event_id"] == decision.causation_id
    assert reported["cause"]["seq"] < decision.seq


def test_a_removed_output_is_missing_in_the_record() -> None:
    events = lively_events()
    gone = events.pop(first_of(events, RiskDecision, 1))
    first = again(events).comparison.first
    assert first is not None
    assert (first.kind, first.event_id) == (Kind.NOT_RECORDED, gone.event_id)


@pytest.mark.parametrize("kind", [Clock, MarketData, RiskDecision])
def test_an_event_that_is_missing_from_its_topic_is_named(kind: type[Event]) -> None:
    events = lively_events()
    index = first_of(events, kind, 1)
    gone = events.pop(index)
    following = next(event for event in events[index:] if event.TOPIC == gone.TOPIC)

    found = again(events)

    assert found.missing == 1
    hole = Hole(gone.TOPIC, gone.topic_seq, gone.topic_seq, following.seq)
    assert found.first_hole == hole
    reported = report.to_json(found, record_of(events), record_of(events).whole())
    assert (reported["missing"], reported["first_missing"]) == (1, msgspec.to_builtins(hole))


def test_holes_are_counted_and_the_first_is_reported() -> None:
    events = lively_events()
    ticks = [event for event in events if isinstance(event, MarketData)]
    gone = {event.event_id for event in (ticks[5], ticks[6], ticks[9])}
    found = again([event for event in events if event.event_id not in gone])
    assert found.missing == 3
    assert found.first_hole is not None
    assert (found.first_hole.first, found.first_hole.last) == (
        ticks[5].topic_seq,
        ticks[6].topic_seq,
    )
    assert (found + again(lively_events())).missing == 3


def test_what_comes_before_the_first_of_a_topic_is_missing_only_from_the_beginning() -> None:
    events = lively_events()
    gone = events.pop(first_of(events, Signal))
    assert again(events).missing == 0
    found = again(events, from_beginning=True)
    assert (found.missing, found.first_hole and found.first_hole.topic) == (1, gone.TOPIC)
    assert again(lively_events(), from_beginning=True).missing == 0


def test_what_is_recorded_as_lost_is_no_hole() -> None:
    events = lively_events()
    middle = len(events) // 2
    lost = msgspec.structs.replace(
        recovered(), seq=events[middle].seq, topic_seq=1, run_id=events[0].run_id
    )
    found = again([*events[:middle], lost, *events[middle + 5 :]])
    assert found.missing == 0


def test_a_forged_output_was_never_made() -> None:
    events = lively_events()
    index = next(i for i, e in enumerate(events) if isinstance(e, Signal) and e.causation_id)
    signal = events[index]
    forged = msgspec.structs.replace(signal, event_id="f" * 32, signal_id="f" * 32)
    events.insert(index + 1, forged)
    kinds = again(renumbered(events)).comparison
    assert kinds.divergences >= 1
    assert kinds.first is not None
    assert kinds.first.kind is Kind.NOT_MADE
    assert kinds.first.event_id == "f" * 32


class MoreBoldRisk(RiskStage):
    """As other code would decide: every entry a lot larger."""

    def handle(self, event: Event) -> list[Event]:
        return [
            msgspec.structs.replace(made, quantity=made.quantity * 2)
            if isinstance(made, Order) and not made.reduce_only
            else made
            for made in super().handle(event)
        ]


def test_other_code_diverges() -> None:
    stages = (ExecutionStage(), MoreBoldRisk(), SignalStage(), PortfolioStage())
    found = again(lively_events(), stages=stages)
    assert found.comparison.divergences > 0
    assert found.comparison.first is not None
    assert found.comparison.first.stage == "cdb_risk"


def test_a_run_in_progress_is_verified_up_to_its_last_complete_point() -> None:
    events = lively_events()
    cut = first_of(events, Signal, 2) + 1  # its decision is not published yet
    found = again(events[:cut])
    assert found.comparison.divergences == 0
    assert found.pending > 0


def test_a_finished_run_may_leave_nothing_out() -> None:
    events = lively_events()
    answers = [e for e in events[first_of(events, RunEnded) + 1 :] if e.causation_id is not None]
    assert answers, "the stages answer to the end of a run"
    found = again(events[: first_of(events, RunEnded) + 1])
    assert found.pending == 0
    assert found.comparison.divergences == len(answers)


def test_outputs_in_a_part_that_is_recorded_as_lost_are_excused_and_counted() -> None:
    events = lively_events()
    cut = first_of(events, Signal, 2) + 1
    lost = [*events[:cut], recovered()]
    found = again(renumbered(lost))  # type: ignore[arg-type]
    assert found.comparison.excused > 0


def test_outputs_made_again_behind_a_loss_are_compared() -> None:
    events = lively_events()
    signal = first_of(events, Signal, 2)
    answers = [e for e in events[signal:] if e.causation_id == events[signal].event_id]
    lost = [*events[: signal + 1], recovered()]
    without = again(renumbered(lost)).comparison  # type: ignore[arg-type]
    found = again(renumbered([*lost, *answers])).comparison  # type: ignore[arg-type]
    assert found.divergences == 0
    assert found.excused == without.excused - len(answers)
    forged = msgspec.structs.replace(answers[0], equity=Decimal(1))
    reported = again(renumbered([*lost, forged])).comparison.first  # type: ignore[arg-type, list-item]
    assert reported is not None
    assert (reported.kind, reported.event_id) == (Kind.DIFFERS, forged.event_id)


def test_only_the_window_is_compared() -> None:
    events = lively_events()
    decisions = [event for event in events if isinstance(event, RiskDecision)]
    middle = decisions[len(decisions) // 2].timestamp
    changed = first_of(events, RiskDecision)
    assert events[changed].timestamp < middle
    events[changed] = msgspec.structs.replace(events[changed], equity=Decimal(1))
    assert again(events).comparison.divergences == 1
    late = again(events, window=Window(since=middle))
    assert late.comparison.divergences == 0
    assert 0 < sum(late.comparison.compared.values()) < len(events)


def test_re_execution_stops_behind_the_window() -> None:
    events = lively_events()
    clocks = [event for event in events if isinstance(event, Clock)]
    middle = clocks[len(clocks) // 2].timestamp
    found = again(events, window=Window(until=middle))
    assert found.comparison.divergences == 0
    assert 0 < found.events < len(events)


def test_parts_are_re_executed_by_themselves_and_reported_together() -> None:
    one, two = lively_events(3), lively_events(4)
    two[first_of(two, RiskDecision)] = msgspec.structs.replace(
        two[first_of(two, RiskDecision)], equity=Decimal(1)
    )
    events = renumbered([*one, *two])
    first, second = again(events[: len(one)]), again(events[len(one) :])
    both = first + second
    assert both.events == len(events)
    assert both.last_seq == len(events)
    assert both.comparison.compared == first.comparison.compared + second.comparison.compared
    assert (first.comparison.divergences, both.comparison.divergences) == (0, 1)
    assert both.comparison.first is second.comparison.first


def test_a_window_that_ends_behind_a_finished_run_leaves_nothing_out() -> None:
    events = lively_events()
    end = max(event.timestamp for event in events if isinstance(event, Clock))
    answers = [e for e in events[first_of(events, RunEnded) + 1 :] if e.causation_id is not None]
    cut = events[: first_of(events, RunEnded) + 1]
    found = again(cut, window=Window(until=end))
    assert (found.pending, found.comparison.divergences) == (0, len(answers))


def test_a_pair_of_ticks_that_was_swapped_is_named_though_every_decision_is_the_same() -> None:
    events = lively_events()
    early, late = (first_of(events, Clock, number) for number in (3, 4))
    events[early], events[late] = events[late], events[early]
    found = again(events)
    first = found.comparison.first
    assert first is not None
    assert (first.kind, first.seq) == (Kind.MISPLACED, events[early + 1].seq)
    assert first.behind == events[early].seq


def test_a_record_may_begin_with_any_run() -> None:
    first = lively_events(3)
    second = [
        event for event in lively_events(4) if not isinstance(event, RunStarted) or event.run_id
    ]
    found = again(renumbered([*first, *second]))
    alone = again(renumbered(second))
    assert found.comparison.divergences == 0
    assert alone.comparison.divergences == 0


def test_what_is_no_event_is_reported() -> None:
    with pytest.raises(RecordError, match="cannot be read"):
        reexecute([b'{"type":"nonsense"}'])


def test_the_place_is_split_from_what_was_handed_over() -> None:
    event = lively_events()[5]
    text, seq = split_position(published(event))
    assert seq == event.seq
    assert b'"seq"' not in text
    with pytest.raises(RecordError, match="without seq"):
        split_position(b'{"type":"signal"}')
