"""The history checker: an honest record passes, and each broken rule is found at its row."""

from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest

from services.kernel.events import (
    AnyEvent,
    MarketData,
    Order,
    OrderResult,
    OrderStatus,
    PortfolioSnapshot,
    RecordHead,
    RiskDecision,
    RunStarted,
    Signal,
    TradingState,
    TradingStateChanged,
    Verdict,
    topics,
)
from services.kernel.reasons import Reason
from services.proof.validation.findings import MEANINGS, Rule
from services.proof.validation.validation import Head, Validated, validate
from tests.builders import envelope, recovered
from tests.recorded import MemoryRecord, lively_events, record_of, renumbered

pytestmark = pytest.mark.unit


def check(record: MemoryRecord) -> Validated:
    return validate(record, record.whole())


def check_events(events: list[AnyEvent]) -> Validated:
    return check(record_of(events))


def index_of(
    events: list[AnyEvent],
    kind: type,
    wanted: Callable[[AnyEvent], bool] = lambda _: True,
) -> int:
    return next(i for i, event in enumerate(events) if isinstance(event, kind) and wanted(event))


@pytest.mark.parametrize("seed", range(6))
def test_an_honest_record_breaks_no_rule(seed: int) -> None:
    found = check_events(lively_events(seed))
    assert found.findings.first == []
    assert found.counts["signals"] > 5
    assert found.counts["fills"] > 2
    assert found.counts["snapshots"] > 1
    assert found.pending == 0


def test_every_rule_has_its_meaning() -> None:
    assert set(MEANINGS) == set(Rule)


def test_a_changed_row_is_named() -> None:
    record = record_of(lively_events())
    index = record.find("risk_decision", 2)
    changed = record.change(index, b'"run_id":"', b'"run_id":"x')
    found = check(record).findings
    assert (found.first[0].rule, found.first[0].seq) == (Rule.CHAIN, changed.seq)


def test_a_deleted_row_is_noticed_at_the_next() -> None:
    record = record_of(lively_events())
    index = record.find("order_result", 1)
    gone = record.link(index)
    del record.stored[index]
    found = check(record).findings
    broken = next(finding for finding in found.first if finding.rule is Rule.CHAIN)
    assert broken.seq is not None
    assert broken.seq > gone.seq
    assert found.by_rule[Rule.COMPLETE] == 1


def test_two_rows_that_changed_places_are_noticed() -> None:
    record = record_of(lively_events())
    one, other = record.find("alert", 0), record.find("alert", 1)
    first, second = record.link(one), record.link(other)
    record.stored[one] = first._replace(body=second.body, event_id=second.event_id)
    record.stored[other] = second._replace(body=first.body, event_id=first.event_id)
    found = check(record).findings
    assert found.by_rule[Rule.CHAIN] >= 2
    assert {first.seq, second.seq} <= {finding.seq for finding in found.first}


def test_a_changed_tick_breaks_its_batch() -> None:
    record = record_of(lively_events())
    index = next(i for i, row in enumerate(record.stored) if isinstance(row, bytes) and i > 80)
    tick = record.stored[index]
    assert isinstance(tick, bytes)
    record.stored[index] = tick.replace(b'"run_id":"', b'"run_id":"y', 1)
    found = check(record).findings
    assert found.by_rule == {Rule.TICKS: 1}
    assert "were changed" in found.first[0].message


def test_a_head_that_was_noted_is_still_contained() -> None:
    record = record_of(lively_events())
    whole, head = record.whole(), check(record)
    noted = Head(whole.upto, head.chain_head)
    assert validate(record, whole, head=noted).findings.total == 0
    early = record.link(record.find("signal", 2))
    noted = Head(early.seq, early.chain_hash.hex())
    assert validate(record, whole, head=noted).findings.total == 0


def test_a_tail_that_was_cut_off_is_noticed_by_a_head_noted_before() -> None:
    record = record_of(lively_events())
    noted = Head(record.whole().upto, check(record).chain_head)
    batch = max(i for i, row in enumerate(record.stored) if not isinstance(row, bytes))
    end = record.find("run_ended")
    del record.stored[end:]
    assert batch > end
    found = validate(record, record.whole(), head=noted).findings
    assert found.by_rule[Rule.HEADS] == 1
    assert "its tail was cut off" in found.first[-1].message


