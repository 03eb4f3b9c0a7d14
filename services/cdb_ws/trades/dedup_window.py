"""The deals of one symbol that are still remembered, so that each is published once.

The socket's deals have an id; REST's have none, and two deals may agree in everything REST tells.
So deals without an id are counted: as many copies exist as the fuller of two accounts holds.
"""

from collections import Counter, deque
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from services.kernel.events import Side
from services.venues.mexc.messages import Deal

KEEP_AT_LEAST: Final = 128
"""More than a REST window holds, so that one of a quiet symbol can be compared as a whole."""

KEEP_MS: Final = 15_000
KEEP_AT_MOST: Final = 2_000

Key = tuple[int, Decimal, Decimal, Side]
"""All that REST tells of a deal: time, price, contracts, taker's side."""


def key_of(deal: Deal) -> Key:
    """What a deal and its copy without an id have in common."""
    return deal.timestamp, deal.price, deal.contracts, deal.side


class DealMemory:
    """At least the newest 128 deals; of a busy symbol the last 15 s, up to 2,000 deals.

    Attributes:
        ids: The remembered deals' ids.
        anonymous: How many remembered deals have no id, by key.
        forgotten_until: Time of the youngest deal that was forgotten; of deals up to then nothing
            can be said. -1 while none was.
        newest_ms: Time of the newest deal that was ever remembered; -1 without any.
    """

    def __init__(self) -> None:
        self.ids: set[int] = set()
        self.anonymous: Counter[Key] = Counter()
        self.forgotten_until = -1
        self._deals: deque[Deal] = deque()
        self.newest_ms = -1

    def add(self, deal: Deal) -> None:
        """Remember a deal that was published, and forget what is too much."""
        deals = self._deals
        deals.append(deal)
        if deal.trade_id is None:
            self.anonymous[key_of(deal)] += 1
        else:
            self.ids.add(deal.trade_id)
        self.newest_ms = max(self.newest_ms, deal.timestamp)
        while len(deals) > KEEP_AT_LEAST and (
            len(deals) > KEEP_AT_MOST or deals[0].timestamp < self.newest_ms - KEEP_MS
        ):
            self._forget(deals.popleft())

    def claim(self, deal: Deal) -> bool:
        """Whether a deal with an id is one that is remembered without; it then has this id."""
        if not self.anonymous:
            return False
        key = key_of(deal)
        if key not in self.anonymous:
            return False
        self._less(key)
        place = next(
            index
            for index, known in enumerate(self._deals)
            if known.trade_id is None and key_of(known) == key
        )
        self._deals[place] = deal
        assert deal.trade_id is not None
        self.ids.add(deal.trade_id)
        return True

    def since(self, oldest_ms: int) -> list[Deal]:
        """The remembered deals that are not older than a time, in no particular order."""
        return [deal for deal in self._deals if deal.timestamp >= oldest_ms]

    def newest_until(self, latest_ms: int) -> int | None:
        """Time of the youngest remembered deal that is not younger than a time."""
        return max(
            (deal.timestamp for deal in self._deals if deal.timestamp <= latest_ms), default=None
        )

    def _forget(self, deal: Deal) -> None:
        self.forgotten_until = max(self.forgotten_until, deal.timestamp)
        if deal.trade_id is None:
            self._less(key_of(deal))
        else:
            self.ids.discard(deal.trade_id)

    def _less(self, key: Key) -> None:
        self.anonymous[key] -= 1
        if not self.anonymous[key]:
            del self.anonymous[key]


def counted(deals: Iterable[Deal]) -> Counter[Key]:
    """How many copies of each deal there are."""
    return Counter(map(key_of, deals))
