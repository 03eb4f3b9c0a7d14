"""Entries: size the candidate, let all seven layers judge it, decide, and order it."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from services.kernel.alerts import Alarm
from services.kernel.emitter import Emitter
from services.kernel.events import (
    AlertLevel,
    LayerResult,
    Order,
    OrderType,
    Origin,
    RiskDecision,
    Side,
    Signal,
    Verdict,
)
from services.kernel.instruments import Instrument, generic_instrument
from services.kernel.portfolio import Portfolio
from services.kernel.risk import exposure
from services.kernel.risk.layers import EntryContext, Judgement, judge, not_measured
from services.kernel.risk.reasons import Reason
from services.kernel.risk.state import HOUR_MS, PendingOrder, RiskState
from services.kernel.settings import TradingSettings
from services.kernel.sizing import SizedEntry, fixed_fraction, size_entry

ZERO = Decimal(0)
ONE = Decimal(1)
UNKNOWN_TICK = Decimal("0.00000001")
LOWEST_PRICE, HIGHEST_PRICE = Decimal("1E-12"), Decimal("1E+12")
HEADROOM_REASONS = {
    exposure.EXPOSURE_LAYER: Reason.EXPOSURE_LIMIT,
    exposure.POSITION_LAYER: Reason.POSITION_LIMIT,
}
BLOCK_ALERTS = {
    4: (AlertLevel.INFO, "RISK_LIMIT"),
    5: (AlertLevel.WARNING, "RISK_LIMIT"),
    7: (AlertLevel.INFO, "RISK_LIMIT"),
}
"""Layers that alert when they bind; layers 1 to 3 alert when their state changes."""


class EntryDesk:
    """Turns a signal into a decision, and an approved one into an order."""

    def __init__(
        self,
        state: RiskState,
        portfolio: Portfolio,
        settings: TradingSettings,
        emitter: Emitter,
        alarm: Alarm,
    ) -> None:
        self._state = state
        self._portfolio = portfolio
        self._settings = settings
        self._emitter = emitter
        self._alarm = alarm

    def decide(self, signal: Signal) -> None:
        """Decide one entry signal."""
        problem = _problem(signal)
        if problem is not None:
            self._refuse_unmeasured(signal, problem)
            return
        self._alarm.clear("INVALID_SIGNAL", symbol=signal.symbol)
        price = max(signal.price, self._portfolio.mark_price(signal.symbol) or ZERO)
        sized = self._size(signal, price)
        judged = sized.quantity or sized.smallest
        judgement = judge(self.context(signal, judged, price))
        self._tell_limits(signal.symbol, judgement, sized)
        reason = judgement.reason
        if reason is None and not sized.tradable:
            reason = HEADROOM_REASONS.get(sized.binding_limit or "", Reason.BELOW_MINIMUM)
        if reason is None:
            self._approve(signal, price, sized, judgement.results)
        else:
            self._emit(signal, price, sized, judgement.results, Verdict.REJECTED, reason, None)

    def context(self, signal: Signal, quantity: Decimal, price: Decimal) -> EntryContext:
        """What the layers see for this signal and quantity (base) at this price."""
        state, portfolio, settings = self._state, self._portfolio, self._settings
        instrument = self.instrument(signal.symbol)
        return EntryContext(
            settings=settings,
            instrument=instrument,
            contract_known=signal.symbol in state.instruments,
            market=state.market(signal.symbol),
            side=signal.direction,
            quantity=quantity,
            price=price,
            order_price=signal.price,
            mark_price=portfolio.mark_price(signal.symbol),
            stop_loss_price=self._stop_price(signal, instrument),
            leverage=min(settings.max_leverage, instrument.max_leverage),
            equity=portfolio.equity,
            daily_drawdown_pct=portfolio.daily_drawdown_pct,
            drawdown_pct=portfolio.drawdown_pct,
            account_state=state.account,
            position=exposure.position_with_pending(
                state, portfolio, signal.symbol, signal.direction
            ),
            exposure_elsewhere=exposure.exposure_elsewhere(state, portfolio, signal.symbol),
            entries_last_hour=state.entries_within_the_hour(),
            doubts=state.doubts(signal.symbol),
            now=state.clock,
            signal_age_ms=max(state.clock - signal.timestamp, 0),
        )

    def instrument(self, symbol: str) -> Instrument:
        """The contract; a generic one, never traded, where it is unknown."""
        return self._state.instruments.get(symbol) or generic_instrument(symbol, UNKNOWN_TICK)

    def _size(self, signal: Signal, price: Decimal) -> SizedEntry:
        settings, portfolio = self._settings, self._portfolio
        equity = max(portfolio.equity, ZERO)
        asked = fixed_fraction(equity, settings.risk_per_trade_pct, price, settings.stop_loss_pct)
        if signal.quantity is not None:
            asked = min(asked, signal.quantity)
        state, side = self._state, signal.direction
        rooms = exposure.headrooms(
            settings=settings,
            equity=equity,
            price=price,
            side=side,
            position=exposure.position_with_pending(state, portfolio, signal.symbol, side),
            elsewhere=exposure.exposure_elsewhere(state, portfolio, signal.symbol),
        )
        instrument = self.instrument(signal.symbol)
        return size_entry(asked, rooms, instrument, price, settings.min_notional)

    def _stop_price(self, signal: Signal, instrument: Instrument) -> Decimal:
        """The stop, at most ``STOP_LOSS_PCT`` from the signal's price, on a tick."""
        sign = signal.direction.sign
        raw = signal.price * (ONE - self._settings.stop_loss_pct * sign)
        rounding = ROUND_CEILING if signal.direction is Side.BUY else ROUND_FLOOR
        ticks = (raw / instrument.tick_size).to_integral_value(rounding=rounding)
        return ticks * instrument.tick_size

    def _approve(
        self,
        signal: Signal,
        price: Decimal,
        sized: SizedEntry,
        results: tuple[LayerResult, ...],
    ) -> None:
        verdict = Verdict.TRIMMED if sized.quantity < sized.requested else Verdict.APPROVED
        order_id = self._emitter.id_after_next()
        decision = self._emit(signal, price, sized, results, verdict, None, order_id)
        self._emitter.emit(
            Order,
            order_id=order_id,
            signal_id=signal.signal_id,
            origin=Origin.SIGNAL,
            symbol=signal.symbol,
            side=signal.direction,
            quantity=sized.quantity,
            price=signal.price,
            order_type=OrderType.MARKET,
            reduce_only=False,
            stop_loss_price=decision.stop_loss_price,
            leverage=decision.leverage,
            approved_by=self._emitter.producer,
            risk_checks={result.name: result.verdict for result in results},
        )
        self._state.pending[order_id] = PendingOrder(
            symbol=signal.symbol,
            side=signal.direction,
            quantity=sized.quantity,
            price=price,
            reduce_only=False,
        )
        self._state.entry_times = [
            time for time in self._state.entry_times if time > self._state.clock - HOUR_MS
        ]
        self._state.entry_times.append(self._state.clock)

    def _emit(
        self,
        signal: Signal,
        price: Decimal,
        sized: SizedEntry,
        results: tuple[LayerResult, ...],
        verdict: Verdict,
        reason: Reason | None,
        order_id: str | None,
    ) -> RiskDecision:
        settings = self._settings
        instrument = self.instrument(signal.symbol)
        trimmed = verdict is Verdict.TRIMMED or not sized.tradable
        return self._emitter.emit(
            RiskDecision,
            decision_id=self._emitter.next_id(),
            signal_id=signal.signal_id,
            order_id=order_id,
            origin=Origin.SIGNAL,
            symbol=signal.symbol,
            side=signal.direction,
            reduce_only=False,
            verdict=verdict,
            reason=reason,
            binding_limit=sized.binding_limit if trimmed else None,
            requested_quantity=sized.requested,
            quantity=sized.quantity,
            price=signal.price,
            stop_loss_price=self._stop_price(signal, instrument),
            leverage=min(settings.max_leverage, instrument.max_leverage),
            equity=self._portfolio.equity,
            trading_state=self._state.account,
            sizing={
                "equity": self._portfolio.equity,
                "risk_pct": settings.risk_per_trade_pct,
                "stop_pct": settings.stop_loss_pct,
                "price": price,
                "lot_size": instrument.lot_size,
                "smallest": sized.smallest,
            },
            layers=results,
        )

    def _refuse_unmeasured(self, signal: Signal, problem: str) -> None:
        """A signal whose price or quantity no layer could measure."""
        self._alarm.see(
            AlertLevel.WARNING,
            "INVALID_SIGNAL",
            f"{signal.symbol}: {problem}",
            symbol=signal.symbol,
        )
        self._emitter.emit(
            RiskDecision,
            decision_id=self._emitter.next_id(),
            signal_id=signal.signal_id,
            order_id=None,
            origin=Origin.SIGNAL,
            symbol=signal.symbol,
            side=signal.direction,
            reduce_only=False,
            verdict=Verdict.REJECTED,
            reason=Reason.INVALID_SIGNAL,
            binding_limit=None,
            requested_quantity=ZERO,
            quantity=ZERO,
            price=None,
            stop_loss_price=None,
            leverage=self._settings.max_leverage,
            equity=self._portfolio.equity,
            trading_state=self._state.account,
            sizing={},
            layers=not_measured(problem),
        )

    def _tell_limits(self, symbol: str, judgement: Judgement, sized: SizedEntry) -> None:
        """Alert when layers 4, 5 and 7 begin to bind, and when they no longer do."""
        binding = {layer: str(reason) for layer, reason in judgement.failures}
        if sized.binding_limit == exposure.POSITION_LAYER:
            binding.setdefault(5, "trimmed")
        for layer, (level, code) in BLOCK_ALERTS.items():
            if layer in binding:
                message = f"{symbol}: layer {layer} binds ({binding[layer]})"
                self._alarm.see(level, code, message, symbol=symbol, layer=layer)
            else:
                self._alarm.clear(code, symbol=symbol, layer=layer)


def is_tradable_price(price: Decimal) -> bool:
    """Whether a price (quote per base) can be reckoned with at all."""
    return price.is_finite() and LOWEST_PRICE <= price <= HIGHEST_PRICE


def _problem(signal: Signal) -> str | None:
    if not is_tradable_price(signal.price):
        return (
            f"price {signal.price} cannot be traded; "
            f"one from {LOWEST_PRICE} to {HIGHEST_PRICE} is needed"
        )
    quantity = signal.quantity
    if quantity is not None and (not quantity.is_finite() or quantity <= 0):
        return f"quantity {quantity} cannot be traded; a finite quantity above 0 is needed"
    return None
