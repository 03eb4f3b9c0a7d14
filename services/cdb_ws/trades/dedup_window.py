"""The published trades of one symbol that are kept, so that each trade is published once.

Trades from the socket have an id, trades from REST have none, and two trades may be equal in all
fields that REST has. Trades without an id are therefore counted: the number of copies is that of
the source which has more.
"""

from collections import Counter, deque
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from services.kernel.events import Side
from services.venues.mexc.messages import Trade

KEEP_AT_LEAST: Final = 128
"""More trades than a REST window holds: a whole window of a quiet symbol can be compared."""

KEEP_MS: Final = 15_000
KEEP_AT_MOST: Final = 2_000

Key = tuple[int, Decimal, Decimal, Side]
"""All fields that REST has of a trade: time, price, contracts, taker side."""


def key_of(trade: Trade) -> Key:
    """The fields that a trade and its copy without an id have in common."""
    return trade.timestamp, trade.price, trade.contracts, trade.side


class DedupWindow:
    """At least the newest 128 trades; for a busy symbol those of the last 15 s, at most 2,000.

    Attributes:
        ids: Ids of the kept trades.
        anonymous: Number of kept trades without an id, by key.
        forgotten_until: Time of the youngest trade that was dropped; -1 if none was. Up to this
            time
        duplicates can no longer be recognised.
        newest_ms: Time of the newest trade ever added; -1 before the first.
    """

    def __init__(self) -> None:
        self.ids: set[int] = set()
        self.anonymous: Counter[Key] = Counter()
        self.forgotten_until = -1
        self._trades: deque[Trade] = deque()
        self.newest_ms = -1

    def add(self, trade: Trade) -> None:
        """Add a published trade, and drop the oldest ones beyond the limits."""
        trades = self._trades
        trades.append(trade)
        if trade.trade_id is None:
            self.anonymous[key_of(trade)] += 1
        else:
            self.ids.add(trade.trade_id)
        self.newest_ms = max(self.newest_ms, trade.timestamp)
        while len(trades) > KEEP_AT_LEAST and (
            len(trades) > KEEP_AT_MOST or trades[0].timestamp < self.newest_ms - KEEP_MS
        ):
            self._forget(trades.popleft())

    def claim(self, trade: Trade) -> bool:
        """Whether a trade with an id is a kept trade without one; if so, that one takes the id."""
        if not self.anonymous:
            return False
        key = key_of(trade)
        if key not in self.anonymous:
            return False
        self._less(key)
        place = next(
            index
            for index, known in enumerate(self._trades)
            if known.trade_id is None and key_of(known) == key
        )
        self._trades[place] = trade
        assert trade.trade_id is not None
        self.ids.add(trade.trade_id)
        return True

    def since(self, oldest_ms: int) -> list[Trade]:
        """The kept trades that are not older than a time, in no particular order."""
        return [trade for trade in self._trades if trade.timestamp >= oldest_ms]

    def newest_until(self, latest_ms: int) -> int | None:
        """Time of the youngest kept trade that is not younger than a time."""
        return max(
            (trade.timestamp for trade in self._trades if trade.timestamp <= latest_ms),
            default=None,
        )

    def _forget(self, trade: Trade) -> None:
        self.forgotten_until = max(self.forgotten_until, trade.timestamp)
        if trade.trade_id is None:
            self._less(key_of(trade))
        else:
            self.ids.discard(trade.trade_id)

    def _less(self, key: Key) -> None:
        self.anonymous[key] -= 1
        if not self.anonymous[key]:
            del self.anonymous[key]


def counted(trades: Iterable[Trade]) -> Counter[Key]:
    """Number of copies of each trade."""
    return Counter(map(key_of, trades))
