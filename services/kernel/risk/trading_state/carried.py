"""What a new run goes on with beside the account: counted entries, rests, pauses, open sides.

A run's time may begin anywhere, so times are carried as milliseconds that remain from the new
run's first clock. `CarriedState` folds them from published events; risk takes them up again.
"""

from collections.abc import Iterable

from msgspec import Struct

from services.kernel.events import (
    Alert,
    AlertLevel,
    AlertPhase,
    AnyEvent,
    Clock,
    OpeningAccount,
    OpeningPause,
    OpeningStance,
    OpeningStreak,
    RiskDecision,
    RunStarted,
    Side,
    Signal,
    Verdict,
    topics,
)
from services.kernel.reasons import Reason
from services.kernel.risk.state.cooldown import LossStreak
from services.kernel.risk.state.risk_state import RiskState
from services.kernel.risk.state.symbol_health import MAX_RETRIES, RETRY_AFTER_MS
from services.kernel.settings.model import TradingSettings
from services.kernel.units import HOUR_MS

PAUSE_CODE, PAUSE_LAYER = "CIRCUIT_BREAKER", 2
COOLDOWN_CODE, COOLDOWN_LAYER = "LOSS_COOLDOWN", 7
BEFORE_FIRST_CLOCK = 2**62
"""A time that no clock has reached: what is carried waits for the first one."""


class SymbolPause(Struct, kw_only=True):
    """A symbol that an anomaly pauses.

    Attributes:
        retry_at: Time of its next retry, Unix milliseconds.
        failed_retries: Retries in a row that failed before that.
    """

    reason: str
    retry_at: int
    failed_retries: int = 0


class CarriedState(Struct, kw_only=True):
    """What the stages remember of a run, as far as the next one goes on with it.

    Times are Unix milliseconds. Before the run's first clock they are counted from 0.

    Attributes:
        clock: The last clock; 0 before the first.
        asked: Clock at which each entry signal came that has no decision yet, by signal id.
        entries: Clocks of the entries approved within the last hour.
        streaks: Losses in a row, by symbol.
        pauses: Symbols that an anomaly pauses.
        sides: What the strategy entered and has not left, by symbol.
        rests: Until when the strategy makes no entry signal, by symbol.
    """

    settings: dict[str, str] = {}
    clock: int = 0
    asked: dict[str, int] = {}
    entries: list[int] = []
    streaks: dict[str, LossStreak] = {}
    pauses: dict[str, SymbolPause] = {}
    sides: dict[str, Side] = {}
    rests: dict[str, int] = {}

    @classmethod
    def begin(cls, run: RunStarted) -> "CarriedState":
        """What a run begins with."""
        account = run.account
        return cls(
            settings=run.settings,
            entries=[left - HOUR_MS for left in account.entries_ms],
            streaks={
                s.symbol: LossStreak(losses=s.losses, until=s.rest_ms) for s in account.streaks
            },
            pauses={
                pause.symbol: SymbolPause(
                    reason=pause.reason,
                    retry_at=pause.retry_ms,
                    failed_retries=pause.failed_retries,
                )
                for pause in account.pauses
            },
            sides={s.symbol: s.side for s in account.stances if s.side is not None},
            rests={s.symbol: s.rest_ms for s in account.stances if s.rest_ms},
        )

    def apply(self, event: AnyEvent) -> None:
        """Fold one event of the run in; what closes a position comes through `close`."""
        match event:
            case Clock():
                self._on_clock(event.timestamp)
            case Signal():
                self._on_signal(event)
            case RiskDecision() if not event.reduce_only:
                asked = self.asked.pop(event.signal_id or "", self.clock)
                if event.verdict is not Verdict.REJECTED:
                    self.entries = [at for at in self.entries if at > self.clock - HOUR_MS]
                    self.entries.append(asked)
            case Alert() if event.code == PAUSE_CODE and event.producer == topics.RISK:
                self._on_pause(event)

    def close(self, symbol: str, *, won: bool) -> None:
        """A position was closed altogether, with a profit or without."""
        streak = self.streaks.setdefault(symbol, LossStreak())
        streak.note(won=won, now=self.clock, settings=TradingSettings.parse(self.settings)[0])

    def carried_over(self, account: OpeningAccount) -> dict[str, object]:
        """The fields of an `OpeningAccount` that the next run goes on with.

        Args:
            account: The rest of it; what is quarantined there is not paused beside that.
        """
        now = self.clock
        resting = {symbol: until - now for symbol, until in self.rests.items() if until > now}
        return {
            "entries_ms": tuple(at + HOUR_MS - now for at in self.entries if at + HOUR_MS > now),
            "streaks": tuple(
                OpeningStreak(
                    symbol=symbol, losses=streak.losses, rest_ms=max(streak.until - now, 0)
                )
                for symbol, streak in sorted(self.streaks.items())
                if streak.losses
            ),
            "pauses": tuple(
                self._opening_pause(symbol, pause)
                for symbol, pause in sorted(self.pauses.items())
                if symbol not in account.quarantined
            ),
            "stances": tuple(
                OpeningStance(
                    symbol=symbol, side=self.sides.get(symbol), rest_ms=resting.get(symbol, 0)
                )
                for symbol in sorted(self.sides.keys() | resting.keys())
            ),
        }

    def _on_clock(self, now: int) -> None:
        if not self.clock:
            self.entries = [at + now for at in self.entries]
            self.rests = {symbol: until + now for symbol, until in self.rests.items()}
            for streak in self.streaks.values():
                streak.until += now if streak.until else 0
            for pause in self.pauses.values():
                pause.retry_at += now
        self.clock = now

    def _on_signal(self, signal: Signal) -> None:
        symbol = signal.symbol
        if not signal.reduce_only:
            self.asked[signal.signal_id] = self.clock
        if signal.external:
            return  # not the strategy's
        if not signal.reduce_only:
            self.sides[symbol] = signal.direction
        elif signal.quantity is None:
            self.sides.pop(symbol, None)
            rest_sec = TradingSettings.parse(self.settings)[0].signal_cooldown_sec
            self.rests[symbol] = signal.timestamp + rest_sec * 1000

    def _on_pause(self, alert: Alert) -> None:
        symbol = alert.symbol
        if symbol is None:
            return
        if alert.phase is AlertPhase.CLEARED:
            self.pauses.pop(symbol, None)
        elif symbol not in self.pauses:
            reason = alert.context.get("reason", Reason.PRICE_JUMP)
            retry_at = alert.timestamp + RETRY_AFTER_MS
            self.pauses[symbol] = SymbolPause(reason=reason, retry_at=retry_at)

    def _opening_pause(self, symbol: str, pause: SymbolPause) -> OpeningPause:
        """As risk would have retried it up to the last clock."""
        late = self.clock - pause.retry_at
        failed = late // RETRY_AFTER_MS + 1 if late >= 0 else 0
        return OpeningPause(
            symbol=symbol,
            reason=pause.reason,
            retry_ms=failed * RETRY_AFTER_MS - late,
            failed_retries=min(pause.failed_retries + failed, MAX_RETRIES - 1),
        )


