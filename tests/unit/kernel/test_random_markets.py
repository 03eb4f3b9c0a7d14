"""What must hold in every market: properties of the stages over random ones."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import lru_cache

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.events import (
    Alert,
    Clock,
    Condition,
    Event,
    MarketData,
    Order,
    OrderResult,
    OrderStatus,
    Origin,
    PortfolioSnapshot,
    RiskDecision,
    Signal,
    TradingState,
    TradingStateChanged,
    Verdict,
    codec,
)
from services.kernel.execution.stage import ExecutionStage
from services.kernel.pipeline import Pipeline
from services.kernel.portfolio.portfolio import Portfolio
from services.kernel.portfolio.stage import PortfolioStage
from services.kernel.reasons import Reason
from services.kernel.risk.stage import RiskStage
from services.kernel.settings.model import TradingSettings
from services.kernel.stage import Stage
from services.kernel.strategies.stage import SignalStage
from tests.builders import BTC, ETH, SOL, of_type
from tests.unit.kernel.random_market import LIVELY, RandomMarket
from tests.unit.kernel.stop_promises import StopPromises

pytestmark = [pytest.mark.unit, pytest.mark.risk]

STAGES: tuple[type[Stage], ...] = (ExecutionStage, RiskStage, SignalStage, PortfolioStage)
MARKETS = 41
seeds = st.integers(0, MARKETS - 1)
few = settings(max_examples=25)
STEPS = 300
WORKING = (OrderStatus.PENDING, OrderStatus.PARTIALLY_FILLED)


@lru_cache(maxsize=64)
def record(seed: int) -> tuple[Event, ...]:
    """The total order that a market leads to."""
    return tuple(Pipeline().run(RandomMarket(seed).events(STEPS)))


def outputs_of(stage: Stage, inputs: Iterable[Event]) -> list[bytes]:
    return [
        codec.encode(output)
        for event in inputs
        if event.TOPIC in stage.topics
        for output in stage.handle(event)
    ]


def recorded_outputs(events: Iterable[Event], stage: Stage) -> list[bytes]:
    """What the record says the stage made, as it made it: without the bus's numbers."""
    return [
        codec.encode(msgspec.structs.replace(event, seq=0, topic_seq=0))
        for event in events
        if event.producer == stage.name and event.causation_id is not None
    ]


def happenings(event: Event) -> Iterator[str]:
    """What an event shows to have happened."""
    yield type(event).__name__
    if isinstance(event, RiskDecision):
        yield f"{event.verdict} {event.reason}"
        yield f"origin {event.origin}"
    if isinstance(event, OrderResult):
        yield f"{event.status} {event.reason}"
        yield f"liquidity {event.liquidity}"
    if isinstance(event, TradingStateChanged):
        yield f"state {event.state}"


def test_the_markets_are_lively_enough_to_mean_something() -> None:
    missing = {
        *("APPROVED None", "TRIMMED None", "REJECTED NOTHING_TO_REDUCE", "REJECTED HALTED"),
        *("REJECTED PAUSED", "REJECTED POSITION_LIMIT", "REJECTED NOT_APPROVED"),
        *("origin stop_loss", "FILLED None", "CANCELLED EXPIRED", "CANCELLED HALTED"),
        *("state HALTED", "state REDUCE_ONLY", "state PAUSED", "Alert", "PortfolioSnapshot"),
        *("PARTIALLY_FILLED None", "PENDING TRIGGERED", "CANCELLED NOT_FILLED_AT_ONCE"),
        *("CANCELLED CANCELLED_BY_EXIT", "origin take_profit"),
        *("REJECTED INVALID_SIGNAL", "liquidity maker"),
    }

    for seed in range(MARKETS):
        missing.difference_update(*map(happenings, record(seed)))
        if not missing:
            break

    assert missing == set()


