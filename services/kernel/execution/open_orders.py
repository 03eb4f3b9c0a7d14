"""The desk: open orders, what every tick does to them, and the results they come to."""

from decimal import Decimal

from msgspec.structs import replace

from services.kernel.desk import Desk
from services.kernel.events import (
    AlertLevel,
    MarketData,
    Order,
    OrderResult,
    OrderStatus,
    Origin,
    Side,
)
from services.kernel.execution import last_guard
from services.kernel.execution.approval import ApprovedOrder
from services.kernel.execution.state import ExecutionState
from services.kernel.instruments.contracts import Instrument, contract_of
from services.kernel.matching.fills import (
    LIQUIDATION,
    MAKER,
    Fill,
    FillRequest,
    SimulatedMarket,
    capped_fill,
    market_fill,
    takeover_fill,
)
from services.kernel.matching.matching import Match, WorkingOrder, match
from services.kernel.portfolio import margin
from services.kernel.portfolio.stops import stop_price
from services.kernel.reasons import Reason
from services.kernel.units import ZERO

UNFILLED = "ORDER_UNFILLED"
"""Alert: an order waits for a market that trades too little, or nothing."""


class FillDesk(Desk[ExecutionState]):
    """Keeps accepted orders until they are filled or ended, and reports both."""

    def accept(self, approved: ApprovedOrder) -> None:
        """Keep an order that the guard let pass."""
        order = approved.order
        market = self._state.markets.get(order.symbol) or SimulatedMarket()
        position = self._portfolio.state.positions.get(order.symbol)
        self._state.open[order.order_id] = WorkingOrder.of(order, market, position)

    def position(self, symbol: str) -> Decimal:
        """Signed open quantity, fills that are not read back yet included."""
        return self._portfolio.quantity(symbol) + self._state.unconfirmed.get(symbol, ZERO)

    def on_tick(self, tick: MarketData, market: SimulatedMarket) -> None:
        """Meet the symbol's open orders, oldest first, with a trade, a quote or a book."""
        for working in list(self._state.open.values()):
            if working.order.symbol == tick.symbol:
                self._meet(working, market, tick)

    def expire(self, now: int) -> None:
        """Entries that were not filled in time; on bars each has met the next point first."""
        expiry_ms = self._settings.order_expiry_sec * 1000
        for working in self._open_entries():
            if now - working.order.timestamp > expiry_ms and not self._awaits_a_point(working):
                self._end(working, OrderStatus.CANCELLED, Reason.EXPIRED)
        for working in self._state.open.values():
            if self._waits_too_long(working, now):
                self._alert_unfilled(working)

    def cancel_all(self, reason: Reason) -> None:
        """Whatever is open."""
        for working in list(self._state.open.values()):
            self._end(working, OrderStatus.CANCELLED, reason)

    def cancel_forbidden(self) -> None:
        """Every open entry that may not be open any more."""
        for working in self._open_entries():
            forbidden = self._state.forbids_entries(working.order.symbol)
            if forbidden is not None:
                self._end(working, OrderStatus.CANCELLED, forbidden)

    def cancel_entries(self, symbol: str, side: Side) -> None:
        """The open entries of one side: what they would open is being left."""
        for working in self._open_entries():
            if working.order.symbol == symbol and working.order.side is side:
                self._end(working, OrderStatus.CANCELLED, Reason.CANCELLED_BY_EXIT)

    def report(
        self,
        order: Order,
        status: OrderStatus,
        reason: Reason | None,
        fill: Fill | None = None,
        filled: Decimal = ZERO,
        stop: Decimal | None = None,
    ) -> None:
        """Publish what became of an order; ``fill`` without ``filled`` is one that was refused.

        ``stop`` is the stop of what was filled, and the arithmetic names the equity it was set
        with; without one the result repeats the order's.
        """
        is_filled = fill is not None and filled > 0
        arithmetic = {} if fill is None else fill.arithmetic
        if stop is not None:
            arithmetic = {**arithmetic, "equity": self._portfolio.equity}
        self._emitter.emit(
            OrderResult,
            correlation_id=order.correlation_id,
            order_id=order.order_id,
            signal_id=order.signal_id,
            origin=order.origin,
            status=status,
            symbol=order.symbol,
            side=order.side,
            reduce_only=order.reduce_only,
            quantity=order.quantity,
            filled_quantity=filled,
            filled_price=fill.price if fill is not None and is_filled else None,
            slippage_bps=fill.slippage_bps if fill is not None else None,
            fees=fill.fees if fill is not None and is_filled else ZERO,
            liquidity=fill.liquidity if fill is not None and is_filled else None,
            stop_loss_price=order.stop_loss_price if stop is None else stop,
            leverage=order.leverage,
            reason=reason,
            latency_ms=self._emitter.cause.timestamp - order.timestamp if is_filled else None,
            fill=arithmetic,
        )

    def _waits_too_long(self, working: WorkingOrder, now: int) -> bool:
        """Whether an order that takes what there is has not found enough for the stale timeout."""
        timeout_ms = self._settings.data_stale_timeout_sec * 1000
        return (
            not working.untriggered and not working.resting and now - working.active_at > timeout_ms
        )

    def _alert_unfilled(self, working: WorkingOrder) -> None:
        order = working.order
        message = (
            f"order {order.order_id} to {order.side} {order.symbol}: {working.leaves_quantity} of"
            f" {order.quantity} not filled after {self._settings.data_stale_timeout_sec} s"
        )
        self._alarm.see(AlertLevel.WARNING, UNFILLED, message, symbol=order.symbol)

    def _awaits_a_point(self, working: WorkingOrder) -> bool:
        """Whether the market is made of bars, and the order has not met its next point yet."""
        market = self._state.markets.get(working.order.symbol)
        return market is not None and market.bar is not None and not working.met

    def _open_entries(self) -> list[WorkingOrder]:
        return [w for w in self._state.open.values() if not w.order.reduce_only]

    def _meet(self, working: WorkingOrder, market: SimulatedMarket, tick: MarketData) -> None:
        order, now = working.order, tick.timestamp
        if now - working.active_at < self._settings.sim_latency_ms:
            return
        quantity = working.leaves_quantity
        if not order.reduce_only and order.symbol in self._state.unconfirmed:
            return  # its stop depends on what is open, and the fold does not have the last fill yet
        if order.reduce_only:
            quantity = last_guard.reducible(
                working.leaves_quantity, order.side, self.position(order.symbol)
            )
            if quantity <= 0:
                self._end(working, OrderStatus.CANCELLED, Reason.NOTHING_TO_REDUCE)
                return
        working.met = True
        if working.untriggered:
            if working.is_triggered(self._portfolio.mark_price(order.symbol)):
                working.trigger(order.trigger_price or order.price, market)
                working.active_at = now
                self.report(order, OrderStatus.PENDING, Reason.TRIGGERED)
            return
        unconfirmed = self._portfolio.unconfirmed_jump(order.symbol) is not None
        if unconfirmed and (working.resting or market.book.fresh(now) is None):
            return  # an unconfirmed print fills nothing
        met = self._capped(order, self._match(working, quantity, market, tick))
        working.starts_there = False
        working.resting = working.resting or met.resting
        if met.fill is not None and not self._book(working, quantity, met.fill, market):
            return
        if met.final_status is not None and order.order_id in self._state.open:
            self._end(working, met.final_status, met.reason)

    def _match(
        self, working: WorkingOrder, quantity: Decimal, market: SimulatedMarket, tick: MarketData
    ) -> Match:
        order = working.order
        instrument = self._instrument(order.symbol)
        if order.origin is not Origin.LIQUIDATION:
            return match(working, quantity, market, tick, instrument, self._settings)
        request = replace(
            working.request(quantity, market, tick.bar), fee_rate=instrument.liquidation_fee_rate
        )
        position = self._portfolio.state.positions.get(order.symbol)
        bankruptcy = position.bankruptcy_price if position is not None else None
        if bankruptcy is not None:
            return Match(fill=takeover_fill(request, bankruptcy, instrument))
        return Match(fill=market_fill(request, market, tick.timestamp, instrument, self._settings))

    def _capped(self, order: Order, met: Match) -> Match:
        """Margin is a cap: what closes a position never fills beyond what backs that position.

        An entry against the position is filled for that position alone there; its rest ends.
        """
        fill, symbol, sign = met.fill, order.symbol, order.side.sign
        closes = -self.position(symbol) * sign
        if fill is None or closes <= 0 or symbol not in self._portfolio.state.positions:
            return met
        fee_rate = fill.arithmetic["fee_rate"]
        worst = margin.worst_exit_price(self._portfolio.state, symbol, fee_rate)
        if worst is None or (fill.price - worst) * sign <= 0:
            return met
        request = FillRequest(
            side=order.side, quantity=closes, order_price=order.price, fee_rate=fee_rate
        )
        capped = capped_fill(request, fill, worst, self._instrument(symbol))
        if capped.quantity == fill.quantity:
            return replace(met, fill=capped)
        final_status, reason = OrderStatus.CANCELLED, Reason.REDUCED_TO_POSITION
        return Match(fill=capped, final_status=final_status, reason=reason)

    def _book(
        self, working: WorkingOrder, allowed: Decimal, fill: Fill, market: SimulatedMarket
    ) -> bool:
        """Report a fill and keep what it leaves; False where it is refused, which ends the order.

        Args:
            working: The order.
            allowed: What could be filled: all that is left, or what the position can be reduced by.
            fill: What was.
            market: It is taken from there.
        """
        order = working.order
        stop = self._stop_at(working, fill)
        refused = self._refused_at_fill(order, fill, stop)
        if refused is not None:
            untouched = (
                working.leaves_quantity == order.quantity and refused is not Reason.STOP_PASSED
            )
            status = OrderStatus.REJECTED if untouched else OrderStatus.CANCELLED
            self._end(working, status, refused, fill)
            return False
        market.consume(fill, order.side, self._instrument(order.symbol))
        signed = fill.quantity * order.side.sign
        unconfirmed = self._state.unconfirmed
        unconfirmed[order.symbol] = unconfirmed.get(order.symbol, ZERO) + signed
        if fill.quantity == allowed:
            capped = None if allowed == working.leaves_quantity else Reason.REDUCED_TO_POSITION
            working.leaves_quantity = ZERO
            self._end(working, OrderStatus.FILLED, capped, fill, fill.quantity, stop)
        else:
            working.leaves_quantity -= fill.quantity
            self.report(order, OrderStatus.PARTIALLY_FILLED, None, fill, fill.quantity, stop)
        return True

    def _stop_at(self, working: WorkingOrder, fill: Fill) -> Decimal | None:
        """Where the stop of an entry is after this fill; None for an exit."""
        order = working.order
        if order.stop_loss_price is None:
            return None
        return stop_price(
            order.side,
            fill.price,
            stop_pct=(order.price - order.stop_loss_price) * order.side.sign / order.price,
            risked=self._settings.risk_per_trade_pct * self._portfolio.equity,
            ordered=order.quantity,
            unfilled=working.leaves_quantity,
            instrument=self._instrument(order.symbol),
            position=self._portfolio.state.positions.get(order.symbol),
        )

    def _passes_its_stop(self, order: Order, fill: Fill, stop: Decimal | None) -> bool:
        """Whether an entry would be stopped at once: by the decision's stop, or by the fill's."""
        if order.stop_loss_price is None or stop is None:
            return False
        mark = self._portfolio.mark_price(order.symbol) or fill.price
        sign = order.side.sign
        nearest = max(order.stop_loss_price * sign, stop * sign)
        return min(fill.price * sign, mark * sign) <= nearest

    def _refused_at_fill(self, order: Order, fill: Fill, stop: Decimal | None) -> Reason | None:
        """What forbids this fill of an entry; an exit is never refused."""
        if self._slips_too_far(order, fill):
            return Reason.SLIPPAGE_EXCEEDED
        if order.reduce_only:
            return None
        if self._passes_its_stop(order, fill, stop):
            return Reason.STOP_PASSED
        after = self.position(order.symbol) + fill.quantity * order.side.sign
        unit_value = self._instrument(order.symbol).unit_value(fill.price)
        if last_guard.is_too_large(after, unit_value, self._portfolio.equity, self._settings):
            message = f"order {order.order_id} refused: {Reason.ABOVE_POSITION_GUARD}"
            self._alarm.see(AlertLevel.WARNING, "ORDER_REFUSED", message, symbol=order.symbol)
            return Reason.ABOVE_POSITION_GUARD
        return None

    def _slips_too_far(self, order: Order, fill: Fill) -> bool:
        """Whether the fill slips beyond the limit; alerted always, and an entry is rejected."""
        if fill.liquidity in (MAKER, LIQUIDATION):
            return False  # at its own price; at the price at which the margin is lost
        limit = self._settings.max_slippage_pct
        if fill.slippage_pct <= limit:
            self._alarm.clear("SLIPPAGE", symbol=order.symbol, layer=2)
            return False
        message = f"order {order.order_id} would slip {fill.slippage_pct:.4f}, limit {limit}"
        self._alarm.see(AlertLevel.WARNING, "SLIPPAGE", message, symbol=order.symbol, layer=2)
        return not order.reduce_only

    def _instrument(self, symbol: str) -> Instrument:
        return contract_of(symbol, self._state.instruments)

    def _end(
        self,
        working: WorkingOrder,
        status: OrderStatus,
        reason: Reason | None,
        fill: Fill | None = None,
        filled: Decimal = ZERO,
        stop: Decimal | None = None,
    ) -> None:
        """Give an open order its final result."""
        del self._state.open[working.order.order_id]
        symbol, now = working.order.symbol, self._state.clock
        others = (o for o in self._state.open.values() if o.order.symbol == symbol)
        if not any(self._waits_too_long(other, now) for other in others):
            self._alarm.clear(UNFILLED, symbol=symbol)
        self.report(working.order, status, reason, fill, filled, stop)
