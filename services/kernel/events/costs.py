"""What a position has cost, in quote: fees, funding, and how far its fills missed their price."""

from decimal import Decimal

from msgspec import Struct

from services.kernel.instruments.rounding import MONEY_STEP, rounded
from services.kernel.units import ZERO


class Costs(Struct, frozen=True, kw_only=True, gc=False):
    """Costs of a fill, of an open position, or of the part of it that was closed; in quote.

    Slippage, spread and impact are contained in the prices of the fills; fees and funding are
    booked beside them.

    Attributes:
        fees: Paid, >= 0.
        funding: Received; negative where more was paid.
        slippage: Fill price against the price that the order was decided at; negative is better.
        spread: The part of ``slippage`` that is half the spread.
        impact: The part of ``slippage`` beyond the touch, rounding to ticks included.
    """

    fees: Decimal = ZERO
    funding: Decimal = ZERO
    slippage: Decimal = ZERO
    spread: Decimal = ZERO
    impact: Decimal = ZERO

    def __add__(self, other: "Costs") -> "Costs":
        return Costs(
            fees=self.fees + other.fees,
            funding=self.funding + other.funding,
            slippage=self.slippage + other.slippage,
            spread=self.spread + other.spread,
            impact=self.impact + other.impact,
        )

    def __sub__(self, other: "Costs") -> "Costs":
        return Costs(
            fees=self.fees - other.fees,
            funding=self.funding - other.funding,
            slippage=self.slippage - other.slippage,
            spread=self.spread - other.spread,
            impact=self.impact - other.impact,
        )

    def share(self, part: Decimal, whole: Decimal) -> "Costs":
        """The costs of a part, in proportion to its quantity, rounded to the quantum of money.

        Args:
            part: Quantity, 0 < part <= whole.
            whole: Quantity that these are the costs of.
        """
        if part == whole:
            return self
        return Costs(
            fees=rounded(self.fees * part / whole, MONEY_STEP),
            funding=rounded(self.funding * part / whole, MONEY_STEP),
            slippage=rounded(self.slippage * part / whole, MONEY_STEP),
            spread=rounded(self.spread * part / whole, MONEY_STEP),
            impact=rounded(self.impact * part / whole, MONEY_STEP),
        )
