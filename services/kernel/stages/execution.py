"""The execution stage: approved orders and the market in, results out."""

from decimal import Decimal
from typing import ClassVar

import msgspec

from services.kernel import topics
from services.kernel.alerts import Alarm
from services.kernel.emitter import Emitter
from services.kernel.events import (
    AlertLevel,
    Clock,
    Condition,
    ConditionName,
    ConditionPhase,
    Event,
    Instruments,
    MarketData,
    MarketDataKind,
    Order,
    OrderResult,
    OrderStatus,
    PortfolioSnapshot,
    RiskDecision,
    RunEnded,
    RunStarted,
    TradingState,
    TradingStateChanged,
    Verdict,
)
from services.kernel.execution import guard
from services.kernel.execution.state import Approval, ExecutionState
from services.kernel.fills import Fill, MarketState, market_fill
from services.kernel.instruments import generic_instrument
from services.kernel.portfolio import Portfolio
from services.kernel.risk.reasons import Reason
from services.kernel.risk.trading import FORBIDDING_CONDITIONS, condition_key
from services.kernel.settings import TradingSettings
from services.kernel.stages.checksums import compare_checksum, remember_checksum

ZERO = Decimal(0)
LIQUIDITY_TAKER = "taker"


class ExecutionStage:
    """Guards, holds and fills orders; fills are simulated at the market after the latency."""

    name: ClassVar[str] = topics.EXECUTION
    topics: ClassVar[frozenset[str]] = topics.CONSUMES[topics.EXECUTION]

    def __init__(self) -> None:
        self._emitter = Emitter(self.name)
        self._wire(ExecutionState())
        self._handlers = {
            MarketData: self._on_tick,
            Clock: self._on_clock,
            RiskDecision: self._on_decision,
            Order: self._on_order,
            OrderResult: self._on_own_result,
            TradingStateChanged: self._on_trading_state,
            Condition: self._on_condition,
            Instruments: self._on_instruments,
            PortfolioSnapshot: self._on_snapshot,
            RunEnded: self._on_run_ended,
        }

    def handle(self, event: Event) -> list[Event]:
        """Take one event; before ``run_started`` all others are ignored."""
        self._emitter.begin(event)
        if self.state.run_id:
            handler = self._handlers.get(type(event))
            if handler is not None:
                handler(event)  # type: ignore[operator]
        if isinstance(event, RunStarted):
            self._start(event)
        return self._emitter.outputs()

    def snapshot(self) -> bytes:
        """Execution's whole state, the portfolio's included."""
        self.state.portfolio = self.portfolio.state
        return msgspec.json.encode(self.state)

    def restore(self, snapshot: bytes) -> None:
        """Become what `snapshot` was made from."""
        self._wire(msgspec.json.decode(snapshot, type=ExecutionState))

    def status(self) -> dict[str, object]:
        """Open orders and approvals, and what forbids entries."""
        state = self.state
        return {
            "account": state.account,
            "open_orders": len(state.open),
            "approvals_waiting": len(state.approvals),
            "positions": len(self.portfolio.state.positions),
            "conditions": dict(state.conditions),
        }

    def _wire(self, state: ExecutionState) -> None:
        self.state = state
        self.portfolio = Portfolio()
        self.portfolio.state = state.portfolio
        self.settings = TradingSettings.parse(state.settings)[0]
        self._emitter.run_id = state.run_id
        self._alarm = Alarm(self._emitter, state.alerts)

    def _start(self, event: RunStarted) -> None:
        self._cancel_all(Reason.RUN_ENDED)  # of the run before, should it not have ended
        state = ExecutionState(run_id=event.run_id, settings=event.settings)
        account = event.account
        if account.halted is not None:
            state.account = TradingState.HALTED
        elif account.paused:
            state.account = TradingState.PAUSED
        state.symbol_states = dict.fromkeys(account.paused_symbols, TradingState.PAUSED)
        state.symbol_states |= dict.fromkeys(account.quarantined, TradingState.QUARANTINED)
        self._wire(state)
        self.portfolio.apply(event)

    def _on_tick(self, tick: MarketData) -> None:
        if tick.backfill:
            return
        self.portfolio.apply(tick)
        state = self.state
        market = state.markets.get(tick.symbol)
        if market is None:
            market = state.markets[tick.symbol] = MarketState()
        if tick.kind is MarketDataKind.TRADE:
            if tick.price is None or tick.volume is None or tick.price <= 0:
                return
            market.on_trade(tick.timestamp, tick.price, tick.volume)
        elif tick.bid is not None or tick.ask is not None:
            market.on_quote(tick.timestamp, tick.bid, tick.ask)
            if market.bid is None or market.ask is None:
                return
        else:
            return
        if state.open:
            for order in list(state.open.values()):
                if order.symbol == tick.symbol:
                    self._try_fill(order, market, tick)

    def _on_clock(self, clock: Clock) -> None:
        previous, self.state.clock = self.state.clock, clock.timestamp
        self.portfolio.apply(clock)
        expiry_ms = self.settings.order_expiry_sec * 1000
        for order in list(self.state.open.values()):
            if not order.reduce_only and clock.timestamp - order.timestamp > expiry_ms:
                self._end(order, OrderStatus.CANCELLED, Reason.EXPIRED)
        remember_checksum(self.state.checksums, clock, previous, self.portfolio)

    def _on_decision(self, decision: RiskDecision) -> None:
        if decision.verdict is Verdict.REJECTED or decision.order_id is None:
            return
        self.state.approvals[decision.order_id] = Approval(
            symbol=decision.symbol,
            side=decision.side,
            quantity=decision.quantity,
            reduce_only=decision.reduce_only,
        )

    def _on_order(self, order: Order) -> None:
        if order.external:  # its id may be that of another: it must not use up anything
            self._refuse(order, Reason.NOT_APPROVED)
            return
        reason = guard.refuse(
            order,
            first_time=self.state.see(order.order_id),
            approval=self.state.approvals.pop(order.order_id, None),
            state=self.state,
            settings=self.settings,
            position=self._position(order.symbol),
            mark_price=self.portfolio.mark_price(order.symbol),
            equity=self.portfolio.equity,
        )
        if reason is not None:
            self._refuse(order, reason)
        elif self.state.ended:
            self._report(order, OrderStatus.CANCELLED, Reason.RUN_ENDED)
        else:
            self._alarm.clear("ORDER_REFUSED", symbol=order.symbol)
            self.state.open[order.order_id] = order

    def _refuse(self, order: Order, reason: Reason) -> None:
        """Refuse an order; one of the same id that is open already stays open."""
        if reason is not Reason.NOTHING_TO_REDUCE:
            message = f"order {order.order_id} refused: {reason}"
            self._alarm.see(
                AlertLevel.WARNING, "ORDER_REFUSED", message, symbol=order.symbol, reason=reason
            )
        self._report(order, OrderStatus.REJECTED, reason)

    def _on_own_result(self, result: OrderResult) -> None:
        """Execution's own publication, at its place in the order: the fold moves here."""
        self.portfolio.apply(result)
        if result.filled_quantity:
            left = self.state.unconfirmed.get(result.symbol, ZERO)
            left -= result.filled_quantity * result.side.sign
            if left:
                self.state.unconfirmed[result.symbol] = left
            else:
                self.state.unconfirmed.pop(result.symbol, None)

    def _on_trading_state(self, event: TradingStateChanged) -> None:
        self.portfolio.apply(event)
        if event.symbol is None:
            self.state.account = event.state
        else:
            self.state.symbol_states[event.symbol] = event.state
        self._cancel_forbidden()

    def _on_condition(self, event: Condition) -> None:
        if event.name not in FORBIDDING_CONDITIONS:
            return
        key = condition_key(event.producer, event.name, event.symbol)
        if event.phase is ConditionPhase.CLEARED:
            self.state.conditions.pop(key, None)
        else:
            self.state.conditions[key] = event.detail
            self._cancel_forbidden()

    def _on_instruments(self, event: Instruments) -> None:
        self.portfolio.apply(event)
        for instrument in event.instruments:
            self.state.instruments[instrument.symbol] = instrument

    def _on_snapshot(self, event: PortfolioSnapshot) -> None:
        """No entries at once; the condition that it publishes halts the account."""
        mismatch = compare_checksum(self.state.checksums, event)
        if mismatch is None:
            return
        key = condition_key(self.name, ConditionName.CHECKSUM_MISMATCH, None)
        if key not in self.state.conditions:
            self._emitter.emit(
                Condition,
                name=ConditionName.CHECKSUM_MISMATCH,
                phase=ConditionPhase.BEGAN,
                symbol=None,
                detail=mismatch,
            )
        self.state.conditions[key] = mismatch
        self._alarm.see(AlertLevel.CRITICAL, "CHECKSUM_MISMATCH", mismatch)
        self._cancel_forbidden()

    def _on_run_ended(self, _: RunEnded) -> None:
        self.state.ended = True
        self._cancel_all(Reason.RUN_ENDED)

    def _cancel_all(self, reason: Reason) -> None:
        for order in list(self.state.open.values()):
            self._end(order, OrderStatus.CANCELLED, reason)

    def _cancel_forbidden(self) -> None:
        """Cancel every open entry that may not be open any more."""
        for order in list(self.state.open.values()):
            if order.reduce_only:
                continue
            forbidden = self.state.forbids_entries(order.symbol)
            if forbidden is not None:
                self._end(order, OrderStatus.CANCELLED, forbidden)

    def _position(self, symbol: str) -> Decimal:
        """Signed open quantity, fills that are not read back yet included."""
        return self.portfolio.quantity(symbol) + self.state.unconfirmed.get(symbol, ZERO)

    def _try_fill(self, order: Order, market: MarketState, tick: MarketData) -> None:
        if tick.timestamp - order.timestamp < self.settings.sim_latency_ms:
            return
        quantity = order.quantity
        if order.reduce_only:
            quantity = guard.reducible(order, self._position(order.symbol))
            if quantity <= 0:
                self._end(order, OrderStatus.CANCELLED, Reason.NOTHING_TO_REDUCE)
                return
        instrument = self.state.instruments.get(order.symbol) or generic_instrument(
            order.symbol, Decimal("0.00000001")
        )
        fill = market_fill(
            order.side,
            quantity,
            order.price,
            market,
            tick.timestamp,
            instrument,
            self.settings,
        )
        refused = self._refused_at_fill(order, fill)
        if refused is not None:
            self._end(order, OrderStatus.REJECTED, refused, fill)
            return
        signed = quantity * order.side.sign
        self.state.unconfirmed[order.symbol] = (
            self.state.unconfirmed.get(order.symbol, ZERO) + signed
        )
        whole = quantity == order.quantity
        capped = None if whole else Reason.REDUCED_TO_POSITION
        self._end(order, OrderStatus.FILLED, capped, fill, quantity)

    def _refused_at_fill(self, order: Order, fill: Fill) -> Reason | None:
        """What forbids this fill of an entry; an exit is never refused."""
        if self._slips_too_far(order, fill):
            return Reason.SLIPPAGE_EXCEEDED
        if order.reduce_only:
            return None
        position, equity = self._position(order.symbol), self.portfolio.equity
        if guard.is_too_large(order, position, fill.price, equity, self.settings):
            message = f"order {order.order_id} refused: {Reason.ABOVE_POSITION_GUARD}"
            self._alarm.see(AlertLevel.WARNING, "ORDER_REFUSED", message, symbol=order.symbol)
            return Reason.ABOVE_POSITION_GUARD
        return None

    def _slips_too_far(self, order: Order, fill: Fill) -> bool:
        """Whether the fill slips beyond the limit; alerted always, and an entry is rejected."""
        limit = self.settings.max_slippage_pct
        if fill.slippage_pct <= limit:
            self._alarm.clear("SLIPPAGE", symbol=order.symbol, layer=2)
            return False
        message = f"order {order.order_id} would slip {fill.slippage_pct:.4f}, limit {limit}"
        self._alarm.see(AlertLevel.WARNING, "SLIPPAGE", message, symbol=order.symbol, layer=2)
        return not order.reduce_only

    def _end(
        self,
        order: Order,
        status: OrderStatus,
        reason: Reason | None,
        fill: Fill | None = None,
        filled: Decimal = ZERO,
    ) -> None:
        """Give an open order its final result."""
        del self.state.open[order.order_id]
        self._report(order, status, reason, fill, filled)

    def _report(
        self,
        order: Order,
        status: OrderStatus,
        reason: Reason | None,
        fill: Fill | None = None,
        filled: Decimal = ZERO,
    ) -> None:
        is_filled = fill is not None and filled > 0
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
            liquidity=LIQUIDITY_TAKER if is_filled else None,
            stop_loss_price=order.stop_loss_price,
            leverage=order.leverage,
            reason=reason,
            latency_ms=self._emitter.cause.timestamp - order.timestamp if is_filled else None,
            fill=fill.arithmetic if fill is not None else {},
        )
