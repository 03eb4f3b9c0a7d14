"""Contract specifications: size, tick, lot, fees, margin; and the generic one for replays."""

from decimal import ROUND_DOWN, Decimal

from msgspec import Struct

GENERIC_LOT = Decimal("0.00000001")
TAKER_FEE_RATE = Decimal("0.0008")
MAKER_FEE_RATE = Decimal("0.0006")
GENERIC_MAINTENANCE_MARGIN_RATE = Decimal("0.005")


class MarginTier(Struct, frozen=True, kw_only=True, gc=False):
    """One step of a contract's risk limits.

    Attributes:
        max_quantity: Largest position of this tier, in units of base.
        maintenance_margin_rate: Fraction of notional.
        max_leverage: Highest leverage allowed in this tier.
    """

    max_quantity: Decimal
    maintenance_margin_rate: Decimal
    max_leverage: Decimal


class Instrument(Struct, frozen=True, kw_only=True, gc=False):
    """One perpetual contract.

    Attributes:
        symbol: ``BASE_QUOTE``, upper case.
        contract_size: Base currency per contract.
        tick_size: Smallest price step, in quote per base.
        lot_size: Smallest step of quantity, in units of base.
        taker_fee_rate, maker_fee_rate: Fractions of notional.
        maintenance_margin_rate: Fraction of notional, first tier.
        max_leverage: Highest leverage of the first tier.
        funding_interval_hours: Hours between two funding settlements.
        generic: True where the venue's own details are unknown.
    """

    symbol: str
    contract_size: Decimal
    tick_size: Decimal
    lot_size: Decimal
    taker_fee_rate: Decimal
    maker_fee_rate: Decimal
    maintenance_margin_rate: Decimal
    max_leverage: Decimal
    funding_interval_hours: int
    generic: bool
    tiers: tuple[MarginTier, ...] = ()

    def round_down_to_lot(self, quantity: Decimal) -> Decimal:
        """Largest whole number of lots that is not above ``quantity`` (base units, >= 0)."""
        lots = (quantity / self.lot_size).to_integral_value(rounding=ROUND_DOWN)
        return lots * self.lot_size


def generic_instrument(symbol: str, tick_size: Decimal) -> Instrument:
    """A linear contract for a symbol without details: size 1, the API fee schedule.

    Args:
        symbol: ``BASE_QUOTE``.
        tick_size: Smallest price step, taken from the data's decimals.
    """
    return Instrument(
        symbol=symbol,
        contract_size=Decimal(1),
        tick_size=tick_size,
        lot_size=GENERIC_LOT,
        taker_fee_rate=TAKER_FEE_RATE,
        maker_fee_rate=MAKER_FEE_RATE,
        maintenance_margin_rate=GENERIC_MAINTENANCE_MARGIN_RATE,
        max_leverage=Decimal(10),
        funding_interval_hours=8,
        generic=True,
    )