def test_a_chain_that_was_written_again_is_not_what_the_writer_said() -> None:
    events = lively_events()
    honest = record_of(events)
    early = honest.link(honest.find("signal", 1))
    head = RecordHead(
        **envelope(topics.DB_WRITER, events[-1].timestamp),
        committed_seq=early.seq,
        chain_hash=early.chain_hash.hex(),
    )
    reported = renumbered([*events, head])
    assert check_events(reported).findings.total == 0
    decision = index_of(reported, RiskDecision)
    forged = replaced(reported, decision, event_id="a" * 32)
    assert forged[decision].seq < early.seq
    assert check_events(forged).findings.by_rule[Rule.HEADS] == 1


def test_a_row_that_is_no_event_is_named_and_not_accepted() -> None:
    record = record_of(lively_events())
    index = record.find("signal")
    record.change(index, b'"direction":"', b'"direction":"SIDEWAYS-')
    found = check(record).findings
    assert found.by_rule[Rule.SCHEMA] == 1
    assert any("SIDEWAYS" in f.message for f in found.first if f.rule is Rule.SCHEMA)


def removed(events: list[AnyEvent], index: int) -> list[AnyEvent]:
    """As an honest writer would have kept it, had the event never been published."""
    return renumbered([*events[:index], *events[index + 1 :]])


def replaced(events: list[AnyEvent], index: int, **fields: object) -> list[AnyEvent]:
    changed = msgspec.structs.replace(events[index], **fields)
    return [*events[:index], changed, *events[index + 1 :]]


def test_a_signal_without_decision() -> None:
    events = lively_events()
    events = removed(events, index_of(events, RiskDecision, lambda e: e.signal_id is not None))
    assert Rule.ONE_DECISION in check_events(events).findings.by_rule


def test_a_signal_that_is_decided_twice() -> None:
    events = lively_events()
    index = index_of(events, RiskDecision, lambda e: e.verdict is Verdict.REJECTED)
    twin = msgspec.structs.replace(events[index], event_id="e" * 32)
    found = check_events(renumbered([*events[: index + 1], twin, *events[index + 1 :]])).findings
    assert found.by_rule[Rule.ONE_DECISION] == 1


def posted_again(reason: str, *, before: bool = False) -> list[AnyEvent]:
    """The lively market with its first signal posted a second time, and decided for a reason."""
    events = lively_events()
    place = index_of(events, Signal)
    signal = events[place]
    decided = index_of(events, RiskDecision, lambda e: e.causation_id == signal.event_id)
    again = msgspec.structs.replace(signal, event_id="a" * 32)
    answer = msgspec.structs.replace(
        events[decided], event_id="b" * 32, causation_id="a" * 32, order_id=None,
        verdict=Verdict.REJECTED, reason=reason,
    )  # fmt: skip
    at = place if before else len(events) - 1
    return renumbered([*events[:at], again, answer, *events[at:]])


def test_a_signal_posted_again_is_refused_as_a_duplicate() -> None:
    found = check_events(posted_again(Reason.DUPLICATE_SIGNAL)).findings
    assert found.first == []


def test_a_signal_posted_again_and_decided_again_is_wrong() -> None:
    found = check_events(posted_again(Reason.PAUSED)).findings
    assert found.by_rule == {Rule.ONE_DECISION: 1}
    assert "second time" in found.first[0].message


def test_only_a_repeated_signal_is_a_duplicate() -> None:
    found = check_events(posted_again(Reason.DUPLICATE_SIGNAL, before=True)).findings
    assert "is the first of its id" in found.first[0].message


def test_an_answer_may_come_behind_a_loss() -> None:
    """The service that answers makes again what the bus lost; open conditions end after it."""
    events = lively_events()
    result = index_of(events, OrderResult, lambda e: e.status is OrderStatus.FILLED)
    order_id = events[result].order_id
    order = index_of(events, Order, lambda e: e.order_id == order_id)
    decision = index_of(events, RiskDecision, lambda e: e.order_id == order_id)
    for answer in (decision, order, result):
        lost = [*events[:answer], recovered()]
        silent = check_events(renumbered(lost))
        answered = check_events(renumbered([*lost, events[answer]]))
        assert silent.excused > 0
        assert silent.findings.total == 0
        assert (answered.excused, answered.findings.first) == (silent.excused - 1, [])


