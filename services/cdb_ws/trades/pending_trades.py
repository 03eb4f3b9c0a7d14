"""Trades that arrived after a loss and wait until the gap before them is filled."""

from collections.abc import Collection, Sequence
from typing import Final

from services.cdb_ws.trades.dedup_window import DedupWindow, counted, key_of
from services.cdb_ws.trades.rest_window import RestWindow, Span
from services.venues.mexc.messages import Trade

HOLD_MS: Final = 10_000
"""Maximum time for which pending trades wait for REST."""

MOST_HELD: Final = 5_000
"""With more pending trades than this, none of them waits any longer."""


def order_of(trade: Trade) -> tuple[int, int]:
    """Sort key of a trade: time, then the venue's id."""
    return trade.timestamp, -1 if trade.trade_id is None else trade.trade_id


class Segment:
    """Pending trades between a resumption and the next loss; nothing is missing after the first.

    ``first`` is the trade that arrived first. An older trade that arrives later may be a repetition
    from before the stream ran, and proves nothing about the time between. ``first`` and
    ``newest_ms`` do not change when known trades are removed.
    """

    def __init__(self) -> None:
        self.trades: list[Trade] = []
        self.first: Trade | None = None
        self.newest_ms = -1
        self.held_since = -1

    def hold(self, trade: Trade, now_ms: int) -> None:
        """Add a trade that arrived at ``now_ms``."""
        if self.first is None:
            self.first, self.held_since = trade, now_ms
        self.newest_ms = max(self.newest_ms, trade.timestamp)
        self.trades.append(trade)


class PendingTrades:
    """The segments since the last published trade, in the order of their arrival.

    Attributes:
        overtaken: Whether a frame arrived after one with younger trades.
    """

    def __init__(self) -> None:
        self.overtaken = False
        self._segments: list[Segment] = []
        self._runs = False
        self._ids: set[int] = set()

    def begin(self) -> None:
        """Start a segment: the stream runs, and nothing is missing until ``end``."""
        if not self._runs:
            self._runs = True
            self._segments.append(Segment())

    def end(self) -> None:
        """End the segment: the stream has ended."""
        self._runs = False
        self._segments = self._spoken()

    def hold(self, trades: Sequence[Trade], now_ms: int, published: Collection[int]) -> int:
        """Keep the trades of one frame pending; returns how many of them were known.

        Args:
            trades: Sorted by time and id.
            now_ms: Wall time.
            published: Ids of the published trades.
        """
        self.begin()
        segment = self._segments[-1]
        newest_ms = segment.newest_ms
        anonymous = counted(trade for trade in segment.trades if trade.trade_id is None)
        again = 0
        for trade in trades:
            if trade.trade_id is None:
                key = key_of(trade)
                known = anonymous[key] > 0
                anonymous[key] -= known
            else:
                known = trade.trade_id in self._ids or trade.trade_id in published
                self._ids.add(trade.trade_id)
            if known:
                again += 1
            else:
                segment.hold(trade, now_ms)
                self.overtaken = self.overtaken or trade.timestamp < newest_ms
        return again

    def current(self) -> Segment | None:
        """The segment of the running stream; None while it has no trade."""
        runs = self._runs and self._segments[-1].first is not None
        return self._segments[-1] if runs else None

    def beginning(self) -> int | None:
        """Time of the oldest trade; None without any."""
        firsts = (segment.first for segment in self._segments)
        return min((first.timestamp for first in firsts if first), default=None)

    def newest_ms(self) -> int:
        """Time of the newest trade; -1 without any."""
        return max((segment.newest_ms for segment in self._segments), default=-1)

    def trades(self) -> list[Trade]:
        """All pending trades."""
        return [trade for segment in self._segments for trade in segment.trades]

    def overdue(self, now_ms: int) -> bool:
        """Whether the trades have waited too long, or are too many to wait."""
        spoken = self._spoken()
        if not spoken:
            return False
        waited = now_ms - spoken[0].held_since
        return waited >= HOLD_MS or sum(len(segment.trades) for segment in spoken) > MOST_HELD

    def drop_known(self, dedup: DedupWindow) -> int:
        """Remove trades that were published already; returns how many."""
        anonymous = dedup.anonymous.copy()
        before = len(self.trades())
        for segment in self._segments:
            kept: list[Trade] = []
            for trade in segment.trades:
                if trade.trade_id is not None:
                    known = trade.trade_id in dedup.ids or dedup.claim(trade)
                else:
                    key = key_of(trade)
                    known = anonymous[key] > 0
                    anonymous[key] -= known
                if not known:
                    kept.append(trade)
            segment.trades = kept
        return before - len(self.trades())

    def lost(
        self, end_ms: int | None, window: RestWindow, *, joined: bool, slack_ms: int = 0
    ) -> list[Span]:
        """The gaps before, between and after the segments that a REST window does not fill.

        Args:
            end_ms: Time of the last published trade; None if there is none.
            window: REST rows. Without rows every gap is lost.
            joined: Whether the gap before the current segment is closed now. False: a later window
                may
            still fill it.
            slack_ms: A segment may already miss overtaken trades for this long before its end.
        """
        current = self.current()
        spans: list[Span] = []
        for segment in self._segments:
            if segment.first is not None and (joined or segment is not current):
                if end_ms is not None:
                    spans += window.uncovered(end_ms, segment.first)
                end_ms = max(segment.newest_ms - slack_ms, -1 if end_ms is None else end_ms)
        if end_ms is not None and not (joined and current):
            spans += window.uncovered(end_ms, None)
        return spans

    def release(self, *, with_current: bool) -> tuple[list[Trade], list[Trade]]:
        """Remove and return the trades of earlier segments, and on request the current ones."""
        current = self.current()
        earlier = [
            d for segment in self._segments if segment is not current for d in segment.trades
        ]
        present = current.trades if current is not None and with_current else []
        if with_current:
            self._segments, self._runs, self.overtaken = [], False, False
            self._ids.clear()
        else:
            self._segments = self._segments[-1:] if self._runs else []
        return earlier, present

    def _spoken(self) -> list[Segment]:
        return [segment for segment in self._segments if segment.first is not None]
