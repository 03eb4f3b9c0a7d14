"""Perpetual futures arithmetic: margin, liquidation price, funding. Linear contracts.

Sources: MEXC futures documentation, "Liquidation", "Maintenance margin" and "Funding rate".
"""

from decimal import ROUND_FLOOR, Decimal

from services.kernel.rounding import MONEY_STEP, rounded

ONE = Decimal(1)
COST_STEP = Decimal("1E-16")
"""What the cost of a part of a position is rounded to; the rest keeps the remainder."""


def funding_payment(quantity: Decimal, mark_price: Decimal, rate: Decimal) -> Decimal:
    """What an account receives at a settlement, in quote; negative when it pays.

    Payment = position x fair price x rate; with a positive rate, longs pay shorts. Rounded down to
    the settle coin's quantum: against the account.

    Args:
        quantity: Signed position in base.
        mark_price: Fair price at the settlement, quote per base.
        rate: Fraction per interval.
    """
    return rounded(-quantity * mark_price * rate, MONEY_STEP, ROUND_FLOOR)


def liquidation_price(
    quantity: Decimal,
    entry_price: Decimal,
    position_margin: Decimal,
    maintenance_margin_rate: Decimal,
) -> Decimal:
    """Fair price at which an isolated position is liquidated, before the liquidation fee.

    Long: (MM - PM + entry x size) / size; short: (entry x size - MM + PM) / size, with
    MM = entry x size x maintenance margin rate.

    Args:
        quantity: Signed position in base, not 0.
        entry_price: Average entry price, quote per base.
        position_margin: Initial plus added margin, in quote.
        maintenance_margin_rate: Fraction of notional of the position's tier.
    """
    size = abs(quantity)
    value = entry_price * size
    maintenance = value * maintenance_margin_rate
    if quantity > 0:
        return (maintenance - position_margin + value) / size
    return (value - maintenance + position_margin) / size


def liquidation_distance(leverage: Decimal, maintenance_margin_rate: Decimal) -> Decimal:
    """Distance of the liquidation price from the entry price, as a fraction of the entry price.

    Follows from `liquidation_price` with the initial margin of ``leverage`` (> 0), which is the
    notional at entry over the leverage: the same for long and short.
    """
    return ONE / leverage - maintenance_margin_rate
