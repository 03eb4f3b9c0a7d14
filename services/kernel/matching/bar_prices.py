"""Where a fill starts on ticks made from bars: never at a better price than it could have had.

Nobody knows in which order a bar's prices came; that open, high, low and close follow each other is
a convention, which must not earn money. So a fill starts at the worse of the price it was decided
at and the next point. An order that a price triggers starts at that price where the market crossed
it within a bar, and at the bar's opening where that lies beyond it: there the price jumped.
"""

from decimal import Decimal

from services.kernel.events import BarPoint, Side
from services.kernel.matching.fills import SimulatedMarket


def worse(side: Side, one: Decimal, other: Decimal) -> Decimal:
    """The worse of two prices for an order of this side."""
    return max(one, other) if side is Side.BUY else min(one, other)


def triggered_at(level: Decimal, side: Side, market: SimulatedMarket) -> tuple[Decimal, bool]:
    """Where a stop that triggered at the market's last point starts.

    Args:
        level: The price that triggers it, quote per base.
        side: Of the order that the trigger makes.
        market: Its last two points.

    Returns:
        The price, and whether the first fill starts exactly there; where not, the next point may
        make it worse.
    """
    price, before = market.price, market.before
    if price is None:
        return level, False
    reached = (price - level) * side.sign >= 0
    crossed = before is not None and (before - level) * side.sign < 0
    if market.bar is BarPoint.INSIDE and crossed:
        return level, reached
    return worse(side, level, price), reached and market.bar is BarPoint.OPEN
