"""The newest trades of a symbol as REST tells them: what they cover, and what they add."""

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Final

from msgspec import Struct

from services.cdb_ws.trades.dedup_window import Key, counted, key_of
from services.venues.mexc.messages import Trade

WINDOW_LIMIT: Final = 100
"""REST tells of at most so many trades."""

AGGREGATED_WITHIN_MS: Final = 1_000
"""How far the time of an aggregated trade may be from that of its parts."""


class Span(Struct, frozen=True):
    """A stretch of a symbol's trades in which some may be missing.

    Attributes:
        lost_from: Time of the last trade known before it, Unix milliseconds; inclusive, because
            others of the same millisecond may be among the missing.
        lost_to: Time of the first trade known after it; inclusive too.
    """

    lost_from: int
    lost_to: int

    def split(self, known: Iterable[Trade]) -> list["Span"]:
        """The same stretch in pieces, between the trades that are known within it."""
        inside = {d.timestamp for d in known if self.lost_from < d.timestamp < self.lost_to}
        edges = [self.lost_from, *sorted(inside), self.lost_to]
        return [Span(begin, end) for begin, end in pairwise(edges)]


class RestWindow:
    """An unbroken stretch of trades, up to the newest that REST knows.

    Args:
        rows: As ``decode_trades`` gives them, oldest first.
        limit: How many rows REST tells at most; a window with fewer was not cut.

    Attributes:
        rows: The trades, oldest first.
    """

    def __init__(self, rows: Sequence[Trade], limit: int = WINDOW_LIMIT) -> None:
        self.rows = list(rows)
        self._counts = counted(self.rows)
        self._cut = len(rows) >= limit

    @property
    def oldest(self) -> int:
        """Time of the oldest row."""
        return self.rows[0].timestamp

    @property
    def newest(self) -> int:
        """Time of the newest row."""
        return self.rows[-1].timestamp

    def reaches_back_to(self, end_ms: int) -> bool:
        """Whether no trade can be missing between one of ``end_ms`` and the window.

        A window that was cut may have been cut within its oldest millisecond.
        """
        return self.oldest < end_ms or (self.oldest == end_ms and not self._cut)

    def cut_at(self, trade: Trade) -> bool:
        """Whether there may be trades before this one that the cut has taken away."""
        return self._cut and trade.timestamp == self.oldest

    def reaches(self, first: Trade) -> bool:
        """Whether no trade can be missing between the window and a stream that began with this.

        Of a window that begins no earlier than the stream, what is before that is lost anyway.
        """
        return (
            self.newest > first.timestamp
            or key_of(first) in self._counts
            or (self._cut and self.oldest == first.timestamp)
        )

    def uncovered(self, end_ms: int, first: Trade | None) -> list[Span]:
        """What is lost between a trade of ``end_ms`` and the next known, ``first``.

        Args:
            end_ms: Time of the last trade before.
            first: The first trade after; None when there is none yet.
        """
        if first is not None and first.timestamp < end_ms:
            return []  # the later stream began before the earlier ended
        if first is None:
            if not self.rows or self.reaches_back_to(end_ms):
                return []
            return [Span(end_ms, self.oldest)]
        behind = not self.rows or self.newest < end_ms
        if behind or (self.oldest >= first.timestamp and not self.reaches_back_to(end_ms)):
            return [Span(end_ms, first.timestamp)]
        spans = [] if self.reaches_back_to(end_ms) else [Span(end_ms, self.oldest)]
        if not self.reaches(first):
            spans.append(Span(self.newest, first.timestamp))
        return spans

    def not_on_their_way(
        self, missing: Iterable[Trade], first: Trade, newest_ms: int
    ) -> list[Trade]:
        """The missing rows that a stream will not bring any more.

        Args:
            missing: Rows of this window.
            first: The trade that the stream began with: it brings none of those before it.
            newest_ms: Time of the newest trade that it has brought.
        """
        key = key_of(first)
        place = next((at for at, row in enumerate(self.rows) if key_of(row) == key), 0)
        before = {id(row) for row in self.rows[:place]}
        return [row for row in missing if row.timestamp < newest_ms or id(row) in before]

    def missing(self, known: Iterable[Trade]) -> tuple[list[Trade], int]:
        """The rows that are not among the known trades, oldest first.

        Where the known are aggregated and the rows are not, the rows that known trades contain are
        not missing: a known trade that REST does not tell, although it tells of that time, is one.

        Args:
            known: The known trades that are not older than the window.

        Returns:
            The missing rows, and how many were found within aggregated trades.
        """
        known = list(known)
        left = counted(known)
        missing: list[Trade] = []
        for row in self.rows:
            key = key_of(row)
            if left.get(key, 0):
                left[key] -= 1
            else:
                missing.append(row)
        alien = self._alien(known, left) if missing else []
        if not alien:
            return missing, 0
        return _without_parts(missing, alien)

    def _alien(self, known: list[Trade], left: Counter[Key]) -> list[Trade]:
        """Known trades of the time between the window's ends that REST tells nothing of."""
        found: list[Trade] = []
        for trade in known:
            key = key_of(trade)
            if self.oldest < trade.timestamp < self.newest and left[key] > 0:
                left[key] -= 1
                found.append(trade)
        return found


def _without_parts(missing: list[Trade], aggregates: list[Trade]) -> tuple[list[Trade], int]:
    """The missing rows that fit into none of the aggregated trades, and how many did."""
    room: list[Decimal] = [trade.contracts for trade in aggregates]
    kept: list[Trade] = []
    for row in missing:
        for index, whole in enumerate(aggregates):
            if (
                room[index] >= row.contracts
                and whole.price == row.price
                and whole.side is row.side
                and abs(whole.timestamp - row.timestamp) <= AGGREGATED_WITHIN_MS
            ):
                room[index] -= row.contracts
                break
        else:
            kept.append(row)
    return kept, len(missing) - len(kept)
