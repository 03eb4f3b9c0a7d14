"""The risk stage: signals and the market in; decisions, orders and trading states out."""

from typing import ClassVar

import msgspec

from services.kernel.alerts import Alarm
from services.kernel.desk import DeskParts
from services.kernel.emitter import Emitter
from services.kernel.events import (
    Clock,
    CommandRepeated,
    Condition,
    Event,
    Halt,
    Instruments,
    MarketData,
    MarketDataKind,
    OrderResult,
    OrderStatus,
    Origin,
    Pause,
    PortfolioSnapshot,
    Recovered,
    Reset,
    Resume,
    RunStarted,
    Signal,
    TradingState,
    TradingStateChanged,
    topics,
)
from services.kernel.handlers import on, table
from services.kernel.market.bars import BarBuilder
from services.kernel.market.rows import Rows
from services.kernel.market.volatility import Volatility
from services.kernel.portfolio import quiet, views
from services.kernel.portfolio.portfolio import Portfolio
from services.kernel.reasons import Reason
from services.kernel.risk.entries import EntryDesk
from services.kernel.risk.exits import ExitDesk
from services.kernel.risk.state.cooldown import LossStreak
from services.kernel.risk.state.risk_state import RiskState
from services.kernel.risk.state.symbol_health import SymbolHealth
from services.kernel.risk.trading_state import carried
from services.kernel.risk.trading_state.commands import CommandDesk
from services.kernel.risk.trading_state.control import TradingControl
from services.kernel.settings.model import TradingSettings
from services.kernel.settings.parameters import SizingMethod
from services.kernel.units import BPS, MINUTE_MS

MEASURING = frozenset({SizingMethod.ATR, SizingMethod.VOLATILITY_TARGET})
"""Sizing methods that ask how much a symbol moves."""
REPLAY = "replay"
FINAL = frozenset(OrderStatus) - {OrderStatus.PENDING, OrderStatus.PARTIALLY_FILLED}


