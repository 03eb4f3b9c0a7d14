"""Exits: what a strategy wants to leave, the stop-loss, liquidation, the emergency stop.

An exit passes every layer and every state. It is refused only when it is malformed or repeated, or
when nothing is left to reduce.
"""

from decimal import Decimal

import msgspec

from services.kernel.desk import Desk, DeskParts
from services.kernel.events import (
    AlertLevel,
    LayerResult,
    LayerVerdict,
    OrderType,
    Origin,
    Side,
    Signal,
    Verdict,
)
from services.kernel.portfolio.account import Position
from services.kernel.reasons import Reason
from services.kernel.risk import exposure
from services.kernel.risk.checks.candidate import RiskCheckInput
from services.kernel.risk.checks.layers import assess_exit
from services.kernel.risk.decisions import DecisionPublisher
from services.kernel.risk.entries import DUPLICATE
from services.kernel.risk.order_terms import OrderTerms, is_tradable_price, terms_of, validate
from services.kernel.risk.state.risk_state import PendingOrder, RiskState
from services.kernel.units import ONE, ZERO

FORCED_EXITS = {
    Origin.LIQUIDATION: (AlertLevel.CRITICAL, "LIQUIDATION", None, "liquidation price reached"),
    Origin.STOP_LOSS: (AlertLevel.WARNING, "RISK_LIMIT", 6, "stop reached"),
    Origin.EMERGENCY_STOP: (AlertLevel.WARNING, "EMERGENCY_EXIT", 1, "emergency stop"),
    Origin.TAKE_PROFIT: (AlertLevel.INFO, "TAKE_PROFIT", 6, "take profit reached"),
}
"""Risk's own exits, the strictest first: alert level, code and layer, and why."""


