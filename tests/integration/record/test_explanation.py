"""Answers from the record: the story of an id, the funnel that adds up, what a run earned."""

from decimal import Decimal

import pytest

from services.explain.archive import Archive, UnknownIdError
from services.explain.funnel import Part, funnel
from services.explain.limits import LIMITS
from services.explain.remedies import miss_line, remedies
from services.explain.story import Node, event_tree
from services.kernel.events import (
    Alert,
    AnyEvent,
    MarketData,
    Order,
    OrderResult,
    OrderStatus,
    Origin,
    RiskDecision,
    Signal,
    Verdict,
)
from services.kernel.reasons import Reason
from services.record.database import DatabaseRecord
from services.reports import trading_statistics

pytestmark = pytest.mark.integration


def lines_of(node: Node) -> list[str]:
    return [node.title, *node.lines, *(line for child in node.children for line in lines_of(child))]


def events_of(node: Node) -> list[AnyEvent | None]:
    return [node.event, *(event for child in node.children for event in events_of(child))]


def filled_entry(events: list[AnyEvent]) -> OrderResult:
    return next(
        e
        for e in events
        if isinstance(e, OrderResult)
        and e.status is OrderStatus.FILLED
        and not e.reduce_only
        and e.origin is Origin.SIGNAL
        and e.signal_id
        and any(
            isinstance(s, Signal) and s.signal_id == e.signal_id and s.causation_id for s in events
        )
    )


def test_a_filled_order_is_reported_from_its_tick_to_the_position(
    record: DatabaseRecord, recorded_events: list[AnyEvent]
) -> None:
    result = filled_entry(recorded_events)
    archive = Archive(record.connection)

    story = event_tree(archive, archive.find(result.order_id))

    reported = [type(event) for event in events_of(story) if event is not None]
    assert reported[0] is MarketData
    assert {Signal, RiskDecision, Order, OrderResult} <= set(reported)
    text = "\n".join(lines_of(story))
    assert "layer 7 frequency" in text
    assert "sizing: " in text
    assert f"= {result.fees.normalize():f}" in text, "the fee's arithmetic ends in the fee"
    assert "position " in text


def test_the_arithmetic_of_a_fill_holds(
    record: DatabaseRecord, recorded_events: list[AnyEvent]
) -> None:
    archive = Archive(record.connection)
    held: dict[str, Decimal] = {}
    checked = 0
    for event in recorded_events:
        if not isinstance(event, OrderResult) or event.filled_quantity <= 0:
            continue
        before = held.get(event.symbol, Decimal(0))
        held[event.symbol] = after = before + event.filled_quantity * event.side.sign
        text = lines_of(event_tree(archive, event))
        assert any(
            line.startswith(f"position {before.normalize():f} ")
            and f"= {after.normalize():f} " in line.replace("0E-8", "0")
            for line in text
        ), (before, after, text)
        checked += 1
    assert checked > 3


def test_a_rejected_signal_reports_every_layer(
    record: DatabaseRecord, recorded_events: list[AnyEvent]
) -> None:
    rejected = next(
        e
        for e in recorded_events
        if isinstance(e, RiskDecision) and e.verdict is Verdict.REJECTED and e.signal_id
    )
    archive = Archive(record.connection)
    story = event_tree(archive, archive.find(str(rejected.signal_id)))
    text = "\n".join(lines_of(story))
    assert str(rejected.reason) in text
    assert all(f"layer {number} " in text for number in range(1, 8))
    subject = [event for event in events_of(story) if event is not None]
    assert any(event.event_id == rejected.event_id for event in subject)


def test_every_kind_of_id_finds_its_event(
    record: DatabaseRecord, recorded_events: list[AnyEvent]
) -> None:
    archive = Archive(record.connection)
    kinds = (Signal, RiskDecision, Order, OrderResult, Alert)
    for kind in kinds:
        event = next(e for e in recorded_events if isinstance(e, kind))
        assert archive.find(event.event_id) == event
        assert event_tree(archive, event).title
    order = next(e for e in recorded_events if isinstance(e, Order))
    assert archive.find(order.order_id) == order
    trade = record.connection.execute("SELECT trade_id, seq FROM trades LIMIT 1").fetchone()
    assert trade is not None
    assert archive.find(trade[0]).seq == trade[1]


def test_the_tick_that_caused_a_signal_can_be_asked_for(
    record: DatabaseRecord, recorded_events: list[AnyEvent]
) -> None:
    signal = next(e for e in recorded_events if isinstance(e, Signal) and e.causation_id)
    found = Archive(record.connection).find(str(signal.causation_id))
    assert isinstance(found, MarketData)


