"""Contract specifications: kind, size, tick, lot, fees, margin; and the generic one for replays.

Quantities are in the contract's own unit, which is base currency in a linear contract and quote
currency (its face value) in an inverse one: that unit is what whole contracts are made of, what a
position keeps while the price moves, and what orders and fills count. `Instrument.unit_value` is
the one place where the two kinds differ in worth: notional = quantity x unit value, in quote.
"""

from collections.abc import Mapping
from decimal import ROUND_DOWN, Decimal

from msgspec import Struct

from services.kernel.instruments.rounding import rounded
from services.kernel.units import ONE, Contracts, Price, Quantity

GENERIC_LOT = Decimal("0.00000001")
UNKNOWN_TICK = Decimal("0.00000001")
TAKER_FEE_RATE = Decimal("0.0008")
VOLUME_STEP = Decimal("1E-12")
"""What the base of an inverse contract's volume is rounded to."""
MAKER_FEE_RATE = Decimal("0.0006")
GENERIC_MAINTENANCE_MARGIN_RATE = Decimal("0.005")
LIQUIDATION_FEE_RATE = Decimal("0.0004")
"""The highest of MEXC's rates, for a contract without one of its own."""


class MarginTier(Struct, frozen=True, kw_only=True, gc=False):
    """One step of a contract's risk limits.

    Attributes:
        max_quantity: Largest position of this tier, in the contract's unit.
        maintenance_margin_rate: Fraction of the value at entry.
        max_leverage: Highest leverage allowed in this tier.
    """

    max_quantity: Decimal
    maintenance_margin_rate: Decimal
    max_leverage: Decimal


class Instrument(Struct, frozen=True, kw_only=True, gc=False):
    """One perpetual contract.

    Attributes:
        symbol: ``BASE_QUOTE``, upper case.
        contract_size: Units per contract: base currency, quote currency in an inverse one.
        tick_size: Smallest price step, in quote per base.
        lot_size: Smallest step of quantity, in the contract's unit.
        taker_fee_rate, maker_fee_rate: Fractions of notional.
        maintenance_margin_rate: Fraction of the value at entry, first tier.
        max_leverage: Highest leverage of the first tier.
        funding_interval_hours: Hours between two funding settlements.
        generic: True where the venue's own details are unknown.
        tiers: Risk limits by position size, the smallest first; empty where there is only one.
        inverse: Face value in quote, margin and profit in base currency.
        liquidation_fee_rate: Fraction of the value at which the venue takes a position over.
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
    inverse: bool = False
    liquidation_fee_rate: Decimal = LIQUIDATION_FEE_RATE

    @property
    def settle_currency(self) -> str:
        """What margin, fees and profit are paid in: quote, or base in an inverse contract."""
        base, _, quote = self.symbol.partition("_")
        return base if self.inverse else quote

    def unit_value(self, price: Decimal) -> Decimal:
        """What one unit of quantity is worth at ``price`` (quote per base), in quote."""
        return ONE if self.inverse else price

    def base_quantity(self, quantity: Decimal, price: Decimal) -> Decimal:
        """A quantity at ``price`` (quote per base, > 0) in base currency, to compare volumes."""
        return quantity / price if self.inverse else quantity

    def quantity_of(self, base: Decimal, price: Decimal) -> Decimal:
        """A volume in base currency at ``price`` (quote per base) in the contract's unit."""
        return base * price if self.inverse else base

    def volume_in_base(self, contracts: Contracts, price: Price) -> Quantity:
        """What a venue counts in contracts, traded at ``price`` (quote per base, > 0), in base."""
        units = contracts * self.contract_size
        return Quantity(rounded(units / price, VOLUME_STEP) if self.inverse else units)

    def volume_in_contracts(self, volume: Quantity, price: Price) -> Contracts:
        """`volume_in_base` undone: whole contracts of an inverse one, whose base was rounded."""
        if self.inverse:
            return Contracts((volume * price / self.contract_size).to_integral_value())
        return Contracts(volume / self.contract_size)

    def tier(self, quantity: Decimal) -> MarginTier:
        """The tier of a position: the first that holds it; beyond the last, the last.

        Args:
            quantity: In the contract's unit; the sign does not matter.
        """
        size = abs(quantity)
        for tier in self.tiers:
            if size <= tier.max_quantity:
                return tier
        if self.tiers:
            return self.tiers[-1]
        return MarginTier(
            max_quantity=size,
            maintenance_margin_rate=self.maintenance_margin_rate,
            max_leverage=self.max_leverage,
        )

    def above_lower_tier(self, quantity: Decimal) -> Decimal:
        """How much of a position lies above the next lower tier; all of it in the lowest.

        A venue that liquidates a large position reduces it tier by tier.
        """
        size = abs(quantity)
        lower = [tier.max_quantity for tier in self.tiers if tier.max_quantity < size]
        return size - lower[-1] if lower else size

    def round_down_to_lot(self, quantity: Decimal) -> Decimal:
        """Largest whole number of lots that is not above ``quantity`` (>= 0)."""
        lots = (quantity / self.lot_size).to_integral_value(rounding=ROUND_DOWN)
        return lots * self.lot_size


def generic_instrument(
    symbol: str,
    tick_size: Decimal,
    *,
    inverse: bool = False,
    contract_size: Decimal | None = None,
) -> Instrument:
    """A contract for a symbol without details: the API fee schedule, linear by default.

    Args:
        symbol: ``BASE_QUOTE``.
        tick_size: Smallest price step, taken from the data's decimals.
        inverse: The contract's face value is in quote, as that of BitMEX's XBTUSD.
        contract_size: Units of base, of quote in an inverse contract; the lot is one contract.
            None: one unit of quote, or a linear market that is not counted in contracts.
    """
    if contract_size is None and inverse:
        contract_size = ONE
    return Instrument(
        symbol=symbol,
        contract_size=contract_size or ONE,
        tick_size=tick_size,
        lot_size=contract_size or GENERIC_LOT,
        taker_fee_rate=TAKER_FEE_RATE,
        maker_fee_rate=MAKER_FEE_RATE,
        maintenance_margin_rate=GENERIC_MAINTENANCE_MARGIN_RATE,
        max_leverage=Decimal(10),
        funding_interval_hours=8,
        generic=True,
        inverse=inverse,
    )


def contract_of(symbol: str, known: Mapping[str, Instrument]) -> Instrument:
    """The symbol's contract; a generic one, which nothing is opened in, where it is unknown."""
    return known.get(symbol) or generic_instrument(symbol, UNKNOWN_TICK)