def take_up(state: RiskState, account: OpeningAccount) -> None:
    """Let risk's new state go on with what is carried; times follow with the first clock."""
    state.carried = account
    for carried in account.streaks:
        until = BEFORE_FIRST_CLOCK if carried.rest_ms else 0
        state.streaks[carried.symbol] = LossStreak(losses=carried.losses, until=until)
        if until:
            _open_alert(state, COOLDOWN_CODE, carried.symbol, COOLDOWN_LAYER, AlertLevel.INFO)
    for pause in account.pauses:
        health = state.symbol_health(pause.symbol)
        health.anomaly, health.failed_retries = Reason(pause.reason), pause.failed_retries
        health.retry_at = BEFORE_FIRST_CLOCK
        _open_alert(state, PAUSE_CODE, pause.symbol, PAUSE_LAYER, AlertLevel.WARNING)


def begin_times(state: RiskState, now: int) -> None:
    """The run's first clock has come: what remained of each time is counted from here."""
    account = state.carried
    if account is None:
        return
    state.carried = None
    state.entry_times = [now + left - HOUR_MS for left in account.entries_ms]
    for carried in account.streaks:
        streak = state.streak(carried.symbol)
        if streak.until == BEFORE_FIRST_CLOCK:
            streak.until = now + carried.rest_ms
    for pause in account.pauses:
        health = state.symbol_health(pause.symbol)
        if health.retry_at == BEFORE_FIRST_CLOCK:
            health.retry_at = now + pause.retry_ms


def paused_symbols(account: OpeningAccount) -> Iterable[str]:
    """Symbols that an operator or an anomaly pauses as a run begins."""
    return (*account.paused_symbols, *(pause.symbol for pause in account.pauses))


def _open_alert(state: RiskState, code: str, symbol: str, layer: int, level: AlertLevel) -> None:
    """The alert began in the run before: it is not repeated, and its end is published."""
    state.alerts.see(code, symbol, layer, level, state.clock)
