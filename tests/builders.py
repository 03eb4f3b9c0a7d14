"""Readable builders for events: every argument has a default, prices may be given as text."""

from collections.abc import Iterable
from decimal import Decimal
from itertools import count
from typing import Any, TypeVar

from services.kernel.events import (
    Condition,
    ConditionName,
    ConditionPhase,
    Event,
    Halt,
    Instruments,
    OpeningAccount,
    OpeningPosition,
    Order,
    OrderResult,
    OrderStatus,
    OrderType,
    Origin,
    Pause,
    PortfolioSnapshot,
    RecordHead,
    Recovered,
    Reset,
    Resume,
    RiskDecision,
    RunEnded,
    RunStarted,
    Side,
    Signal,
    TradingState,
    TradingStateChanged,
    Verdict,
    topics,
)
from services.kernel.events.costs import Costs
from services.kernel.instruments.contracts import Instrument, generic_instrument
from tests.market_builders import (  # noqa: F401  tests find every builder here
    BTC,
    DAY_MS,
    ETH,
    HOUR_MS,
    MIDNIGHT,
    MINUTE_MS,
    NOON,
    RUN,
    SOL,
    THE,
    Number,
    clock,
    decimal,
    depth,
    envelope,
    funding,
    mark,
    optional,
    quote,
    tick,
    trade,
)

E = TypeVar("E", bound=Event)
_numbers = count(1)


def instrument(symbol: str = BTC, **fields: Any) -> Instrument:
    """A linear contract: tick 0.01, lot 0.001, the generic fees and margins."""
    given = {"lot_size": Decimal("0.001"), **fields}
    tick_size = given.pop("tick_size", Decimal("0.01"))
    plain = generic_instrument(symbol, tick_size)
    return Instrument(**{name: getattr(plain, name) for name in plain.__struct_fields__} | given)


def instruments(
    *contracts: Instrument, at: int = NOON, universe: Iterable[str] | None = None
) -> Instruments:
    chosen = None if universe is None else tuple(universe)
    return Instruments(**envelope(topics.WS, at), instruments=contracts, universe=chosen)


def account(
    cash: Number = 100_000,
    *,
    peak: Number | None = None,
    day_start: Number | None = None,
    day: int = -1,
    positions: Iterable[OpeningPosition] = (),
    **fields: Any,
) -> OpeningAccount:
    """The account that a run begins with; fresh unless given."""
    return OpeningAccount(
        cash=decimal(cash),
        peak_equity=decimal(cash if peak is None else peak),
        day_start_equity=decimal(cash if day_start is None else day_start),
        day=day,
        positions=tuple(positions),
        **fields,
    )


def opening_position(
    symbol: str = BTC,
    quantity: Number = 1,
    entry: Number = 100,
    *,
    price: Number | None = None,
    stop: Number | None = None,
    leverage: Number = 3,
    inverse: bool = False,
    costs: Costs = Costs(),  # noqa: B008  frozen
) -> OpeningPosition:
    return OpeningPosition(
        symbol=symbol,
        quantity=decimal(quantity),
        entry_price=decimal(entry),
        mark_price=decimal(entry if price is None else price),
        stop_loss_price=optional(stop),
        leverage=decimal(leverage),
        inverse=inverse,
        costs=costs,
    )


def run_started(
    settings: dict[str, str] | None = None,
    *,
    opening: OpeningAccount | None = None,
    run_id: str = RUN,
    at: int = NOON,
    source: str = "replay",
) -> RunStarted:
    return RunStarted(
        **envelope(topics.PAPER_RUNNER, at, run_id=run_id),
        settings=settings or {},
        seed=1,
        code_version="test",
        source=source,
        account=opening or account(),
    )


def run_ended(at: int = NOON) -> RunEnded:
    return RunEnded(**envelope(topics.PAPER_RUNNER, at), reason="the data is over")


def halt(reason: str = "looks wrong", *, at: int = NOON, producer: str = topics.RISK) -> Halt:
    return Halt(**envelope(producer, at, external=True), reason=reason)


def reset(reason: str = "looked at it", *, at: int = NOON, producer: str = topics.RISK) -> Reset:
    return Reset(**envelope(producer, at, external=True), reason=reason)


def pause(symbol: str | None = None, *, at: int = NOON, producer: str = topics.RISK) -> Pause:
    return Pause(**envelope(producer, at, external=True), reason="news", symbol=symbol)


def resume(symbol: str | None = None, *, at: int = NOON, producer: str = topics.RISK) -> Resume:
    return Resume(**envelope(producer, at, external=True), reason="over", symbol=symbol)


def condition(
    name: ConditionName = ConditionName.DATABASE_AWAY,
    phase: ConditionPhase = ConditionPhase.BEGAN,
    *,
    symbol: str | None = None,
    at: int = NOON,
    producer: str = topics.DB_WRITER,
    **fields: Any,
) -> Condition:
    detail = "not reachable"
    return Condition(
        **envelope(producer, at, **fields), name=name, phase=phase, symbol=symbol, detail=detail
    )


def record_head(at: int = NOON) -> RecordHead:
    return RecordHead(**envelope(topics.DB_WRITER, at), committed_seq=10, chain_hash="0" * 64)


def recovered(at: int = NOON) -> Recovered:
    return Recovered(**envelope(topics.DB_WRITER, at), epoch="2", lost_from=10, lost_to=20)