class RiskStage:
    """Applies sections 3, 4 and 6 of CONTRACT.md, with the parts of ``services/kernel/risk``."""

    name: ClassVar[str] = topics.RISK
    topics: ClassVar[frozenset[str]] = topics.CONSUMES[topics.RISK]

    def __init__(self) -> None:
        self._emitter = Emitter(self.name)
        self._wire(RiskState())
        self._handlers = table(
            on(MarketData, self._on_tick),
            on(Clock, self._on_clock),
            on(Signal, self._on_signal),
            on(OrderResult, self._on_result),
            on(TradingStateChanged, self._on_trading_state),
            on(PortfolioSnapshot, self._on_snapshot),
            on(Instruments, self._on_instruments),
            on(Condition, self._on_condition),
            on(Recovered, self._on_recovered),
            on(CommandRepeated, self._on_repeated),
            on(Halt, self._on_command),
            on(Reset, self._on_command),
            on(Pause, self._on_command),
            on(Resume, self._on_command),
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
        if not state.clock or state.pending or state.carried is not None or self._measures_moves:
            return row
        if any(market.funding_time is not None for market in self.portfolio.state.pricing.values()):
            return row
        until = quiet.quiet_until(self.portfolio, rows, row)
        due = [streak.until for streak in state.streaks.values() if streak.until]
        due += [health.retry_at for health in state.health.values() if health.pauses]
        return min([until, *(rows.first_clock(row, time) for time in due)])

    def advance(self, rows: Rows, row: int, upto: int) -> None:
        """Take the quiet rows from ``row`` to before ``upto``."""
        quiet.advance(self.portfolio, rows, row, upto)
        for symbol, trades in rows.trades(row, upto):
            self.state.health[symbol].skip(trades, self.settings.lookback_minutes)
        for time in rows.clocks(row, upto)[-1:]:
            self.state.clock = time

    def knows_command(self, command_id: str) -> bool:
        """Whether a command was acted on, as far back as outcomes are kept."""
        return command_id in self.state.commands

    def snapshot(self) -> bytes:
        """Risk's whole state, the portfolio's included."""
        self.state.portfolio = self.portfolio.state
        return msgspec.json.encode(self.state)

    def restore(self, snapshot: bytes) -> None:
        """Become what `snapshot` was made from."""
        self._wire(msgspec.json.decode(snapshot, type=RiskState))

    def status(self) -> dict[str, object]:
        """Trading states, equity and losses."""
        state, portfolio = self.state, self.portfolio
        return {
            "account": state.account,
            "halt_reason": state.halt_reason,
            "further_halts": list(state.further_halts),
            "operator_paused": state.operator_paused,
            "equity": str(portfolio.equity),
            "daily_drawdown_pct": views.text(portfolio.daily_drawdown_pct),
            "drawdown_pct": views.text(portfolio.drawdown_pct),
            "exposure": str(portfolio.gross_exposure),
            "positions": len(portfolio.state.positions),
            "pending_orders": len(state.pending),
            "symbols": {symbol: health.state for symbol, health in state.health.items()},
            "restricted": {
                symbol: {"state": health.state, "why": list(health.why_restricted)}
                for symbol, health in sorted(state.health.items())
                if health.state is not TradingState.ACTIVE
            },
            "conditions": dict(state.conditions),
        }

    def _wire(self, state: RiskState) -> None:
        self.state = state
        self.portfolio = Portfolio()
        self.portfolio.state = state.portfolio
        self.settings = TradingSettings.parse(state.settings)[0]
        self._measures_moves = self.settings.sizing_method in MEASURING
        self._emitter.run_id = state.run_id
        alarm = Alarm(self._emitter, state.alerts)
        parts = DeskParts(state, self.portfolio, self.settings, self._emitter, alarm)
        self._trading = TradingControl(parts)
        self._commands = CommandDesk(state.commands, self._trading, self._emitter)
        self._entries = EntryDesk(parts)
        self._exits = ExitDesk(parts)

    def _start(self, event: RunStarted) -> None:
        account = event.account
        state = RiskState(run_id=event.run_id, settings=event.settings, whitelist=_whitelist(event))
        state.commands = self.state.commands
        state.operator_paused = account.paused
        if account.halted is not None:
            state.account, state.halt_reason = TradingState.HALTED, account.halted
        elif account.paused:
            state.account = TradingState.PAUSED
        for symbol in account.paused_symbols:
            state.symbol_health(symbol).operator_paused = True
        for symbol in account.quarantined:
            state.symbol_health(symbol).quarantined = True
        carried.take_up(state, account)
        for health in state.health.values():
            health.published = health.state
        self._wire(state)
        self.portfolio.apply(event)

    def _on_tick(self, tick: MarketData) -> None:
        symbol = tick.symbol
        equity = self.portfolio.equity
        self.portfolio.apply(tick)
        health = self.state.symbol_health(symbol)
        for trade in self.portfolio.counted:
            self._measure(trade, health)
        if tick.kind is MarketDataKind.TRADE and tick.volume is not None:
            health.traded.add(tick.timestamp, tick.volume, self.settings.lookback_minutes)
        if tick.backfill:
            health.catch_up(tick)
            return
        reason = health.observe(tick, self.settings)
        if health.stale:
            self._trading.see_tick(symbol, health)
        if reason is not None:
            detail = f"{reason} at price {tick.price or tick.bid}"
            if self.portfolio.unconfirmed_jump(symbol) is not None:
                detail += "; entries and stops wait for its confirmation"
            self._trading.see_anomaly(symbol, health, reason, detail)
        if symbol in self.portfolio.state.positions:
            if self.portfolio.equity is not equity:
                self._check_account()
            self._exits.check(symbol)

    def _on_clock(self, clock: Clock) -> None:
        previous, self.state.clock = self.state.clock, clock.timestamp
        carried.begin_times(self.state, clock.timestamp)
        self.portfolio.apply(clock)
        for trade in self.portfolio.counted:
            self._measure(trade, self.state.symbol_health(trade.symbol))
        for symbol, moves in self.state.volatility.items():
            moves.on_clock(clock.timestamp, self.portfolio.unconfirmed_at(symbol))
        self._trading.on_clock(clock.timestamp)
        self._check_account()
        if self.portfolio.state.positions:
            self._trading.check_exposure()
            self._exits.check_all()
        self.state.checksums.remember(clock, previous, self.portfolio)

    def _measure(self, trade: MarketData, health: SymbolHealth) -> None:
        """A trade counts: correlation follows live ones, sizing's bars all of them."""
        if trade.price is not None and not trade.backfill:
            health.closes.add(trade.timestamp, trade.price)
        if not self._measures_moves:
            return
        moves = self.state.volatility.get(trade.symbol)
        if moves is None:
            length = self.settings.sizing_bar_minutes * MINUTE_MS
            bars = BarBuilder(symbol=trade.symbol, length_ms=length)
            moves = self.state.volatility[trade.symbol] = Volatility(bars=bars)
        moves.on_trade(trade)

    def _check_account(self) -> None:
        before = self.state.emergency
        self._trading.check_losses()
        if self.state.emergency and not before:
            self._exits.check_all()

    def _on_signal(self, signal: Signal) -> None:
        desk = self._exits if signal.reduce_only else self._entries
        if not self.state.signals.add(signal.signal_id):
            desk.refuse_duplicate(signal)
        elif signal.reduce_only:
            self._exits.on_signal(signal)
        else:
            self._entries.decide(signal)

    def _on_result(self, result: OrderResult) -> None:
        self._apply_result(result)
        pending = self.state.pending.get(result.order_id)
        # An order that was posted twice or by hand may bear the id of one that is still open.
        foreign = result.reason == Reason.DUPLICATE_ORDER or result.origin is Origin.EXTERNAL
        if pending is not None and not foreign:
            pending.quantity -= result.filled_quantity
            if result.status in FINAL:
                del self.state.pending[result.order_id]
        slippage = result.slippage_bps
        if slippage is not None and slippage > self.settings.max_slippage_pct * BPS:
            health = self.state.symbol_health(result.symbol)
            health.slipped = slippage / BPS
            detail = f"order {result.order_id} slipped {slippage} bp"
            self._trading.see_anomaly(result.symbol, health, Reason.SLIPPAGE_SEEN, detail)
        self._exits.on_flat(result.symbol)
        self._check_account()
        if result.filled_quantity and not result.reduce_only:
            self._exits.check(result.symbol)  # the market may be beyond the new stop already

    def _apply_result(self, result: OrderResult) -> None:
        """Fold the result in; a position that it closed altogether is a win or a loss."""
        symbol, state = result.symbol, self.state
        before = self.portfolio.round_trips(symbol)
        self.portfolio.apply(result)
        closed, wins = self.portfolio.round_trips(symbol)
        if closed == before.closed:
            return
        streak = state.streaks.setdefault(symbol, LossStreak())
        if streak.note(won=wins > before.wins, now=state.clock, settings=self.settings):
            self._trading.report_cooldown(symbol, streak)

    def _on_trading_state(self, event: TradingStateChanged) -> None:
        """Risk's own publication, at its place in the order: the fold re-bases here."""
        self.portfolio.apply(event)
        released = event.previous is TradingState.HALTED and event.state is not TradingState.HALTED
        if event.symbol is None and released:
            self.state.awaiting_release = False

    def _on_snapshot(self, event: PortfolioSnapshot) -> None:
        mismatch = self.state.checksums.difference(event)
        if mismatch is not None:
            self._trading.see_mismatch(mismatch)

    def _on_instruments(self, event: Instruments) -> None:
        self.portfolio.apply(event)
        for instrument in event.instruments:
            self.state.instruments[instrument.symbol] = instrument
        self.state.universe = event.universe

    def _on_condition(self, event: Condition) -> None:
        self._trading.on_condition(event)

    def _on_recovered(self, event: Recovered) -> None:
        self._trading.on_recovered(event)

    def _on_command(self, event: Halt | Reset | Pause | Resume) -> None:
        if event.producer == self.name:  # commands count only after risk has published them
            self._commands.on_command(event)

    def _on_repeated(self, event: CommandRepeated) -> None:
        if event.producer == self.name:
            self._commands.on_repeated(event)


def _whitelist(run: RunStarted) -> tuple[str, ...]:
    """The symbols that a run names; a replay's are its files', whatever the setting says."""
    named = "" if run.source == REPLAY else run.settings.get("SYMBOL_WHITELIST", "")
    return tuple(named.replace(",", " ").split())
