"""Publishes the gaps and alerts of the feed, each change once."""

from collections.abc import Callable, Iterable
from typing import Final

from services.cdb_ws.conditions import alert, condition, data_gap
from services.kernel.alerts import AlertBook
from services.kernel.events import (
    AlertLevel,
    AlertPhase,
    ConditionName,
    ConditionPhase,
    Event,
)
from services.kernel.events.ids import make_id
from services.kernel.events.topics import WS

DATA_GAP: Final = "DATA_GAP"
CLOCK_OFFSET: Final = "CLOCK_OFFSET"


class AlertPublisher:
    """Publishes conditions and alerts when they change.

    Args:
        run_id: The run of the events.
        session: Makes event ids of this process different from those of earlier ones.
        emit: Takes the events.
        now_ms: Wall time.

    Attributes:
        gaps: Symbols with an open gap, and the reason.
        clock_offsets: Why the times of a symbol, or of all (None), cannot be used.
        gaps_begun: Number of gaps that were opened.
        lost_spans: Number of spans in which trades were lost for good.
    """

    def __init__(
        self,
        run_id: str,
        session: str,
        emit: Callable[[list[Event]], None],
        now_ms: Callable[[], int],
    ) -> None:
        self.gaps: dict[str, str] = {}
        self.clock_offsets: dict[str | None, str] = {}
        self.gaps_begun = 0
        self.lost_spans = 0
        self._run_id = run_id
        self._session = session
        self._emit = emit
        self._now_ms = now_ms
        self._book = AlertBook()
        self._made = 0

    def gap_began(self, symbol: str, why: str, lost: tuple[int, int] | None = None) -> None:
        """Open the gap of a symbol, or name a lost span in it. An open gap is not reported again.

        Args:
            symbol: The symbol.
            why: Reason, for people.
            lost: A span that is lost for certain; each is reported.
        """
        begins = symbol not in self.gaps
        self.gaps[symbol] = why
        self.gaps_begun += begins
        self.lost_spans += lost is not None
        if begins or lost is not None:
            self._emit([self._gap(symbol, ConditionPhase.BEGAN, why, lost)])
        self.see(AlertLevel.WARNING, DATA_GAP, f"{symbol}: {why}", symbol)

    def gap_cleared(self, symbol: str, lost: tuple[int, int] | None, detail: str) -> None:
        """Close the gap of a symbol: what is missing is known.

        Args:
            symbol: The symbol.
            lost: First and last millisecond between which trades may be missing; None if none are.
            detail: For people.
        """
        if lost is not None:
            self.gap_began(symbol, detail)
            self.lost_spans += 1
        if self.gaps.pop(symbol, None) is None:
            return
        self._emit([self._gap(symbol, ConditionPhase.CLEARED, detail, lost)])
        self.clear(DATA_GAP, symbol)

    def clock_offset(self, symbol: str | None, why: str | None) -> None:
        """Report whether the times of a symbol's ticks, or of all (None), can be used.

        Args:
            symbol: The symbol.
            why: What is wrong with them; None if they can be used.
        """
        was = symbol in self.clock_offsets
        if why is not None:
            self.clock_offsets[symbol] = why
            if symbol is not None:
                self.see(AlertLevel.WARNING, CLOCK_OFFSET, why, symbol)
        elif was:
            del self.clock_offsets[symbol]
            if symbol is not None:
                self.clear(CLOCK_OFFSET, symbol)
        if was is not (why is not None):
            phase = ConditionPhase.CLEARED if why is None else ConditionPhase.BEGAN
            self._emit([self._offset(symbol, phase, why or "times can be used again")])

    def clear_clock_offsets(self, symbols: Iterable[str | None]) -> None:
        """Close the offsets that an earlier process reported; they are measured again."""
        for symbol in symbols:
            self.clock_offsets[symbol] = ""
            self.clock_offset(symbol, None)

    def see(
        self,
        level: AlertLevel,
        code: str,
        message: str,
        symbol: str | None = None,
        **context: object,
    ) -> None:
        """A condition holds now: alert when it begins, then at most once a minute."""
        reported = self._book.see(code, symbol, None, level, self._now_ms())
        if reported is not None:
            self._alert(level, code, message, symbol, *reported, context)

    def clear(self, code: str, symbol: str | None = None) -> None:
        """A condition no longer holds: alert if it had begun."""
        cleared = self._book.clear(code, symbol, None)
        if cleared is not None:
            message = f"{code} cleared" + (f" for {symbol}" if symbol else "")
            self._alert(
                AlertLevel.INFO, code, message, symbol, AlertPhase.CLEARED, cleared.count, {}
            )

    def _offset(self, symbol: str | None, phase: ConditionPhase, detail: str) -> Event:
        return condition(
            self._run_id,
            self._now_ms(),
            ConditionName.CLOCK_OFFSET,
            phase,
            detail=detail,
            unique=f"{self._session}:{symbol}:{self._next()}",
            symbol=symbol,
        )

    def _gap(
        self, symbol: str, phase: ConditionPhase, detail: str, lost: tuple[int, int] | None
    ) -> Event:
        unique = f"{self._session}:{symbol}:{self.gaps_begun}:{self._next()}"
        return data_gap(
            self._run_id,
            self._now_ms(),
            phase,
            detail=detail,
            unique=unique,
            symbol=symbol,
            lost=lost,
        )

    def _alert(
        self,
        level: AlertLevel,
        code: str,
        message: str,
        symbol: str | None,
        phase: AlertPhase,
        count: int,
        context: dict[str, object],
    ) -> None:
        unique = f"{self._session}:{self._next()}"
        reported = alert(
            make_id(self._run_id, WS, "alert", code, symbol, phase, unique),
            self._run_id,
            self._now_ms(),
            level,
            code,
            message,
            symbol=symbol,
            phase=phase,
            count=count,
            context={name: str(value) for name, value in context.items()},
        )
        self._emit([reported])

    def _next(self) -> int:
        self._made += 1
        return self._made