def test_the_beginning_of_an_id_is_enough_when_it_is_the_only_one(
    record: DatabaseRecord, recorded_events: list[AnyEvent]
) -> None:
    archive = Archive(record.connection)
    signal = next(e for e in recorded_events if isinstance(e, Signal) and e.causation_id)
    assert archive.find(signal.event_id[:12]) == signal


def test_an_unknown_id_suggests_the_nearest(
    record: DatabaseRecord, recorded_events: list[AnyEvent]
) -> None:
    signal = next(e for e in recorded_events if isinstance(e, Signal) and e.causation_id)
    archive = Archive(record.connection)
    badly_copied = signal.event_id[:10] + "xyz"
    for mistyped in ("z" + signal.event_id[1:], badly_copied):
        with pytest.raises(UnknownIdError, match=f"the nearest are .*{signal.event_id}"):
            archive.find(mistyped)
    with pytest.raises(UnknownIdError, match="the newest are "):
        archive.find("no id at all")


def test_the_funnel_adds_up_and_is_what_the_events_say(
    record: DatabaseRecord, recorded_events: list[AnyEvent]
) -> None:
    found = funnel(record.connection, Part(None, 0))
    signals = [e for e in recorded_events if isinstance(e, Signal)]
    decisions = [e for e in recorded_events if isinstance(e, RiskDecision) and e.signal_id]
    rejected = [e for e in decisions if e.verdict is Verdict.REJECTED]
    assert found.adds_up
    assert found.signals == len(signals)
    assert found.exits == sum(signal.reduce_only for signal in signals)
    assert found.rejected.total() == len(rejected)
    for answered, reduce_only in ((found.on_entries, False), (found.on_exits, True)):
        alike = [e for e in decisions if e.reduce_only is reduce_only]
        assert answered.total == len(alike)
        assert answered.passed == sum(e.verdict is not Verdict.REJECTED for e in alike)
    assert sum(found.results.values()) == found.orders
    assert found.orders == sum(isinstance(e, Order) for e in recorded_events)
    entries = {e.order_id for e in recorded_events if isinstance(e, Order) and not e.reduce_only}
    results = [e for e in recorded_events if isinstance(e, OrderResult)]
    filled = {e.order_id for e in results if e.filled_quantity > 0}
    assert sum(found.unfilled.values()) == len(entries - filled)
    assert found.nothing_to_reduce == sum(
        e.reason == Reason.NOTHING_TO_REDUCE and e.reduce_only for e in rejected
    )


def test_the_nearest_misses_come_first_and_name_what_would_have_let_them_pass(
    record: DatabaseRecord,
) -> None:
    found = funnel(record.connection, Part(None, 0))
    short = [miss.short_by for miss in found.nearest]
    assert short == sorted(short)
    assert all("against" in miss_line(miss) for miss in found.nearest)
    assert all(miss.reason in LIMITS for miss in found.nearest)
    reported = " ".join(remedies(found))
    assert all(reason in reported for reason in found.on_entries.rejected)


def test_the_funnel_of_a_later_part_is_smaller(
    record: DatabaseRecord, recorded_events: list[AnyEvent]
) -> None:
    whole = funnel(record.connection, Part(None, 0))
    late = funnel(
        record.connection, Part(None, recorded_events[len(recorded_events) // 2].timestamp)
    )
    assert 0 < late.ticks < whole.ticks
    nothing = funnel(record.connection, Part("no such run", 0))
    assert (nothing.signals, nothing.orders, nothing.adds_up) == (0, 0, True)


def test_the_statistics_sum_the_trades(
    record: DatabaseRecord, recorded_events: list[AnyEvent]
) -> None:
    run_id = recorded_events[0].run_id
    found = trading_statistics.compute(record.connection, run_id)
    ((net, count),) = record.connection.execute("SELECT sum(profit_loss), count(*) FROM trades")
    assert found.total.trades == count == sum(row.trades for row in found.symbols)
    assert found.total.profit == net
    assert net == found.total.gross - found.total.fees + found.total.funding
    assert found.total.profit == sum((row.profit for row in found.symbols), Decimal(0))
    assert found.events["signal"] == sum(isinstance(e, Signal) for e in recorded_events)
    assert found.to_json()["total"]["trades"] == count
    account = found.account
    assert not recorded_events[-1].positions, "all is closed: what trades earned is all there is"
    assert found.total.profit == account["equity"] - account["start_equity"]
    assert (found.total.fees, found.total.funding) == (account["fees"], account["funding"])
    assert found.total.spread > 0 < found.total.impact