class ExitDesk(Desk[RiskState]):
    """Decides exits and orders them, always capped to what is open and not yet being closed."""

    def __init__(self, parts: DeskParts[RiskState]) -> None:
        super().__init__(parts)
        self._decisions = DecisionPublisher(parts)

    def on_signal(self, signal: Signal) -> None:
        """Decide a strategy's exit; a price that cannot be traded does not trap the position."""
        position = self._portfolio.state.positions.get(signal.symbol)
        at_market = signal.order_type is OrderType.MARKET
        open_quantity = self._open_quantity(
            signal.symbol, position, signal.direction, at_market=at_market
        )
        price = signal.price if is_tradable_price(signal.price) else None
        if position is None or open_quantity <= 0:
            self._refuse(signal, price, Reason.NOTHING_TO_REDUCE, "no open position to reduce")
            return
        wanted = self._wanted(signal, open_quantity)
        priced = msgspec.structs.replace(signal, price=price or position.mark_price)
        problem = validate(priced)
        if wanted <= 0:
            problem = f"quantity {signal.quantity} cannot be traded; at least one lot is needed"
        if problem is not None:
            self._alarm.see(
                AlertLevel.WARNING,
                "INVALID_SIGNAL",
                f"{signal.symbol}: {problem}",
                symbol=signal.symbol,
            )
            self._refuse(signal, price, Reason.INVALID_SIGNAL, problem)
            return
        self._order(
            origin=Origin.SIGNAL,
            symbol=signal.symbol,
            side=signal.direction,
            quantity=wanted,
            terms=terms_of(priced, self._state.instrument(signal.symbol)),
            position=position,
            signal=signal,
        )

    def refuse_duplicate(self, signal: Signal) -> None:
        """Refuse a signal whose ``signal_id`` was decided before."""
        price = signal.price if is_tradable_price(signal.price) else None
        self._refuse(signal, price, Reason.DUPLICATE_SIGNAL, DUPLICATE)

    def check(self, symbol: str) -> None:
        """Liquidation, stop and emergency stop of one symbol, at its present mark price."""
        position = self._portfolio.state.positions.get(symbol)
        if position is None:
            return
        origin = self._forced(position)
        if origin is None:
            return
        side, mark = position.side.opposite, position.mark_price
        quantity = self._open_quantity(symbol, position, side, at_market=True)
        if origin is Origin.LIQUIDATION:  # the venue reduces a large position tier by tier
            step = self._state.instrument(symbol).above_lower_tier(position.quantity)
            quantity = min(quantity, step - self._state.pending_exits(symbol, side, at_market=True))
        if quantity <= 0:
            return
        level, code, layer, why = FORCED_EXITS[origin]
        source = self._portfolio.price_source(symbol)
        message = f"{symbol}: {why} at {source} price {mark}, stop {position.stop_loss_price}"
        self._alarm.see(level, code, message, symbol=symbol, layer=layer, origin=origin)
        self._order(
            origin=origin,
            symbol=symbol,
            side=side,
            quantity=quantity,
            terms=OrderTerms(price=mark),
            position=position,
            signal=None,
        )

    def check_all(self) -> None:
        """`check` every open position."""
        for symbol in sorted(self._portfolio.state.positions):
            self.check(symbol)

    def on_flat(self, symbol: str) -> None:
        """A position is gone: its exit alerts clear."""
        if symbol not in self._portfolio.state.positions:
            for _, code, layer, _ in FORCED_EXITS.values():
                self._alarm.clear(code, symbol=symbol, layer=layer)

    def _open_quantity(
        self, symbol: str, position: Position | None, side: Side, *, at_market: bool = False
    ) -> Decimal:
        """What an exit of this side may still close, in the contract's unit."""
        if position is None or position.side is side:
            return ZERO
        return abs(position.quantity) - self._state.pending_exits(symbol, side, at_market=at_market)

    def _wanted(self, signal: Signal, open_quantity: Decimal) -> Decimal:
        """What the signal asks for, capped, in whole lots; 0 when it is malformed."""
        asked = signal.quantity
        if asked is None:
            return open_quantity
        if not asked.is_finite() or asked <= 0:
            return ZERO
        if asked >= open_quantity:
            return open_quantity
        return self._state.instrument(signal.symbol).round_down_to_lot(asked)

    def _forced(self, position: Position) -> Origin | None:
        """What closes the position at its present mark price; None when nothing does."""
        if self._portfolio.liquidates(position):
            return Origin.LIQUIDATION
        mark, is_long = position.mark_price, position.quantity > 0
        stop, goal = position.stop_loss_price, position.take_profit_price
        if stop is not None and (mark <= stop if is_long else mark >= stop):
            return Origin.STOP_LOSS
        if self._state.emergency:
            return Origin.EMERGENCY_STOP
        reached = goal is not None and (mark >= goal if is_long else mark <= goal)
        return Origin.TAKE_PROFIT if reached else None

    def _refuse(self, signal: Signal, price: Decimal | None, reason: Reason, detail: str) -> None:
        self._decisions.reject(signal, reason, detail, price=price, leverage=ONE)

    def _order(
        self,
        *,
        origin: Origin,
        symbol: str,
        side: Side,
        quantity: Decimal,
        terms: OrderTerms,
        position: Position,
        signal: Signal | None,
    ) -> None:
        decision = self._decisions.decide(
            signal=signal,
            origin=origin,
            symbol=symbol,
            side=side,
            reduce_only=True,
            verdict=Verdict.APPROVED,
            reason=None,
            binding_limit=None,
            requested=quantity,
            quantity=quantity,
            price=terms.price,
            stop_loss_price=position.stop_loss_price,
            leverage=position.leverage,
            sizing={
                "position": position.quantity,
                "entry_price": position.entry_price,
                "mark_price": position.mark_price,
            },
            layers=self._layers(symbol, side, quantity, terms.price, position),
            price_source=self._portfolio.price_source(symbol),
        )
        names = (layer.name for layer in decision.layers)
        order_id = self._decisions.place(
            decision,
            terms,
            stop_loss_price=None,
            risk_checks=dict.fromkeys(names, LayerVerdict.PASS),
        )
        self._state.pending[order_id] = PendingOrder(
            symbol=symbol,
            side=side,
            quantity=quantity,
            price=terms.price,
            reduce_only=True,
            own_price=not terms.takes_at_once,
        )

    def _layers(
        self, symbol: str, side: Side, quantity: Decimal, price: Decimal, position: Position
    ) -> tuple[LayerResult, ...]:
        state, portfolio = self._state, self._portfolio
        return assess_exit(
            RiskCheckInput(
                settings=self._settings,
                instrument=self._state.instrument(symbol),
                contract_known=symbol in state.instruments,
                health=state.symbol_health(symbol),
                side=side,
                quantity=quantity,
                price=price,
                order_price=price,
                mark_price=position.mark_price,
                stop_loss_price=position.stop_loss_price or ZERO,
                leverage=position.leverage,
                equity=portfolio.equity,
                daily_drawdown_pct=portfolio.daily_drawdown_pct,
                drawdown_pct=portfolio.drawdown_pct,
                account_state=state.account,
                position=position.quantity,
                others=exposure.other_exposure(
                    state, portfolio, symbol, side, self._settings.correlation_threshold
                ),
                streak=state.streak(symbol),
                entries_last_hour=state.entries_within_the_hour(),
                open_conditions=state.open_conditions(symbol),
                now=state.clock,
                signal_age_ms=0,
                unconfirmed_jump=portfolio.unconfirmed_jump(symbol),
                price_source=portfolio.price_source(symbol),
            )
        )