@few
@given(seed=seeds)
def test_the_same_input_makes_the_same_bytes(seed: int) -> None:
    market = RandomMarket(seed).events(STEPS)

    again = [codec.encode(event) for event in Pipeline().run(market)]

    assert again == [codec.encode(event) for event in record(seed)]


@few
@given(seed=seeds, stage_type=st.sampled_from(STAGES))
def test_a_stage_fed_from_the_record_makes_what_the_record_says(
    seed: int, stage_type: type[Stage]
) -> None:
    events = record(seed)
    stage = stage_type()

    assert outputs_of(stage, events) == recorded_outputs(events, stage)


@few
@given(seed=seeds, stage_type=st.sampled_from(STAGES), data=st.data())
def test_a_restored_stage_goes_on_as_if_it_had_never_stopped(
    seed: int, stage_type: type[Stage], data: st.DataObject
) -> None:
    events = record(seed)
    cut = data.draw(st.integers(0, len(events)))
    stage = stage_type()
    outputs_of(stage, events[:cut])

    snapshot = stage.snapshot()
    restored = stage_type()
    restored.restore(snapshot)

    assert restored.snapshot() == snapshot
    assert outputs_of(restored, events[cut:]) == outputs_of(stage, events[cut:])
    assert restored.snapshot() == stage.snapshot()


@few
@given(seed=seeds, data=st.data())
def test_a_snapshot_changes_nothing(seed: int, data: st.DataObject) -> None:
    events = record(seed)
    every = data.draw(st.integers(1, 50))
    looked_at, left_alone = RiskStage(), RiskStage()

    for number, event in enumerate(events):
        if event.TOPIC in looked_at.topics:
            looked_at.handle(event)
            left_alone.handle(event)
            if number % every == 0:
                looked_at.snapshot()
                looked_at.status()

    assert looked_at.snapshot() == left_alone.snapshot()


@few
@given(seed=seeds)
def test_all_folds_agree_at_every_minute(seed: int) -> None:
    events = record(seed)
    risk, execution = RiskStage(), ExecutionStage()
    compared = 0
    for event in events:
        for stage in (risk, execution):
            if event.TOPIC in stage.topics:
                stage.handle(event)
        if (
            isinstance(event, PortfolioSnapshot)
            and event.causation_id in risk.state.checksums.checksums
        ):
            compared += 1
            assert risk.state.checksums.checksums[event.causation_id] == event.checksum
            assert execution.state.checksums.checksums[event.causation_id] == event.checksum

    assert compared > 5
    assert not [e for e in of_type(events, Condition) if e.name == "CHECKSUM_MISMATCH"]
    assert not [e for e in of_type(events, TradingStateChanged) if e.reason == "CHECKSUM_MISMATCH"]


@few
@given(seed=seeds)
def test_equity_is_start_plus_profits_less_fees_plus_funding_after_every_event(seed: int) -> None:
    fold = Portfolio()
    for event in record(seed):
        fold.apply(event)
        state = fold.state
        unrealised = sum((p.unrealised_profit for p in state.positions.values()), Decimal(0))
        assert state.unrealised_profit == unrealised
        assert state.equity == (
            state.start_equity + state.realised_profit + unrealised - state.fees + state.funding
        )
        assert state.max_drawdown_pct >= 0
        assert all(position.quantity for position in state.positions.values())


@few
@given(seed=seeds)
def test_no_entry_loses_more_at_its_stop_than_it_may(seed: int) -> None:
    assert StopPromises().watch(record(seed)).broken == []


def test_the_markets_have_entries_whose_stops_can_be_judged() -> None:
    assert sum(StopPromises().watch(record(seed)).kept for seed in range(5)) > 20


