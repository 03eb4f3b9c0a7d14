"""Trades that REST has and that a running stream may still bring."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from services.cdb_ws.trades.dedup_window import DedupWindow, counted, key_of
from services.cdb_ws.trades.rest_window import RestWindow, Span
from services.venues.mexc.messages import Trade

GRACE_MS: Final = 5_000
"""The socket no longer brings a trade that REST has known for this long."""


class UnconfirmedTrades:
    """The trades that had not arrived at the last comparison with REST.

    The next REST window may begin later, and would no longer contain them.

    Attributes:
        rest_newest_ms: Time of the newest trade in that REST window; -1 before the first
            comparison.
    """

    def __init__(self) -> None:
        self.rest_newest_ms = -1
        self._ahead: tuple[int, int] | None = None
        self._rows: list[tuple[Trade, int]] = []
        self._since_ms = 0
        self._breaks: list[Span] = []

    def due(self, newest_ms: int, now_ms: int) -> int:
        """Time up to which trades must have arrived because REST knew them long ago; -1 for none.

        Args:
            newest_ms: Time of the newest trade in the current REST window.
            now_ms: Wall time.
        """
        due = -1
        if self._ahead is not None and now_ms - self._ahead[0] >= GRACE_MS:
            due, self._ahead = self._ahead[1], None
        if self._ahead is None:
            self._ahead = now_ms, newest_ms
        return due

    def breaks(
        self,
        window: RestWindow,
        known_ms: int,
        found: Sequence[Trade],
        last_trade_received_ms: int,
        overtaken_ms: int,
    ) -> list[Span]:
        """Spans between REST windows that do not meet; empty unless a trade was found missing.

        Args:
            window: The current window.
            known_ms: Up to this time nothing is missing, whatever the windows contain.
            found: Trades that the stream should have brought by now, oldest first.
            last_trade_received_ms: Time of the newest trade that it has brought.
            overtaken_ms: A trade that is older by this much will not arrive any more.
        """
        start = max(known_ms, self.rest_newest_ms)
        if not window.reaches_back_to(start):
            self._breaks.append(Span(start, window.oldest))
        return self.broken(found, last_trade_received_ms, overtaken_ms)

    def broken(
        self, found: Sequence[Trade], last_trade_received_ms: int, overtaken_ms: int
    ) -> list[Span]:
        """The same for the windows so far; arguments as for ``breaks``."""
        if not found:
            return []
        breaks, self._breaks = self._breaks, []
        if any(row.timestamp <= last_trade_received_ms - overtaken_ms for row in found):
            return breaks  # the stream misses trades
        # It missed nothing until it stopped.
        return [
            Span(max(one.lost_from, last_trade_received_ms), one.lost_to)
            for one in breaks
            if one.lost_to >= last_trade_received_ms
        ]

    def __len__(self) -> int:
        return len(self._rows)

    def expired(self, now_ms: int, dedup: DedupWindow) -> list[Trade]:
        """Remove and return the trades that are overdue; needs no answer of REST."""
        if not self._rows or now_ms - self._since_ms < GRACE_MS:
            return []
        found = self.overdue(self._rows[-1][0].timestamp, (), dedup)
        self._rows = []
        return found

    def keep(
        self, rows: Sequence[Trade], dedup: DedupWindow, rest_newest_ms: int, now_ms: int = 0
    ) -> None:
        """Replace the unconfirmed trades by these, oldest first.

        Each is kept with the number of equal trades known once it has arrived.
        """
        self.rest_newest_ms, self._since_ms = rest_newest_ms, now_ms
        until_ms = rows[0].timestamp if rows else rest_newest_ms + 1
        self._breaks = [one for one in self._breaks if one.lost_to >= until_ms]
        known = counted(dedup.since(rows[0].timestamp)) if rows else Counter()
        self._rows = []
        for row in rows:
            known[key_of(row)] += 1
            self._rows.append((row, known[key_of(row)]))

    def overdue(self, until_ms: int, missing: Sequence[Trade], dedup: DedupWindow) -> list[Trade]:
        """The trades that have not arrived and that the current window no longer contains.

        Args:
            until_ms: Start of the window; it may have been cut within that millisecond.
            missing: The trades that the window itself finds missing.
            dedup: The published trades that are still known.
        """
        forgotten = dedup.forgotten_until
        rows = [one for one in self._rows if forgotten < one[0].timestamp <= until_ms]
        if not rows:
            return []
        known = counted(dedup.since(rows[0][0].timestamp)) + counted(missing)
        return [row for row, copies in rows if known[key_of(row)] < copies]
