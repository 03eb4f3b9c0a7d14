"""Trades that came after a loss and wait until the hole before them is filled."""

from collections.abc import Collection, Sequence
from typing import Final

from services.cdb_ws.trades.dedup_window import DedupWindow, counted, key_of
from services.cdb_ws.trades.rest_window import RestWindow, Span
from services.venues.mexc.messages import Trade

HOLD_MS: Final = 10_000
"""Held trades wait at most so long for REST."""

MOST_HELD: Final = 5_000
"""More held trades than this do not wait at all."""


def order_of(trade: Trade) -> tuple[int, int]:
    """What trades are sorted by: time, then the venue's id."""
    return trade.timestamp, -1 if trade.trade_id is None else trade.trade_id


class Segment:
    """Held trades between a resumption and the next loss: nothing is missing after the first.

    The first is the one that came first: an older one that comes later may be a repetition of what
    was pushed before the stream ran, and proves nothing about those between. First and newest stay
    what they are when trades are taken out as known already.
    """

    def __init__(self) -> None:
        self.trades: list[Trade] = []
        self.first: Trade | None = None
        self.newest_ms = -1
        self.held_since = -1

    def hold(self, trade: Trade, now_ms: int) -> None:
        """Add a trade that came at ``now_ms``."""
        if self.first is None:
            self.first, self.held_since = trade, now_ms
        self.newest_ms = max(self.newest_ms, trade.timestamp)
        self.trades.append(trade)


class PendingTrades:
    """The stretches since the last trade that was published, in the order in which they came.

    Attributes:
        overtaken: Whether a frame came behind one with younger trades.
    """

    def __init__(self) -> None:
        self.overtaken = False
        self._segments: list[Segment] = []
        self._runs = False
        self._ids: set[int] = set()

    def begin(self) -> None:
        """The stream runs: what is held now has no hole in it until ``end``."""
        if not self._runs:
            self._runs = True
            self._segments.append(Segment())

    def end(self) -> None:
        """The stream has ended: what is held next is another stretch."""
        self._runs = False
        self._segments = self._spoken()

    def hold(self, trades: Sequence[Trade], now_ms: int, published: Collection[int]) -> int:
        """Hold the trades of one frame; returns how many of them were known already.

        Args:
            trades: Sorted by time and id.
            now_ms: Wall time.
            published: Ids of the trades that were published.
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
        """What the stream that runs now has brought; None when nothing yet."""
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
        """All that is held."""
        return [trade for segment in self._segments for trade in segment.trades]

    def overdue(self, now_ms: int) -> bool:
        """Whether they have waited too long, or are too many to wait."""
        spoken = self._spoken()
        if not spoken:
            return False
        waited = now_ms - spoken[0].held_since
        return waited >= HOLD_MS or sum(len(segment.trades) for segment in spoken) > MOST_HELD

    def drop_known(self, dedup: DedupWindow) -> int:
        """Take out what was published already; returns how many."""
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
        """The holes before, between and behind the stretches that a window leaves open.

        Args:
            end_ms: Time of the last trade published; None when there is none.
            window: REST's rows; without any every hole is open.
            joined: Whether the present stream's beginning counts as the end of the hole before it;
                otherwise a later window may still close that.
            slack_ms: So much before its end a stretch may already miss trades that were overtaken.
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
        """Let go of the trades of earlier streams, and of the present one's if asked to."""
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
