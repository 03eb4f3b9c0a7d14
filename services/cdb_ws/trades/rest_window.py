"""The newest trades of a symbol from REST: which time they cover, and which trades they add."""

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Final

from msgspec import Struct

from services.cdb_ws.trades.dedup_window import Key, counted, key_of
from services.venues.mexc.messages import Trade

WINDOW_LIMIT: Final = 100
"""REST returns at most this many trades."""

AGGREGATED_WITHIN_MS: Final = 1_000
"""Maximum difference between the time of an aggregated trade and that of its parts."""


class Span(Struct, frozen=True):
    """A period in which trades of a symbol may be missing.

    Attributes:
        lost_from: Time of the last known trade before it, Unix milliseconds. Inclusive: other
        trades of the same millisecond may be missing.
        lost_to: Time of the first known trade after it; inclusive.
    """

    lost_from: int
    lost_to: int

    def split(self, known: Iterable[Trade]) -> list["Span"]:
        """The same period in pieces, split at the known trades inside it."""
        inside = {d.timestamp for d in known if self.lost_from < d.timestamp < self.lost_to}
        edges = [self.lost_from, *sorted(inside), self.lost_to]
        return [Span(begin, end) for begin, end in pairwise(edges)]


class RestWindow:
    """An unbroken run of trades up to the newest that REST knows.

    Args:
        rows: As returned by ``decode_trades``, oldest first.
        limit: Maximum number of rows; a window with fewer rows was not cut.

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
        """Whether no trade can be missing between a trade at ``end_ms`` and the window.

        A window that was cut may have been cut within its oldest millisecond.
        """
        return self.oldest < end_ms or (self.oldest == end_ms and not self._cut)

    def cut_at(self, trade: Trade) -> bool:
        """Whether the cut may have removed trades before this one."""
        return self._cut and trade.timestamp == self.oldest

    def reaches(self, first: Trade) -> bool:
        """Whether no trade can be missing between the window and a stream beginning with ``first``.

        If the window begins no earlier than the stream, the time before it is lost in any case.
        """
        return (
            self.newest > first.timestamp
            or key_of(first) in self._counts
            or (self._cut and self.oldest == first.timestamp)
        )

    def uncovered(self, end_ms: int, first: Trade | None) -> list[Span]:
        """The spans that are lost between a trade at ``end_ms`` and the next known trade.

        Args:
            end_ms: Time of the last trade before.
            first: The first trade after it; None if there is none yet.
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
        """The missing rows that the stream will no longer bring.

        Args:
            missing: Rows of this window.
            first: The first trade of the stream; it brings no earlier ones.
            newest_ms: Time of the newest trade that it has brought.
        """
        key = key_of(first)
        place = next((at for at, row in enumerate(self.rows) if key_of(row) == key), 0)
        before = {id(row) for row in self.rows[:place]}
        return [row for row in missing if row.timestamp < newest_ms or id(row) in before]

    def missing(self, known: Iterable[Trade]) -> tuple[list[Trade], int]:
        """The rows that are not among the known trades, oldest first.

        If the stream aggregates trades and REST does not, rows that are part of an aggregated trade
        are not missing. A known trade is taken for aggregated when REST covers its time but does
        not have it.

        Args:
            known: The known trades that are not older than the window.

        Returns:
            The missing rows, and the number of rows found within aggregated trades.
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
        """Known trades between the ends of the window that REST does not have."""
        found: list[Trade] = []
        for trade in known:
            key = key_of(trade)
            if self.oldest < trade.timestamp < self.newest and left[key] > 0:
                left[key] -= 1
                found.append(trade)
        return found


def _without_parts(missing: list[Trade], aggregates: list[Trade]) -> tuple[list[Trade], int]:
    """The missing rows that are part of no aggregated trade, and the number of those that are."""
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
