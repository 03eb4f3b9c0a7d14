"""The newest deals of a symbol as REST tells them: what they cover, and what they add."""

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Final

from msgspec import Struct

from services.cdb_ws.trades.dedup_window import Key, counted, key_of
from services.venues.mexc.messages import Deal

WINDOW_LIMIT: Final = 100
"""REST tells of at most so many deals."""

AGGREGATED_WITHIN_MS: Final = 1_000
"""How far the time of an aggregated deal may be from that of its parts."""


class Span(Struct, frozen=True):
    """A stretch of a symbol's deals in which some may be missing.

    Attributes:
        lost_from: Time of the last deal known before it, Unix milliseconds; inclusive, because
            others of the same millisecond may be among the missing.
        lost_to: Time of the first deal known after it; inclusive too.
    """

    lost_from: int
    lost_to: int

    def split(self, known: Iterable[Deal]) -> list["Span"]:
        """The same stretch in pieces, between the deals that are known within it."""
        inside = {d.timestamp for d in known if self.lost_from < d.timestamp < self.lost_to}
        edges = [self.lost_from, *sorted(inside), self.lost_to]
        return [Span(begin, end) for begin, end in pairwise(edges)]


class RestWindow:
    """An unbroken stretch of deals, up to the newest that REST knows.

    Args:
        rows: As ``decode_deals`` gives them, oldest first.
        limit: How many rows REST tells at most; a window with fewer was not cut.

    Attributes:
        rows: The deals, oldest first.
    """

    def __init__(self, rows: Sequence[Deal], limit: int = WINDOW_LIMIT) -> None:
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
        """Whether no deal can be missing between one of ``end_ms`` and the window.

        A window that was cut may have been cut within its oldest millisecond.
        """
        return self.oldest < end_ms or (self.oldest == end_ms and not self._cut)

    def cut_at(self, deal: Deal) -> bool:
        """Whether there may be deals before this one that the cut has taken away."""
        return self._cut and deal.timestamp == self.oldest

    def reaches(self, first: Deal) -> bool:
        """Whether no deal can be missing between the window and a stream that began with this.

        Of a window that begins no earlier than the stream, what is before that is lost anyway.
        """
        return (
            self.newest > first.timestamp
            or key_of(first) in self._counts
            or (self._cut and self.oldest == first.timestamp)
        )

    def uncovered(self, end_ms: int, first: Deal | None) -> list[Span]:
        """What is lost between a deal of ``end_ms`` and the next known, ``first``.

        Args:
            end_ms: Time of the last deal before.
            first: The first deal after; None when there is none yet.
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

    def not_on_their_way(self, missing: Iterable[Deal], first: Deal, newest_ms: int) -> list[Deal]:
        """The missing rows that a stream will not bring any more.

        Args:
            missing: Rows of this window.
            first: The deal that the stream began with: it brings none of those before it.
            newest_ms: Time of the newest deal that it has brought.
        """
        key = key_of(first)
        place = next((at for at, row in enumerate(self.rows) if key_of(row) == key), 0)
        before = {id(row) for row in self.rows[:place]}
        return [row for row in missing if row.timestamp < newest_ms or id(row) in before]

    def missing(self, known: Iterable[Deal]) -> tuple[list[Deal], int]:
        """The rows that are not among the known deals, oldest first.

        Where the known are aggregated and the rows are not, the rows that known deals contain are
        not missing: a known deal that REST does not tell, although it tells of that time, is one.

        Args:
            known: The known deals that are not older than the window.

        Returns:
            The missing rows, and how many were found within aggregated deals.
        """
        known = list(known)
        left = counted(known)
        missing: list[Deal] = []
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

    def _alien(self, known: list[Deal], left: Counter[Key]) -> list[Deal]:
        """Known deals of the time between the window's ends that REST tells nothing of."""
        found: list[Deal] = []
        for deal in known:
            key = key_of(deal)
            if self.oldest < deal.timestamp < self.newest and left[key] > 0:
                left[key] -= 1
                found.append(deal)
        return found


def _without_parts(missing: list[Deal], aggregates: list[Deal]) -> tuple[list[Deal], int]:
    """The missing rows that fit into none of the aggregated deals, and how many did."""
    room: list[Decimal] = [deal.contracts for deal in aggregates]
    kept: list[Deal] = []
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