@few
@given(seed=seeds)
def test_every_signal_is_decided_once_and_every_order_ends_once(seed: int) -> None:
    events = record(seed)
    decided = Counter(d.signal_id for d in of_type(events, RiskDecision) if d.signal_id)
    orders = [o for o in of_type(events, Order) if not o.external]
    results = of_type(events, OrderResult)
    ended = Counter(r.order_id for r in results if r.status not in WORKING)

    assert decided == Counter(signal.signal_id for signal in of_type(events, Signal))
    assert ended == Counter(o.order_id for o in of_type(events, Order))
    approved = [d for d in of_type(events, RiskDecision) if d.verdict is not Verdict.REJECTED]
    assert [d.order_id for d in approved] == [o.order_id for o in orders]
    assert [d.quantity for d in approved] == [o.quantity for o in orders]


@few
@given(seed=seeds)
def test_every_decision_keeps_seven_layers_and_its_reason_is_the_lowest_that_failed(
    seed: int,
) -> None:
    for decision in of_type(record(seed), RiskDecision):
        assert [layer.layer for layer in decision.layers] == list(range(1, 8))
        failed = [layer for layer in decision.layers if layer.verdict == "FAIL"]
        if decision.verdict is not Verdict.REJECTED:
            assert failed == []
            assert decision.reason is None
        elif failed:
            info = Reason(decision.reason or "").info
            assert (info.layer, info.unit) == (failed[0].layer, failed[0].unit), decision


@few
@given(seed=seeds)
def test_no_fill_without_one_approval_of_at_least_that_size(seed: int) -> None:
    approvals: dict[str, RiskDecision] = {}
    filled: defaultdict[str, Decimal] = defaultdict(Decimal)
    ended: set[str] = set()
    for event in record(seed):
        if isinstance(event, RiskDecision) and event.order_id and event.verdict != "REJECTED":
            assert event.order_id not in approvals
            approvals[event.order_id] = event
        if isinstance(event, OrderResult) and event.filled_quantity:
            approval = approvals[event.order_id]
            filled[event.order_id] += event.filled_quantity
            assert filled[event.order_id] <= approval.quantity
            assert (event.symbol, event.side) == (approval.symbol, approval.side)
            assert event.order_id not in ended
        if isinstance(event, OrderResult) and event.status not in WORKING:
            ended.add(event.order_id)


@few
@given(seed=seeds)
def test_where_trading_is_not_active_no_order_increases_a_position(seed: int) -> None:
    """Judged by the seq of the event that caused the fill."""
    events = record(seed)
    seq_of = {event.event_id: event.seq for event in events}
    changed: dict[str | None, list[tuple[int, TradingState]]] = {}
    positions: Counter[str] = Counter()

    def state_at(symbol: str | None, seq: int) -> TradingState:
        known = [state for at, state in changed.get(symbol, ()) if at < seq]
        return known[-1] if known else TradingState.ACTIVE

    for event in events:
        if isinstance(event, TradingStateChanged):
            changed.setdefault(event.symbol, []).append((event.seq, event.state))
        if isinstance(event, OrderResult) and event.filled_quantity:
            cause = seq_of[event.causation_id or ""]
            before = positions[event.symbol]
            positions[event.symbol] += event.filled_quantity * event.side.sign  # type: ignore[assignment]
            if event.reduce_only:
                assert abs(positions[event.symbol]) < abs(before)
            else:
                assert state_at(None, cause) is TradingState.ACTIVE
                assert state_at(event.symbol, cause) is TradingState.ACTIVE


@few
@given(seed=seeds)
def test_what_is_approved_is_within_every_limit_with_all_that_is_pending(seed: int) -> None:
    limits = TradingSettings.parse(LIVELY)[0]
    fold = Portfolio()
    pending: dict[str, Order] = {}
    for event in record(seed):
        fold.apply(event)
        if isinstance(event, Order) and not event.external:
            pending[event.order_id] = event
            if event.reduce_only:
                continue
            held = fold.quantity(event.symbol)
            same = [o for o in pending.values() if (o.symbol, o.side) == (event.symbol, event.side)]
            after = abs(held + sum(o.quantity * o.side.sign for o in same))
            assert after * event.price <= fold.equity * limits.max_position_pct * Decimal("1.001")
        if isinstance(event, OrderResult) and event.origin is not Origin.EXTERNAL:
            pending.pop(event.order_id, None)
        if isinstance(event, Clock):
            assert fold.gross_exposure <= fold.equity * limits.max_total_exposure_pct * Decimal(
                "1.1"
            )