def test_an_approved_decision_without_order() -> None:
    events = lively_events()
    found = check_events(removed(events, index_of(events, Order))).findings
    assert found.by_rule[Rule.ONE_ORDER] == 1


def test_an_order_that_nobody_approved() -> None:
    events = lively_events()
    index = index_of(events, Order)
    own = msgspec.structs.replace(events[index], order_id="nobody", event_id="d" * 32)
    found = check_events(renumbered([*events[: index + 1], own, *events[index + 1 :]])).findings
    assert found.by_rule[Rule.APPROVED] == 1


def test_an_order_larger_than_approved() -> None:
    events = lively_events()
    index = index_of(events, Order)
    order = events[index]
    assert isinstance(order, Order)
    found = check_events(replaced(events, index, quantity=order.quantity * 2)).findings
    assert found.by_rule[Rule.ONE_ORDER] == 1


def test_an_order_that_never_ends() -> None:
    events = lively_events()
    index = index_of(events, OrderResult, lambda e: e.filled_quantity == 0)
    found = check_events(removed(events, index)).findings
    assert found.by_rule[Rule.ONE_END] == 1


def test_a_fill_that_is_applied_twice() -> None:
    events = lively_events()
    index = index_of(events, OrderResult, lambda e: e.status is OrderStatus.FILLED)
    again = msgspec.structs.replace(events[index], event_id="c" * 32)
    found = check_events(renumbered([*events[: index + 1], again, *events[index + 1 :]])).findings
    assert found.by_rule[Rule.ONE_END] == 1
    assert Rule.POSITIONS in found.by_rule


def test_a_fill_larger_than_its_order() -> None:
    events = lively_events()
    index = index_of(events, OrderResult, lambda e: e.filled_quantity > 0)
    result = events[index]
    assert isinstance(result, OrderResult)
    found = check_events(replaced(events, index, filled_quantity=result.quantity * 2)).findings
    assert found.by_rule[Rule.FILLED_ONCE] == 1


def test_positions_that_are_not_the_sum_of_the_fills() -> None:
    events = lively_events()
    index = index_of(events, PortfolioSnapshot, lambda e: bool(e.positions))
    snapshot = events[index]
    assert isinstance(snapshot, PortfolioSnapshot)
    view = msgspec.structs.replace(snapshot.positions[0], quantity=Decimal(12345))
    found = check_events(replaced(events, index, positions=(view, *snapshot.positions[1:])))
    assert found.findings.by_rule == {Rule.POSITIONS: 1}


def test_an_effect_before_its_cause() -> None:
    events = lively_events()
    index = index_of(events, Signal, lambda e: e.causation_id is not None)
    cause = events[index].causation_id
    tick = index_of(events, MarketData, lambda e: e.event_id == cause)
    moved = [*events[:tick], *events[tick + 1 : index + 1], events[tick], *events[index + 1 :]]
    found = check_events(renumbered(moved)).findings
    assert found.by_rule[Rule.CAUSATION] >= 1


def test_an_entry_that_passed_while_trading_was_halted() -> None:
    events = lively_events()
    index = index_of(events, Order, lambda e: not e.reduce_only)
    caused_by = events[index].causation_id
    signal = index_of(events, Signal, lambda e: e.event_id == caused_by)
    halt = TradingStateChanged(
        **{
            name: getattr(events[0], name)
            for name in ("run_id", "schema_version", "timestamp", "correlation_id")
        },
        event_id="b" * 32,
        producer="cdb_risk",
        causation_id=events[signal - 1].event_id,
        symbol=None,
        previous=TradingState.ACTIVE,
        state=TradingState.HALTED,
        layer=None,
        reason="OPERATOR",
        message="halted by hand",
        values={},
    )
    assert isinstance(events[0], RunStarted)
    found = check_events(renumbered([*events[:signal], halt, *events[signal:]])).findings
    assert found.by_rule[Rule.NO_ENTRY_IN_DOUBT] >= 1


def test_a_run_in_progress_may_have_something_open() -> None:
    events = lively_events()
    cut = index_of(events, Signal) + 1
    found = check_events(events[:cut])
    assert found.findings.total == 0
    assert found.pending == 1
