"""Trading states of the account and of every symbol, and what changes them."""

from decimal import Decimal

from services.kernel.desk import Desk
from services.kernel.events import (
    RUN_BREAKING,
    AlertLevel,
    Condition,
    ConditionName,
    ConditionPhase,
    Halt,
    Pause,
    Recovered,
    Reset,
    Resume,
    TradingState,
    TradingStateChanged,
)
from services.kernel.reasons import Reason
from services.kernel.risk.state import transitions
from services.kernel.risk.state.cooldown import LossStreak
from services.kernel.risk.state.risk_state import RiskState
from services.kernel.risk.state.symbol_health import SymbolHealth
from services.kernel.risk.state.transitions import Trigger
from services.kernel.units import ZERO

SYMBOLS_THAT_HALT = 3
MAX_PRESENT_EXPOSURE_PCT = Decimal("0.80")
FORBIDDING_CONDITIONS = frozenset(
    {
        ConditionName.DATABASE_AWAY,
        ConditionName.LAG,
        ConditionName.DATA_GAP,
        ConditionName.CLOCK_OFFSET,
        *RUN_BREAKING,
    }
)


def condition_key(producer: str, name: str, symbol: str | None) -> str:
    """What an open condition is kept under; ends with the symbol, or with ``|`` for all."""
    return f"{producer}|{name}|{symbol or ''}"