@few
@given(seed=seeds)
def test_no_tick_fills_an_order_before_its_latency_nor_when_it_is_backfilled(seed: int) -> None:
    events = record(seed)
    by_id = {event.event_id: event for event in events}
    order_of = {order.order_id: order for order in of_type(events, Order)}
    for result in of_type(events, OrderResult):
        if result.status is not OrderStatus.FILLED:
            continue
        tick, order = by_id[result.causation_id or ""], order_of[result.order_id]
        assert isinstance(tick, MarketData)
        assert not tick.backfill
        assert tick.symbol == order.symbol
        assert tick.timestamp - order.timestamp == result.latency_ms
        assert result.latency_ms is not None
        assert result.latency_ms >= 50
        assert tick.seq > order.seq


@few
@given(seed=seeds)
def test_an_output_has_its_cause_s_time_and_comes_after_it(seed: int) -> None:
    seen: dict[str, Event] = {}
    for event in record(seed):
        if event.causation_id is not None:
            cause = seen[event.causation_id]
            assert event.timestamp == cause.timestamp
            assert event.seq > cause.seq
        assert event.event_id not in seen
        seen[event.event_id] = event


@few
@given(seed=seeds)
def test_an_alert_begins_before_it_clears_and_is_told_at_most_once_a_minute(seed: int) -> None:
    open_since: dict[tuple[str, str, str | None, int | None], int] = {}
    for alert in of_type(record(seed), Alert):
        key = (alert.producer, alert.code, alert.symbol, alert.layer)
        if alert.phase == "BEGAN":
            assert key not in open_since
        else:
            assert key in open_since
        if alert.phase == "ONGOING":
            assert alert.timestamp - open_since[key] >= 60_000
        open_since[key] = alert.timestamp
        if alert.phase == "CLEARED":
            del open_since[key]


def trades_by_symbol(events: Iterable[Event]) -> dict[str, list[tuple[object, ...]]]:
    """What happened to each symbol, without names, ids and numbers."""
    story: dict[str, list[tuple[object, ...]]] = {}
    for event in events:
        if isinstance(event, RiskDecision):
            told: tuple[object, ...] = (event.verdict, event.reason, event.side, event.quantity)
        elif isinstance(event, OrderResult):
            told = (event.status, event.reason, event.filled_quantity, event.filled_price)
        else:
            continue
        story.setdefault(event.symbol, []).append(told)
    return story


@few
@given(seed=seeds, order=st.permutations((BTC, ETH, SOL)))
def test_the_names_of_symbols_change_nothing_while_no_shared_limit_binds(
    seed: int, order: list[str]
) -> None:
    # Losses of all symbols together halt the account, and at the same time: not by name.
    calm = LIVELY | {"MAX_TOTAL_EXPOSURE_PCT": "0.80", "MAX_DAILY_DRAWDOWN_PCT": "0.20"}
    calm |= {"MAX_TRADES_PER_HOUR": "1000", "MAX_POSITION_PCT": "0.05"}

    def story(symbols: tuple[str, ...]) -> dict[str, list[tuple[object, ...]]]:
        market = RandomMarket(seed, symbols=symbols, settings=calm, disturbed=False)
        return trades_by_symbol(Pipeline().run(market.events(150)))

    plain, permuted = story((BTC, ETH, SOL)), story(tuple(order))

    for name, renamed in zip((BTC, ETH, SOL), order, strict=True):
        assert plain.get(name) == permuted.get(renamed)
