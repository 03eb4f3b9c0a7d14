"""The trades of one symbol that are still remembered, so that each is published once.

The socket's trades have an id; REST's have none, and two trades may agree in everything REST tells.
So trades without an id are counted: as many copies exist as the fuller of two accounts holds.
"""

from collections import Counter, deque
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from services.kernel.events import Side
from services.venues.mexc.messages import Trade

KEEP_AT_LEAST: Final = 128
"""More than a REST window holds, so that one of a quiet symbol can be compared as a whole."""

KEEP_MS: Final = 15_000
KEEP_AT_MOST: Final = 2_000

Key = tuple[int, Decimal, Decimal, Side]
"""All that REST tells of a trade: time, price, contracts, taker's side."""


def key_of(trade: Trade) -> Key:
    """What a trade and its copy without an id have in common."""
    return trade.timestamp, trade.price, trade.contracts, trade.side


class DedupWindow:
    """At least the newest 128 trades; of a busy symbol the last 15 s, up to 2,000 trades.

    Attributes:
        ids: The remembered trades' ids.
        anonymous: How many remembered trades have no id, by key.
        forgotten_until: Time of the youngest trade that was forgotten; of trades up to then nothing
            can be said. -1 while none was.
        newest_ms: Time of the newest trade that was ever remembered; -1 without any.
    """

    def __init__(self) -> None:
        self.ids: set[int] = set()
        self.anonymous: Counter[Key] = Counter()
        self.forgotten_until = -1
        self._trades: deque[Trade] = deque()
        self.newest_ms = -1

    def add(self, trade: Trade) -> None:
        """Remember a trade that was published, and forget what is too much."""
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
        """Whether a trade with an id is one that is remembered without; it then has this id."""
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
        """The remembered trades that are not older than a time, in no particular order."""
        return [trade for trade in self._trades if trade.timestamp >= oldest_ms]

    def newest_until(self, latest_ms: int) -> int | None:
        """Time of the youngest remembered trade that is not younger than a time."""
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
    """How many copies of each trade there are."""
    return Counter(map(key_of, trades))
