"""How alike two symbols move: correlation of their one-minute returns over the last hour."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from operator import mul

from msgspec import Struct

from services.kernel.instruments.rounding import rounded
from services.kernel.units import MINUTE_MS, ONE, ZERO

WINDOW = 60
"""Returns that are kept."""
LEAST_RETURNS = 30
"""Fewer say nothing."""
STEP = Decimal("0.0001")


class MinuteCloses(Struct, kw_only=True):
    """The last trade price of each of the last minutes in which there was one.

    Attributes:
        latest: The newest minute, since the epoch.
        prices: Quote per base by minute, the oldest first.
    """

    latest: int = 0
    prices: dict[int, Decimal] = {}

    def add(self, at: int, price: Decimal) -> None:
        """Take a trade; one of an earlier minute comes too late.

        Args:
            at: Unix milliseconds.
            price: Quote per base, > 0.
        """
        minute = at // MINUTE_MS
        if minute < self.latest:
            return
        self.latest = minute
        self.prices[minute] = price
        if len(self.prices) > WINDOW + 1:
            del self.prices[next(iter(self.prices))]


def correlation(one: MinuteCloses, other: MinuteCloses) -> Decimal | None:
    """Correlation of the returns between the minutes that both have, -1 to 1.

    Source: Pearson's coefficient of the gross returns. None where there are fewer than
    `LEAST_RETURNS` of them, or one of the two does not move.
    """
    prices = other.prices
    if len(prices) <= LEAST_RETURNS:
        return None
    common = [(price, prices[minute]) for minute, price in one.prices.items() if minute in prices]
    if len(common) <= LEAST_RETURNS:
        return None
    return _pearson(
        _returns([price for price, _ in common]), _returns([price for _, price in common])
    )


def _returns(prices: Sequence[Decimal]) -> list[Decimal]:
    return [after / before for before, after in pairwise(prices)]


def _pearson(one: Sequence[Decimal], other: Sequence[Decimal]) -> Decimal | None:
    mean_one, mean_other = sum(one, ZERO) / len(one), sum(other, ZERO) / len(other)
    off_one = [value - mean_one for value in one]
    off_other = [value - mean_other for value in other]
    spread = sum((a * a for a in off_one), ZERO) * sum((b * b for b in off_other), ZERO)
    if spread <= 0:
        return None
    shared = sum(map(mul, off_one, off_other), ZERO)
    return max(-ONE, min(ONE, rounded(shared / spread.sqrt(), STEP)))
