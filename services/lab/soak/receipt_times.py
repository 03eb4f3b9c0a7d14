"""Matches trades that were published with their time of receipt with the trades that were made.

While ``CLOCK_OFFSET`` is open the venue's times cannot be trusted, so the feed publishes ticks with
their time of receipt. They are matched by price, quantity and side, near that time.
"""

from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from services.kernel.events import Side
from services.lab.soak.feed_record import Key, Made, Trade

NEAR_MS: Final = 65_000
"""A trade is received within the stale timeout of being made, or is marked as backfilled."""

Shape = tuple[Decimal, Decimal, Side]


def restored(trades: Sequence[Trade], made: Sequence[Made]) -> list[Trade]:
    """The trades with the times at which they were made.

    Args:
        trades: As published, in order. Only those with ``retimed`` are changed; one that no made
            trade explains keeps its time.
        made: Every trade that the exchange made of the symbol.
    """
    left: Counter[Key] = Counter(one.key for one in made)
    left.subtract(trade.key for trade in trades if not trade.retimed)
    free: dict[Shape, list[int]] = defaultdict(list)
    for (at_ms, price, quantity, side), count in left.items():
        for _ in range(count):
            insort(free[(price, quantity, side)], at_ms)
    return [_restored(trade, free) if trade.retimed else trade for trade in trades]


def _restored(trade: Trade, free: dict[Shape, list[int]]) -> Trade:
    at_ms, price, quantity, side = trade.key
    times = free[(price, quantity, side)]
    near = [time for time in times if abs(time - at_ms) <= NEAR_MS]
    if not near:
        return trade
    times.remove(near[0])
    return replace(trade, tick=replace(trade.tick, timestamp=near[0]))
