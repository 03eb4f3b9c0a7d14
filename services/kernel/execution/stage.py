"""The execution stage: approved orders and the market in, results out."""

from typing import ClassVar

import msgspec

from services.kernel.alerts import Alarm
from services.kernel.desk import DeskParts
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
    topics,
)
from services.kernel.execution import last_guard
from services.kernel.execution.approval import Approval, ApprovedOrder, approve
from services.kernel.execution.open_orders import FillDesk
from services.kernel.execution.state import ExecutionState
from services.kernel.handlers import on, table
from services.kernel.market.rows import Rows
from services.kernel.matching.fills import SimulatedMarket
from services.kernel.portfolio import quiet
from services.kernel.portfolio.portfolio import Portfolio
from services.kernel.reasons import Reason
from services.kernel.risk.trading_state import carried
from services.kernel.risk.trading_state.control import FORBIDDING_CONDITIONS, condition_key
from services.kernel.settings.model import TradingSettings
from services.kernel.units import ZERO


class ExecutionStage:
    """Guards, holds and fills orders; fills are simulated at the market after the latency."""

    name: ClassVar[str] = topics.EXECUTION
    topics: ClassVar[frozenset[str]] = topics.CONSUMES[topics.EXECUTION]

    def __init__(self) -> None:
        self._emitter = Emitter(self.name)
        self._wire(ExecutionState())
        self._handlers = table(
            on(MarketData, self._on_tick),
            on(Clock, self._on_clock),
            on(RiskDecision, self._on_decision),
            on(Order, self._on_order),
            on(OrderResult, self._on_own_result),
            on(TradingStateChanged, self._on_trading_state),
            on(Condition, self._on_condition),
            on(Instruments, self._on_instruments),
            on(PortfolioSnapshot, self._on_snapshot),
            on(RunEnded, self._on_run_ended),
        )

    def handle(self, event: Event) -> list[Event]:
        """Take one event; before ``run_started`` all others are ignored."""
        self._emitter.begin(event)
        if self.state.run_id:
            handler = self._handlers.get(type(event))
            if handler is not None:
                handler(event)
        if isinstance(event, RunStarted):
            self._start(event)
        return self._emitter.outputs()

    def quiet_until(self, rows: Rows, row: int) -> int:
        """Up to which row this stage surely emits nothing, as far as its state decides it."""
        state = self.state
        if not state.clock or state.open or state.approvals or state.unconfirmed:
            return row
        return quiet.quiet_until(self.portfolio, rows, row)

    def advance(self, rows: Rows, row: int, upto: int) -> None:
        """Take the quiet rows from ``row`` to before ``upto``."""
        quiet.advance(self.portfolio, rows, row, upto)
        for symbol, trades in rows.trades(row, upto):
            self.state.markets[symbol].skip(trades)
        for time in rows.clocks(row, upto)[-1:]:
            self.state.clock = time

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
        self._desk = FillDesk(
            DeskParts(state, self.portfolio, self.settings, self._emitter, self._alarm)
        )

    def _start(self, event: RunStarted) -> None:
        self._desk.cancel_all(Reason.RUN_ENDED)  # of the run before, should it not have ended
        state = ExecutionState(run_id=event.run_id, settings=event.settings)
        account = event.account
        if account.halted is not None:
            state.account = TradingState.HALTED
        elif account.paused:
            state.account = TradingState.PAUSED
        state.symbol_states = dict.fromkeys(carried.paused_symbols(account), TradingState.PAUSED)
        state.symbol_states |= dict.fromkeys(account.quarantined, TradingState.HALTED)
        self._wire(state)
        self.portfolio.apply(event)

    def _on_tick(self, tick: MarketData) -> None:
        self.portfolio.apply(tick)
        if tick.backfill:
            return
        state = self.state
        market = state.markets.get(tick.symbol)
        if market is None:
            market = state.markets[tick.symbol] = SimulatedMarket()
        if tick.kind is MarketDataKind.TRADE:
            if tick.price is None or tick.volume is None or tick.price <= 0:
                return
            market.on_trade(tick.timestamp, tick.price, tick.volume, tick.bar)
        elif tick.bid is not None or tick.ask is not None or tick.kind is MarketDataKind.DEPTH:
            market.book.on_tick(tick)
            if market.book.bid is None or market.book.ask is None:
                return
        else:
            return
        if state.open:
            self._desk.on_tick(tick, market)

    def _on_clock(self, clock: Clock) -> None:
        previous, self.state.clock = self.state.clock, clock.timestamp
        self.portfolio.apply(clock)
        self._desk.expire(clock.timestamp)
        self.state.checksums.remember(clock, previous, self.portfolio)

    def _on_decision(self, decision: RiskDecision) -> None:
        if decision.reduce_only:  # what is being left must not be opened by an older order
            self._desk.cancel_entries(decision.symbol, decision.side.opposite)
        approval = Approval.of(decision)
        if approval is not None and decision.order_id is not None:
            self.state.approvals[decision.order_id] = approval

    def _on_order(self, order: Order) -> None:
        if order.external:  # its id may be that of another: it must not use up anything
            self._refuse(order, Reason.NOT_APPROVED)
            return
        first_time = self.state.see(order.order_id)
        approval = self.state.approvals.pop(order.order_id, None)
        approved = approve(order, approval) if first_time else Reason.DUPLICATE_ORDER
        if isinstance(approved, Reason):
            self._refuse(order, approved)
        else:
            self._admit(approved)

    def _admit(self, approved: ApprovedOrder) -> None:
        order = approved.order
        reason = last_guard.refuse(
            approved,
            state=self.state,
            settings=self.settings,
            position=self._desk.position(order.symbol),
            mark_price=self.portfolio.mark_price(order.symbol),
            equity=self.portfolio.equity,
        )
        if reason is not None:
            self._refuse(order, reason)
        elif self.state.ended:
            self._desk.report(order, OrderStatus.CANCELLED, Reason.RUN_ENDED)
        else:
            self._alarm.clear("ORDER_REFUSED", symbol=order.symbol)
            self._desk.accept(approved)

    def _refuse(self, order: Order, reason: Reason) -> None:
        """Refuse an order; one of the same id that is open already stays open."""
        if reason is not Reason.NOTHING_TO_REDUCE:
            message = f"order {order.order_id} refused: {reason}"
            self._alarm.see(
                AlertLevel.WARNING, "ORDER_REFUSED", message, symbol=order.symbol, reason=reason
            )
        self._desk.report(order, OrderStatus.REJECTED, reason)

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
        self._desk.cancel_forbidden()

    def _on_condition(self, event: Condition) -> None:
        if event.name not in FORBIDDING_CONDITIONS:
            return
        key = condition_key(event.producer, event.name, event.symbol)
        if event.phase is ConditionPhase.CLEARED:
            self.state.conditions.pop(key, None)
        else:
            self.state.conditions[key] = event.detail
            self._desk.cancel_forbidden()

    def _on_instruments(self, event: Instruments) -> None:
        self.portfolio.apply(event)
        for instrument in event.instruments:
            self.state.instruments[instrument.symbol] = instrument

    def _on_snapshot(self, event: PortfolioSnapshot) -> None:
        """No entries at once; the condition that it publishes halts the account."""
        mismatch = self.state.checksums.difference(event)
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
        self._desk.cancel_forbidden()

    def _on_run_ended(self, _: RunEnded) -> None:
        self.state.ended = True
        self._desk.cancel_all(Reason.RUN_ENDED)
