"""The seven layers: what each measures on the state after the trade, its limit, its verdict."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from services.kernel import perpetuals
from services.kernel.events import LayerResult, LayerVerdict, Side, TradingState
from services.kernel.instruments import Instrument
from services.kernel.risk.market import SymbolMarket
from services.kernel.risk.reasons import Reason
from services.kernel.rounding import rounded
from services.kernel.settings import TradingSettings

ZERO = Decimal(0)
STEP = Decimal("0.00000001")


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryContext:
    """What the layers look at: a candidate, and the account and market it would meet.

    Money is in quote, quantities in base. ``position`` and ``exposure_elsewhere`` count pending
    orders as filled.

    Attributes:
        contract_known: Whether ``instrument`` is the symbol's own, and not a stand-in.
        price: The worse of order price and mark price; notional is reckoned with it.
        order_price: The price that the signal saw; the stop is placed from it.
        mark_price: None before the symbol's first tick.
        position: This symbol's signed position, with pending orders of the candidate's side.
        exposure_elsewhere: Gross notional of all other symbols.
        entries_last_hour: Approved entries of the last 60 minutes, this one not among them.
        doubts: Conditions that forbid entries.
        signal_age_ms: Stage time less the signal's time.
    """

    settings: TradingSettings
    instrument: Instrument
    contract_known: bool
    market: SymbolMarket
    side: Side
    quantity: Decimal
    price: Decimal
    order_price: Decimal
    mark_price: Decimal | None
    stop_loss_price: Decimal
    leverage: Decimal
    equity: Decimal
    daily_drawdown_pct: Decimal
    drawdown_pct: Decimal
    account_state: TradingState
    position: Decimal
    exposure_elsewhere: Decimal
    entries_last_hour: int
    doubts: tuple[str, ...]
    now: int
    signal_age_ms: int

    @property
    def position_after(self) -> Decimal:
        """Signed position after the trade, in base."""
        return self.position + self.quantity * self.side.sign

    @property
    def position_pct_after(self) -> Decimal:
        """Notional of this symbol after the trade over equity."""
        return _over(abs(self.position_after) * self.price, self.equity)

    @property
    def exposure_pct_after(self) -> Decimal:
        """Gross notional of everything after the trade over equity."""
        notional = self.exposure_elsewhere + abs(self.position_after) * self.price
        return _over(notional, self.equity)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a layer found.

    Attributes:
        reason: None when the candidate passes.
        applicable: False when there is nothing to measure; that passes.
        at_least: The limit is the lowest allowed value, not the highest.
    """

    value: Decimal | None
    limit: Decimal | None
    reason: Reason | None
    detail: str
    applicable: bool = True
    at_least: bool = False


@dataclass(frozen=True, slots=True)
class Layer:
    """One row of the table."""

    number: int
    name: str
    unit: str
    measure: Callable[[EntryContext], Finding]


@dataclass(frozen=True, slots=True)
class Judgement:
    """All layers' results; ``failures`` from the lowest layer up, each with its reason."""

    results: tuple[LayerResult, ...]
    failures: tuple[tuple[int, Reason], ...]

    @property
    def reason(self) -> Reason | None:
        """Of the lowest failing layer; None when all pass."""
        return self.failures[0][1] if self.failures else None


def judge(context: EntryContext) -> Judgement:
    """Evaluate every layer; none is skipped when an earlier one fails."""
    results: list[LayerResult] = []
    failures: list[tuple[int, Reason]] = []
    for layer in LAYERS:
        finding = layer.measure(context)
        if finding.reason is not None:
            failures.append((layer.number, finding.reason))
        results.append(_result(layer, finding))
    return Judgement(tuple(results), tuple(failures))


def judge_exit(context: EntryContext) -> tuple[LayerResult, ...]:
    """The layers' figures for an exit, which passes all of them."""
    return tuple(
        LayerResult(
            layer=layer.number,
            name=layer.name,
            verdict=LayerVerdict.PASS,
            value=_rounded(finding.value),
            limit=finding.limit,
            headroom=_headroom(finding),
            unit=layer.unit,
            detail="exits pass every layer",
        )
        for layer in LAYERS
        for finding in (layer.measure(context),)
    )


def not_measured(detail: str) -> tuple[LayerResult, ...]:
    """All layers, for a signal that none of them could measure."""
    return tuple(
        LayerResult(
            layer=layer.number,
            name=layer.name,
            verdict=LayerVerdict.NOT_APPLICABLE,
            value=None,
            limit=None,
            headroom=None,
            unit=layer.unit,
            detail=detail,
        )
        for layer in LAYERS
    )


def _result(layer: Layer, finding: Finding) -> LayerResult:
    if finding.reason is not None:
        verdict = LayerVerdict.FAIL
    elif finding.applicable:
        verdict = LayerVerdict.PASS
    else:
        verdict = LayerVerdict.NOT_APPLICABLE
    return LayerResult(
        layer=layer.number,
        name=layer.name,
        verdict=verdict,
        value=_rounded(finding.value),
        limit=finding.limit,
        headroom=_headroom(finding),
        unit=layer.unit,
        detail=finding.detail,
    )


def _headroom(finding: Finding) -> Decimal | None:
    if finding.value is None or finding.limit is None:
        return None
    room = finding.limit - finding.value
    return _rounded(-room if finding.at_least else room)