class TradingControl(Desk[RiskState]):
    """Moves the trading states as `transitions` allows; every change is published."""

    def halt(self, layer: int | None, reason: str, message: str, code: str = "RISK_LIMIT") -> None:
        """Stop all entries until a person resets; each further cause is alerted once."""
        halted = self._state.account is TradingState.HALTED
        if halted and self._alarm.book.is_open(code, None, layer):
            return
        cause = f"{reason}: {message}"
        if self._state.halt_reason is None:
            self._state.halt_reason = cause
        else:
            self._state.further_halts.append(cause)
        self._alarm.see(AlertLevel.CRITICAL, code, message, layer=layer, reason=reason)
        self._move_account(Trigger.HALT, layer, reason, message)

    def check_losses(self) -> None:
        """Layer 1 on the equity as it is now."""
        if self._state.awaiting_release:
            return
        settings, portfolio = self._settings, self._portfolio
        equity, figures = portfolio.equity, portfolio.state
        if equity >= figures.peak_equity and equity >= figures.day_start_equity:
            return
        total, daily = portfolio.drawdown_pct or ZERO, portfolio.daily_drawdown_pct or ZERO
        if total >= settings.circuit_breaker_threshold_pct and not self._state.emergency:
            self._state.emergency = True
            message = f"equity is {total:.2%} below its peak: all positions are closed"
            # The day's limit may have been reached before: that alert is open already.
            alerted = self._alarm.book.is_open("RISK_LIMIT", None, 1)
            code = "EMERGENCY_STOP" if alerted else "RISK_LIMIT"
            self.halt(1, Reason.EQUITY_DRAWDOWN, message, code)
        elif daily >= settings.max_daily_drawdown_pct:
            message = f"equity is {daily:.2%} below the day's start: no more entries"
            self.halt(1, Reason.DAILY_DRAWDOWN, message)

    def check_exposure(self) -> None:
        """Layer 4's alarm on the exposure as it is now."""
        equity, exposure = self._portfolio.equity, self._portfolio.gross_exposure
        if exposure > MAX_PRESENT_EXPOSURE_PCT * equity:
            message = f"exposure {exposure} is above {MAX_PRESENT_EXPOSURE_PCT} of equity {equity}"
            self.halt(4, Reason.EXPOSURE_EXCESSIVE, message)

    def see_anomaly(self, symbol: str, health: SymbolHealth, reason: Reason, detail: str) -> None:
        """Layer 2: pause the symbol; several at once halt the account."""
        health.pause(reason, self._emitter.cause.timestamp)
        message = f"{symbol} pauses: {detail}"
        self._alarm.see(
            AlertLevel.WARNING, "CIRCUIT_BREAKER", message, symbol=symbol, layer=2, reason=reason
        )
        self._move_symbol(symbol, health, Trigger.ANOMALY, 2, reason, message)
        anomalous = sorted(s for s, m in self._state.health.items() if m.pauses)
        if len(anomalous) >= SYMBOLS_THAT_HALT:
            message = f"anomalies in {len(anomalous)} symbols at once: {', '.join(anomalous)}"
            self.halt(2, Reason.ANOMALIES_IN_SEVERAL_SYMBOLS, message, "CIRCUIT_BREAKER")

    def see_tick(self, symbol: str, health: SymbolHealth) -> None:
        """Layer 3: fresh data ends silence."""
        health.stale = False
        self._alarm.clear("DATA_STALE", symbol=symbol, layer=3)
        message = f"{symbol}: data is fresh again"
        self._move_symbol(symbol, health, Trigger.FRESH_DATA, 3, Reason.DATA_FRESH, message)

    def on_clock(self, now: int) -> None:
        """Silence and retries are driven by time."""
        self._end_rests(now)
        timeout = self._settings.data_stale_timeout_sec
        for symbol, health in self._state.health.items():
            if not health.stale and health.is_silent(now, timeout):
                health.stale = True
                message = f"{symbol} has been silent for more than {timeout} s"
                self._alarm.see(AlertLevel.WARNING, "DATA_STALE", message, symbol=symbol, layer=3)
                self._move_symbol(symbol, health, Trigger.SILENCE, 3, Reason.DATA_STALE, message)
            if health.pauses and health.retry(now, self._settings.max_spread_multiplier):
                self._after_retry(symbol, health)

    def on_halt(self, command: Halt) -> None:
        """Operator: halt."""
        if self._alarm.book.is_open("OPERATOR_HALT", None, None):
            self._answer(f"already halted: {self._state.halt_reason}")
        self.halt(None, Reason.OPERATOR, f"operator: {command.reason}", "OPERATOR_HALT")

    def on_reset(self, command: Reset) -> None:
        """Operator: release a halt. Peak and day start become present equity."""
        state = self._state
        if state.account is not TradingState.HALTED:
            self._answer("nothing is halted, nothing changed")
            return
        portfolio = self._portfolio
        values = {
            "equity": portfolio.equity,
            "previous_peak_equity": portfolio.state.peak_equity,
            "previous_day_start_equity": portfolio.state.day_start_equity,
        }
        state.halt_reason = None
        state.further_halts.clear()
        state.emergency = False
        state.awaiting_release = True
        for code, layer in state.alerts.open_for_account(AlertLevel.CRITICAL):
            self._alarm.clear(code, layer=layer)
        message = f"operator: {command.reason}"
        self._move_account(Trigger.RESET, None, Reason.OPERATOR, message, values)

    def on_pause(self, command: Pause) -> None:
        """Operator: pause the account or one symbol."""
        message = f"operator: {command.reason}"
        if command.symbol is not None:
            health = self._state.symbol_health(command.symbol)
            health.operator_paused = True
            self._move_symbol(
                command.symbol, health, Trigger.PAUSE, None, Reason.OPERATOR, message, answer=True
            )
            return
        self._state.operator_paused = True
        self._move_account(Trigger.PAUSE, None, Reason.OPERATOR, message)

    def on_resume(self, command: Resume) -> None:
        """Operator: end a pause; for a symbol also an anomaly or a quarantine."""
        message = f"operator: {command.reason}"
        if command.symbol is not None:
            health = self._state.symbol_health(command.symbol)
            health.operator_paused = False
            health.release()
            self._alarm.clear("CIRCUIT_BREAKER", symbol=command.symbol, layer=2)
            self._alarm.clear("QUARANTINED", symbol=command.symbol, layer=2)
            self._move_symbol(
                command.symbol, health, Trigger.RESUME, None, Reason.OPERATOR, message, answer=True
            )
            return
        self._state.operator_paused = False
        if self._state.account is not TradingState.PAUSED:
            halted = self._state.halt_reason is not None
            message = "a halt needs a reset" if halted else "nothing was paused"
        self._move_account(Trigger.RESUME, None, Reason.OPERATOR, message)

    def on_condition(self, condition: Condition) -> None:
        """A condition began or cleared; while it is open, no entry passes."""
        if condition.name not in FORBIDDING_CONDITIONS:
            return
        key = condition_key(condition.producer, condition.name, condition.symbol)
        detail = f"{condition.name}: {condition.detail}"
        if condition.phase is ConditionPhase.CLEARED:
            self._state.conditions.pop(key, None)
            self._apply_condition(
                condition.symbol, Trigger.CONDITION_CLEARED, Reason.CONDITION_CLEARED, detail
            )
            return
        self._state.conditions[key] = detail
        if condition.name in RUN_BREAKING:
            self.halt(3, Reason(condition.name), condition.detail, condition.name)
        self._apply_condition(
            condition.symbol, Trigger.CONDITION_BEGAN, Reason.CONDITION_OPEN, detail
        )

    def see_mismatch(self, mismatch: str) -> None:
        """Risk's own fold differs: halt at once, and publish it, as the other services do."""
        name = ConditionName.CHECKSUM_MISMATCH
        self.halt(3, Reason.CHECKSUM_MISMATCH, mismatch, name)
        key = condition_key(self._emitter.producer, name, None)
        if key not in self._state.conditions:
            self._state.conditions[key] = f"{name}: {mismatch}"
            self._emitter.emit(
                Condition, name=name, phase=ConditionPhase.BEGAN, symbol=None, detail=mismatch
            )

    def on_recovered(self, event: Recovered) -> None:
        """The bus lost events: halt until a person has checked the record."""
        lost = f"events {event.lost_from} to {event.lost_to} may be lost"
        self.halt(3, Reason.RECORD_LOST, lost, "RECORD_LOST")

    def report_cooldown(self, symbol: str, streak: LossStreak) -> None:
        """Layer 7: a symbol lost too often in a row and rests."""
        message = f"{symbol}: {streak.losses} losses in a row, no entry before {streak.until}"
        self._alarm.see(AlertLevel.INFO, "LOSS_COOLDOWN", message, symbol=symbol, layer=7)

    def _end_rests(self, now: int) -> None:
        for symbol, streak in self._state.streaks.items():
            if streak.until and not streak.in_cooldown(now):
                streak.until = 0
                self._alarm.clear("LOSS_COOLDOWN", symbol=symbol, layer=7)

    def _after_retry(self, symbol: str, health: SymbolHealth) -> None:
        if health.quarantined:
            message = f"{symbol} is quarantined after ten retries; release it with resume"
            self._alarm.see(AlertLevel.WARNING, "QUARANTINED", message, symbol=symbol, layer=2)
            self._move_symbol(symbol, health, Trigger.QUARANTINE, 2, Reason.QUARANTINED, message)
            return
        self._alarm.clear("CIRCUIT_BREAKER", symbol=symbol, layer=2)
        message = f"{symbol}: no anomaly any more"
        self._move_symbol(symbol, health, Trigger.RETRY_PASSED, 2, Reason.RETRY_PASSED, message)

    def _apply_condition(
        self, symbol: str | None, trigger: Trigger, reason: Reason, detail: str
    ) -> None:
        """A condition began or cleared: exits only where one holds, entries where none does."""
        if symbol is None:
            if self._held() is not self._state.account:
                self._move_account(trigger, 3, reason, detail)
            return
        health = self._state.symbol_health(symbol)
        health.uncertain = any(key.endswith(f"|{symbol}") for key in self._state.conditions)
        self._move_symbol(symbol, health, trigger, 3, reason, detail)

    def _held(self) -> TradingState:
        """The strictest state that what holds asks of the account."""
        state = self._state
        return transitions.account_state(
            halted=state.halt_reason is not None,
            paused=state.operator_paused,
            uncertain=any(key.endswith("|") for key in state.conditions),
        )

    def _move_account(
        self,
        trigger: Trigger,
        layer: int | None,
        reason: str,
        message: str,
        values: dict[str, Decimal] | None = None,
    ) -> None:
        previous = self._state.account
        new = transitions.step(transitions.ACCOUNT, previous, trigger, self._held())
        self._state.account = new
        self._publish(None, previous, new, layer, reason, message, values)

    def _move_symbol(
        self,
        symbol: str,
        health: SymbolHealth,
        trigger: Trigger,
        layer: int | None,
        reason: str,
        message: str,
        *,
        answer: bool = False,
    ) -> None:
        """Move a symbol's state and publish the change; an ``answer`` is published always."""
        previous = health.published
        new = transitions.step(transitions.SYMBOL, previous, trigger, health.state)
        health.published = new
        if answer or new is not previous:
            self._publish(symbol, previous, new, layer, reason, message)

    def _answer(self, message: str) -> None:
        """Every command is answered on the record, also one that changes nothing."""
        state = self._state.account
        self._publish(None, state, state, None, Reason.OPERATOR, message)

    def _publish(
        self,
        symbol: str | None,
        previous: TradingState,
        state: TradingState,
        layer: int | None,
        reason: str,
        message: str,
        values: dict[str, Decimal] | None = None,
    ) -> None:
        self._emitter.emit(
            TradingStateChanged,
            symbol=symbol,
            previous=previous,
            state=state,
            layer=layer,
            reason=reason,
            message=message,
            values=values or {},
        )
