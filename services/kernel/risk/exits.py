"""Exits: what a strategy wants to leave, the stop-loss, liquidation, the emergency stop.

An exit passes every layer and every state. It is refused only when nothing is left to reduce.
"""

from decimal import Decimal

from services.kernel import perpetuals
from services.kernel.alerts import Alarm
from services.kernel.emitter import Emitter
from services.kernel.events import (
    AlertLevel,
    LayerResult,
    LayerVerdict,
    Order,
    OrderType,
    Origin,
    RiskDecision,
    Side,
    Signal,
    Verdict,
)
from services.kernel.portfolio import Portfolio, Position
from services.kernel.risk import exposure
from services.kernel.risk.entries import EntryDesk
from services.kernel.risk.layers import EntryContext, judge_exit
from services.kernel.risk.reasons import Reason
from services.kernel.risk.state import PendingOrder, RiskState
from services.kernel.settings import TradingSettings

ZERO = Decimal(0)
ONE = Decimal(1)


class ExitDesk:
    """Decides exits and orders them, always capped to what is open and not yet being closed."""

    def __init__(
        self,
        state: RiskState,
        portfolio: Portfolio,
        settings: TradingSettings,
        emitter: Emitter,
        alarm: Alarm,
        entries: EntryDesk,
    ) -> None:
        self._state = state
        self._portfolio = portfolio
        self._settings = settings
        self._emitter = emitter
        self._alarm = alarm
        self._entries = entries

    def on_signal(self, signal: Signal) -> None:
        """Decide a strategy's exit."""
        position = self._portfolio.state.positions.get(signal.symbol)
        open_quantity = self._open_quantity(signal.symbol, position, signal.direction)
        wanted = open_quantity
        if signal.quantity is not None and signal.quantity.is_finite() and signal.quantity > 0:
            wanted = min(open_quantity, signal.quantity)
        price = signal.price if signal.price.is_finite() and signal.price > 0 else None
        if position is None or open_quantity <= 0:
            self._refuse(signal, price)
            return
        self._order(
            origin=Origin.SIGNAL,
            symbol=signal.symbol,
            side=signal.direction,
            quantity=wanted,
            price=price or position.mark_price,
            position=position,
            signal=signal,
        )

    def check(self, symbol: str) -> None:
        """Liquidation, stop and emergency stop of one symbol, at its present mark price."""
        position = self._portfolio.state.positions.get(symbol)
        if position is None:
            return
        side = position.side.opposite
        mark, stop = position.mark_price, position.stop_loss_price
        stopped = stop is not None and (mark - stop) * position.side.sign <= 0
        if not (stopped or stop is None or self._state.emergency):
            return
        quantity = self._open_quantity(symbol, position, side)
        if quantity <= 0:
            return
        if self._is_liquidated(symbol, position):
            origin, level, why = (
                Origin.LIQUIDATION,
                AlertLevel.CRITICAL,
                "liquidation price reached",
            )
        elif stopped:
            origin, level, why = Origin.STOP_LOSS, AlertLevel.WARNING, f"stop {stop} reached"
        elif self._state.emergency:
            origin, level, why = Origin.EMERGENCY_STOP, AlertLevel.WARNING, "emergency stop"
        else:
            return
        message = f"{symbol}: {why} at mark price {mark}"
        self._alarm.see(level, "RISK_LIMIT", message, symbol=symbol, layer=6, origin=origin)
        self._order(
            origin=origin,
            symbol=symbol,
            side=side,
            quantity=quantity,
            price=mark,
            position=position,
            signal=None,
        )

    def check_all(self) -> None:
        """`check` every open position."""
        for symbol in sorted(self._portfolio.state.positions):
            self.check(symbol)

    def on_flat(self, symbol: str) -> None:
        """A position is gone: its exit alert clears."""
        if symbol not in self._portfolio.state.positions:
            self._alarm.clear("RISK_LIMIT", symbol=symbol, layer=6)

    def _open_quantity(self, symbol: str, position: Position | None, side: Side) -> Decimal:
        """What an exit of this side may still close, in base."""
        if position is None or position.side is side:
            return ZERO
        return abs(position.quantity) - self._state.pending_exits(symbol, side)

    def _is_liquidated(self, symbol: str, position: Position) -> bool:
        instrument = self._entries.instrument(symbol)
        entry = position.entry_price
        price = perpetuals.liquidation_price(
            position.quantity,
            entry,
            perpetuals.initial_margin(position.quantity, entry, position.leverage),
            instrument.maintenance_margin_rate,
        )
        return (position.mark_price - price) * position.side.sign <= 0

    def _refuse(self, signal: Signal, price: Decimal | None) -> None:
        self._emitter.emit(
            RiskDecision,
            decision_id=self._emitter.next_id(),
            signal_id=signal.signal_id,
            order_id=None,
            origin=Origin.SIGNAL,
            symbol=signal.symbol,
            side=signal.direction,
            reduce_only=True,
            verdict=Verdict.REJECTED,
            reason=Reason.NOTHING_TO_REDUCE,
            binding_limit=None,
            requested_quantity=ZERO,
            quantity=ZERO,
            price=price,
            stop_loss_price=None,
            leverage=ONE,
            equity=self._portfolio.equity,
            trading_state=self._state.account,
            sizing={},
            layers=(),
        )

    def _order(
        self,
        *,
        origin: Origin,
        symbol: str,
        side: Side,
        quantity: Decimal,
        price: Decimal,
        position: Position,
        signal: Signal | None,
    ) -> None:
        decision_id = self._emitter.next_id()
        order_id = self._emitter.id_after_next()
        correlation = signal.correlation_id if signal is not None else decision_id
        layers = self._layers(symbol, side, quantity, price, position)
        self._emitter.emit(
            RiskDecision,
            correlation_id=correlation,
            decision_id=decision_id,
            signal_id=signal.signal_id if signal is not None else None,
            order_id=order_id,
            origin=origin,
            symbol=symbol,
            side=side,
            reduce_only=True,
            verdict=Verdict.APPROVED,
            reason=None,
            binding_limit=None,
            requested_quantity=quantity,
            quantity=quantity,
            price=price,
            stop_loss_price=position.stop_loss_price,
            leverage=position.leverage,
            equity=self._portfolio.equity,
            trading_state=self._state.account,
            sizing={
                "position": position.quantity,
                "entry_price": position.entry_price,
                "mark_price": position.mark_price,
            },
            layers=layers,
        )
        self._emitter.emit(
            Order,
            correlation_id=correlation,
            order_id=order_id,
            signal_id=signal.signal_id if signal is not None else None,
            origin=origin,
            symbol=symbol,
            side=side,
            quantity=quantity,
            price=price,
            order_type=OrderType.MARKET,
            reduce_only=True,
            stop_loss_price=None,
            leverage=position.leverage,
            approved_by=self._emitter.producer,
            risk_checks=dict.fromkeys((layer.name for layer in layers), LayerVerdict.PASS),
        )
        self._state.pending[order_id] = PendingOrder(
            symbol=symbol, side=side, quantity=quantity, price=price, reduce_only=True
        )

    def _layers(
        self, symbol: str, side: Side, quantity: Decimal, price: Decimal, position: Position
    ) -> tuple[LayerResult, ...]:
        state, portfolio = self._state, self._portfolio
        return judge_exit(
            EntryContext(
                settings=self._settings,
                instrument=self._entries.instrument(symbol),
                market=state.market(symbol),
                side=side,
                quantity=quantity,
                price=price,
                stop_loss_price=position.stop_loss_price or ZERO,
                leverage=position.leverage,
                equity=portfolio.equity,
                daily_drawdown_pct=portfolio.daily_drawdown_pct,
                drawdown_pct=portfolio.drawdown_pct,
                account_state=state.account,
                position=position.quantity,
                exposure_elsewhere=exposure.exposure_elsewhere(state, portfolio, symbol),
                entries_last_hour=state.entries_within_the_hour(),
                doubts=state.doubts(symbol),
                now=state.clock,
                signal_age_ms=0,
            )
        )