def signal(
    symbol: str = BTC,
    direction: Side = Side.BUY,
    price: Number = 100,
    at: int = NOON,
    *,
    quantity: Number | None = None,
    reduce_only: bool = False,
    **fields: Any,
) -> Signal:
    """An entry signal, or an exit where ``reduce_only`` says so."""
    event_id = f"signal-{next(_numbers)}"
    signal_id = fields.pop("signal_id", event_id)
    fields = {"event_id": event_id, "correlation_id": signal_id, **fields}
    for name in ("limit_price", "trigger_price"):
        if name in fields:
            fields[name] = decimal(fields[name])
    return Signal(
        **envelope(topics.CORE, at, **fields),
        signal_id=signal_id,
        symbol=symbol,
        direction=direction,
        strength=Decimal(1),
        price=decimal(price),
        reason="test",
        indicators={},
        reduce_only=reduce_only,
        strategy_id="test",
        quantity=optional(quantity),
    )


def exit_signal(
    symbol: str = BTC, direction: Side = Side.SELL, price: Number = 100, at: int = NOON, **kw: Any
) -> Signal:
    """The strategy wants to leave."""
    return signal(symbol, direction, price, at, reduce_only=True, **kw)


def decision(order: Order, *, quantity: Number | None = None, **fields: Any) -> RiskDecision:
    """Risk's approval of an order."""
    given = {"verdict": Verdict.APPROVED, "reason": None, **fields}
    return RiskDecision(
        **envelope(topics.RISK, order.timestamp),
        decision_id=f"decision-{order.order_id}",
        signal_id=order.signal_id,
        order_id=order.order_id,
        origin=order.origin,
        symbol=order.symbol,
        side=order.side,
        reduce_only=order.reduce_only,
        binding_limit=None,
        requested_quantity=order.quantity,
        quantity=order.quantity if quantity is None else decimal(quantity),
        price=order.price,
        stop_loss_price=order.stop_loss_price,
        leverage=order.leverage,
        equity=Decimal(100_000),
        trading_state=TradingState.ACTIVE,
        sizing={},
        layers=(),
        **given,
    )


def order(
    symbol: str = BTC,
    side: Side = Side.BUY,
    quantity: Number = 1,
    price: Number = 100,
    at: int = NOON,
    *,
    order_id: str | None = None,
    reduce_only: bool = False,
    stop: Number | None = None,
    approved_by: str | None = topics.RISK,
    external: bool = False,
    **terms: Any,
) -> Order:
    """An order as risk makes it, or as somebody posts it by hand (``external``)."""
    return Order(
        **envelope(topics.RISK, at, external=external),
        order_id=order_id or f"order-{next(_numbers)}",
        signal_id=None,
        origin=Origin.EXTERNAL if external else Origin.SIGNAL,
        symbol=symbol,
        side=side,
        quantity=decimal(quantity),
        price=decimal(price),
        reduce_only=reduce_only,
        stop_loss_price=optional(stop),
        leverage=Decimal(3),
        approved_by=approved_by,
        risk_checks={},
        **{"order_type": OrderType.MARKET, **terms},
    )


def result(
    symbol: str = BTC,
    side: Side = Side.BUY,
    quantity: Number = 1,
    price: Number | None = 100,
    at: int = NOON,
    *,
    fees: Number = 0,
    stop: Number | None = None,
    status: OrderStatus = OrderStatus.FILLED,
    reduce_only: bool = False,
    order_id: str | None = None,
    slippage_bps: Number | None = 0,
    leverage: Number = 3,
    reason: str | None = None,
    origin: Origin = Origin.SIGNAL,
    fill: dict[str, Number] | None = None,
) -> OrderResult:
    """What execution reports of an order; filled in whole unless ``price`` is None."""
    filled = Decimal(0) if price is None else decimal(quantity)
    return OrderResult(
        **envelope(topics.EXECUTION, at),
        order_id=order_id or f"order-{next(_numbers)}",
        signal_id=None,
        origin=origin,
        status=status,
        symbol=symbol,
        side=side,
        reduce_only=reduce_only,
        quantity=decimal(quantity),
        filled_quantity=filled,
        filled_price=optional(price),
        slippage_bps=optional(slippage_bps),
        fees=decimal(fees),
        liquidity=None if price is None else "taker",
        stop_loss_price=optional(stop),
        leverage=decimal(leverage),
        reason=reason,
        latency_ms=None if price is None else 50,
        fill={name: decimal(value) for name, value in (fill or {}).items()},
    )


def trading_state(
    state: TradingState,
    previous: TradingState = TradingState.ACTIVE,
    *,
    symbol: str | None = None,
    at: int = NOON,
    **values: Number,
) -> TradingStateChanged:
    return TradingStateChanged(
        **envelope(topics.RISK, at),
        symbol=symbol,
        previous=previous,
        state=state,
        layer=None,
        reason="OPERATOR",
        message="test",
        values={name: decimal(value) for name, value in values.items()},
    )


def portfolio_snapshot(checksum: str, cause: Event) -> PortfolioSnapshot:
    """A snapshot of which only the checksum and its cause matter."""
    fields = envelope(topics.PAPER_RUNNER, cause.timestamp, causation_id=cause.event_id)
    figures = set(PortfolioSnapshot.__struct_fields__) - set(Event.__struct_fields__)
    fields |= dict.fromkeys(figures, Decimal(0)) | {
        "positions": (),
        "symbols": (),
        "checksum": checksum,
    }
    return PortfolioSnapshot(**fields)


def of_type(events: Iterable[Event], kind: type[E]) -> list[E]:
    """The events of one class, in order."""
    return [event for event in events if isinstance(event, kind)]