def _rounded(value: Decimal | None) -> Decimal | None:
    return None if value is None else rounded(value, STEP)


def _over(amount: Decimal, equity: Decimal) -> Decimal:
    return amount / equity if equity > 0 else Decimal("999999")


def _drawdown(context: EntryContext) -> Finding:
    settings = context.settings
    daily, total = context.daily_drawdown_pct, context.drawdown_pct
    daily_room = settings.max_daily_drawdown_pct - daily
    total_room = settings.circuit_breaker_threshold_pct - total
    if total_room < daily_room:
        value, limit, which = total, settings.circuit_breaker_threshold_pct, "from the peak"
    else:
        value, limit, which = daily, settings.max_daily_drawdown_pct, "of the day"
    reason = None
    if context.account_state is TradingState.HALTED:
        reason = Reason.HALTED
    elif context.account_state is TradingState.PAUSED or context.market.operator_paused:
        reason = Reason.PAUSED
    elif daily_room <= 0:
        reason = Reason.DAILY_DRAWDOWN
    elif total_room <= 0:
        reason = Reason.EQUITY_DRAWDOWN
    return Finding(value, limit, reason, f"loss {which}; account {context.account_state}")


def _anomaly(context: EntryContext) -> Finding:
    market, limit = context.market, context.settings.max_spread_multiplier
    multiple = market.spread_multiple
    if market.quarantined:
        return Finding(multiple, limit, Reason.QUARANTINED, "waits for a person to release it")
    if market.anomaly is not None:
        detail = f"pauses for {market.anomaly}, {market.failed_retries} retries failed"
        return Finding(multiple, limit, market.anomaly, detail)
    if multiple is None:
        return Finding(None, limit, None, "no quotes to compare", applicable=False)
    reason = Reason.SPREAD_ANOMALY if multiple > limit else None
    return Finding(multiple, limit, reason, "spread over its normal")


def _data_quality(context: EntryContext) -> Finding:
    market, settings = context.market, context.settings
    limit = Decimal(settings.data_stale_timeout_sec)
    if market.seen_at is None:
        return Finding(None, limit, Reason.NO_MARKET_DATA, "no live tick of this symbol yet")
    age = Decimal(max(context.now - market.seen_at, 0)) / 1000
    if not context.contract_known:
        return Finding(age, limit, Reason.NO_MARKET_DATA, "no contract details of this symbol")
    if context.doubts:
        return Finding(age, limit, Reason.IN_DOUBT, "; ".join(context.doubts))
    if market.stale or age > limit:
        return Finding(age, limit, Reason.DATA_STALE, "age of the last tick")
    signal_age = Decimal(context.signal_age_ms) / 1000
    if signal_age > settings.max_signal_age_sec:
        detail = "age of the signal"
        return Finding(signal_age, settings.max_signal_age_sec, Reason.SIGNAL_TOO_OLD, detail)
    return Finding(age, limit, None, "age of the last tick")


def _exposure(context: EntryContext) -> Finding:
    limit, after = context.settings.max_total_exposure_pct, context.exposure_pct_after
    reason = Reason.EXPOSURE_LIMIT if after > limit else None
    return Finding(after, limit, reason, "gross notional after the trade over equity")


def _position(context: EntryContext) -> Finding:
    settings = context.settings
    distance = perpetuals.liquidation_distance(
        context.leverage, context.instrument.maintenance_margin_rate
    )
    if distance < settings.min_liquidation_distance:
        detail = f"distance to liquidation at {context.leverage}x; more is needed"
        limit = settings.min_liquidation_distance
        return Finding(distance, limit, Reason.LIQUIDATION_DISTANCE, detail, at_least=True)
    limit, after = settings.max_position_pct, context.position_pct_after
    reason = Reason.POSITION_LIMIT if after > limit else None
    detail = (
        f"notional after the trade over equity; {context.leverage}x, "
        f"liquidation {distance.quantize(Decimal('0.0001'))} away"
    )
    return Finding(after, limit, reason, detail)


def _stop_loss(context: EntryContext) -> Finding:
    stop, sign = context.stop_loss_price, context.side.sign
    distance = (context.order_price - stop) * sign / context.order_price
    limit = context.settings.stop_loss_pct
    mark, detail = context.mark_price, f"stop at {stop}"
    valid = stop > 0 and ZERO < distance <= limit
    if valid and mark is not None and (mark - stop) * sign <= 0:
        valid, detail = False, f"{detail}: the mark price {mark} is beyond it already"
    return Finding(distance, limit, None if valid else Reason.STOP_LOSS_INVALID, detail)


def _frequency(context: EntryContext) -> Finding:
    limit = Decimal(context.settings.max_trades_per_hour)
    value = Decimal(context.entries_last_hour + 1)
    reason = Reason.TRADE_FREQUENCY if value > limit else None
    return Finding(value, limit, reason, "entries within 60 minutes, this one included")


LAYERS: tuple[Layer, ...] = (
    Layer(1, "drawdown", "fraction", _drawdown),
    Layer(2, "market_anomaly", "times", _anomaly),
    Layer(3, "data_quality", "seconds", _data_quality),
    Layer(4, "total_exposure", "fraction", _exposure),
    Layer(5, "position", "fraction", _position),
    Layer(6, "stop_loss", "fraction", _stop_loss),
    Layer(7, "frequency", "entries", _frequency),
)
