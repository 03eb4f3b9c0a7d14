"""Compares the volume of each minute with the venue's bar: the last check for missed trades.

REST has the newest 100 trades only. Trades that a stream missed while REST did not answer, or of a
symbol that trades too fast to be compared, are visible in the volume of the minute alone.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from services.cdb_ws.trades.rest_window import Span
from services.kernel.market.bar_ticks import Bar

MINUTE_MS: Final = 60_000
KEPT: Final = 30
"""Minutes that are kept; every symbol is compared more often than that."""

NONE: Final = Decimal(0)
SETTLED_MS: Final = 15_000
"""A minute is compared this long after its end: trades may be late, or come from REST."""


class MinuteSums:
    """The published volume of one symbol by minute, in contracts.

    Attributes:
        agreed: Minutes whose volume equalled the bar.
        short: Minutes whose volume was below the bar.
    """

    def __init__(self) -> None:
        self.agreed = 0
        self.short = 0
        self._sums: dict[int, Decimal] = {}
        self._unsure: set[int] = set()
        self._suspect: dict[int, Decimal] = {}
        self._first: int | None = None
        self._done = -1

    def whole_since(self, since_ms: int) -> None:
        """Before the first trade: declare that every trade since a time will be added."""
        if self._first is None:
            self._first = -(-since_ms // MINUTE_MS) - 1

    def add(self, timestamp: int, contracts: Decimal) -> None:
        """Add a published trade."""
        minute = timestamp // MINUTE_MS
        sums = self._sums
        if minute in sums:
            sums[minute] += contracts
            return
        if self._first is None:
            self._first = minute  # the minute began before the subscription
        sums[minute] = contracts
        if len(sums) > KEPT:
            del sums[min(sums)]

    def lost(self, span: Span) -> None:
        """Exclude the minutes of a span with missing trades from the comparison."""
        minutes = range(span.lost_from // MINUTE_MS, span.lost_to // MINUTE_MS + 1)
        self._unsure.update(minutes[-KEPT:])
        newest = max(self._unsure)
        self._unsure = {minute for minute in self._unsure if minute > newest - KEPT}

    def due(self, now_ms: int, last_trade_received_ms: int) -> int | None:
        """Start of the first minute not compared yet, Unix milliseconds; None if none is due.

        Args:
            now_ms: Wall time.
            last_trade_received_ms: Time up to which the stream has brought trades and was compared
                with
            REST. A minute that ends later may still get trades.
        """
        if self._first is None:
            return None
        minute = max(self._first, self._done) + 1
        return minute * MINUTE_MS if minute <= _settled(now_ms, last_trade_received_ms) else None

    def compare(
        self, bars: Sequence[tuple[int, Bar]], now_ms: int, last_trade_received_ms: int
    ) -> list[Span]:
        """The minutes in which the venue counts more volume than was published.

        Nothing is reported until the volume of a symbol has agreed with a bar once: the venue may
        count trades that it does not push. The first minute that agrees also confirms the minutes
        before it.

        Args:
            bars: Opening time and bar, oldest first.
            now_ms: Wall time.
            last_trade_received_ms: As for ``due``.
        """
        settled = _settled(now_ms, last_trade_received_ms)
        for opened_at, bar in bars:
            minute = opened_at // MINUTE_MS
            if self._first is None or minute <= max(self._first, self._done):
                continue
            if minute > settled:
                break
            if self._sums.get(minute, NONE) == bar.volume:
                self.agreed += 1
            elif self._is_short(minute, bar.volume):
                self._suspect[minute] = bar.volume
                if len(self._suspect) > KEPT:
                    del self._suspect[min(self._suspect)]
        # A minute without a trade may have no bar; a running minute gets one later.
        answered = bars[-1][0] // MINUTE_MS if bars else settled
        self._done = max(self._done, min(settled, answered))
        return self._confirmed() if self.agreed else []

    def _confirmed(self) -> list[Span]:
        suspect, self._suspect = self._suspect, {}
        short = [minute for minute, volume in suspect.items() if self._is_short(minute, volume)]
        self.short += len(short)
        return [Span(minute * MINUTE_MS, (minute + 1) * MINUTE_MS - 1) for minute in short]

    def _is_short(self, minute: int, volume: Decimal) -> bool:
        oldest = min(self._sums, default=0)
        return (
            minute >= oldest
            and minute not in self._unsure
            and self._sums.get(minute, NONE) < volume
        )


def _settled(now_ms: int, last_trade_received_ms: int) -> int:
    """The last minute that can be compared."""
    return min(now_ms - SETTLED_MS, last_trade_received_ms) // MINUTE_MS - 1
