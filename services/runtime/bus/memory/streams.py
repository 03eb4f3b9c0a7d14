"""A stream as the server keeps it: entries in the order of their ids."""

from bisect import bisect_left, bisect_right
from typing import Final

Id = tuple[int, int]
_LAST: Final[Id] = (1 << 63, 1 << 63)


class Stream:
    """Entries, oldest first."""

    def __init__(self) -> None:
        self.ids: list[Id] = []
        self.entries: list[list[bytes]] = []

    def copy(self) -> "Stream":
        """Another stream with the same entries."""
        other = Stream()
        other.ids, other.entries = self.ids.copy(), self.entries.copy()
        return other

    def add(self, entry_id: Id, fields: list[bytes]) -> None:
        """Append an entry.

        Raises:
            ValueError: Its id is not after the last one.
        """
        if self.ids and entry_id <= self.ids[-1]:
            raise ValueError("the ID is equal or smaller than the target stream top item")
        self.ids.append(entry_id)
        self.entries.append(fields)

    def range(self, start: bytes, end: bytes, count: int | None) -> list[list[object]]:
        """Entries from start to end, both included unless marked with ``(``."""
        low, high = self._slice(start, end)
        high = high if count is None else min(high, low + count)
        return [[_text(self.ids[i]), self.entries[i]] for i in range(low, high)]

    def backwards(self, end: bytes, start: bytes, count: int | None) -> list[list[object]]:
        """As `range`, the last first."""
        low, high = self._slice(start, end)
        low = low if count is None else max(low, high - count)
        return [[_text(self.ids[i]), self.entries[i]] for i in range(high - 1, low - 1, -1)]

    def trim(self, lowest: int) -> None:
        """Remove entries with a smaller first number."""
        cut = bisect_left(self.ids, (lowest, 0))
        del self.ids[:cut], self.entries[:cut]

    def keep(self, count: int) -> None:
        """Remove all but the newest entries."""
        surplus = max(0, len(self.ids) - count)
        del self.ids[:surplus], self.entries[:surplus]

    def _slice(self, start: bytes, end: bytes) -> tuple[int, int]:
        opens, closes = start.startswith(b"("), end.startswith(b"(")
        first = _id(start.lstrip(b"("), 0)
        last = _id(end.lstrip(b"("), _LAST[1])
        low = bisect_right(self.ids, first) if opens else bisect_left(self.ids, first)
        high = bisect_left(self.ids, last) if closes else bisect_right(self.ids, last)
        return low, high


def _id(text: bytes, sequence: int) -> Id:
    if text == b"-":
        return (0, 0)
    if text == b"+":
        return _LAST
    first, _, second = text.partition(b"-")
    return int(first), int(second) if second else sequence


def _text(entry_id: Id) -> bytes:
    return b"%d-%d" % entry_id
