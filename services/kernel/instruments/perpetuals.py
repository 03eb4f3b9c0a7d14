"""Perpetual futures arithmetic: margin, liquidation, bankruptcy, funding; linear and inverse.

Sources: MEXC futures documentation, "Liquidation", "Maintenance margin", "Funding rate" and
"Coin-margined futures". Two amounts describe a position of either kind, so that one formula does:
its *base* (coins bought or sold) and its *value* (quote paid or received for them). Its profit at
a price is ``base x price - value`` for a long position, in quote, and the opposite for a short
one. A linear contract keeps its base while the price moves, an inverse one its value.
"""

from decimal import ROUND_FLOOR, Decimal

from services.kernel.instruments.rounding import MONEY_STEP, rounded
from services.kernel.units import ONE, ZERO

COST_STEP = Decimal("1E-16")
"""What the cost of a part of a position is rounded to; the rest keeps the remainder."""
COIN_STEP = Decimal("1E-12")
"""What coins are rounded to in an inverse contract; their quantum in a wallet is 1E-8."""


def funding_payment(notional: Decimal, rate: Decimal) -> Decimal:
    """What an account receives at a settlement, in quote; negative when it pays.

    Payment = position x fair price x rate; with a positive rate, longs pay shorts. Rounded down to
    the settle coin's quantum: against the account.

    Args:
        notional: Value of the position at the fair price, in quote; negative for a short one.
        rate: Fraction per interval.
    """
    return rounded(-notional * rate, MONEY_STEP, ROUND_FLOOR)


def liquidation_price(
    quantity: Decimal,
    entry_price: Decimal,
    position_margin: Decimal,
    maintenance_margin_rate: Decimal,
    *,
    liquidation_fee_rate: Decimal = ZERO,
    inverse: bool = False,
) -> Decimal | None:
    """Fair price at which an isolated position is liquidated; None when no price does that.

    Liquidated where position margin + unrealised profit = maintenance margin + liquidation fee,
    with maintenance margin = value at entry x rate and fee = value at that price x rate. Before the
    fee, linear long: (MM - PM + entry x size) / size; short: (entry x size - MM + PM) / size.

    Args:
        quantity: Signed position in the contract's unit, not 0.
        entry_price: Average entry price, quote per base.
        position_margin: Initial plus added margin, in settle currency.
        maintenance_margin_rate: Of the position's tier, fraction of the value at entry.
        liquidation_fee_rate: Fraction of the value; 0 is the price before the fee.
        inverse: Margin is in base currency, ``quantity`` in quote.
    """
    size = abs(quantity)
    long = quantity > 0
    if not inverse:
        value = entry_price * size
        buffer = position_margin - value * maintenance_margin_rate
        if long:
            return _positive((value - buffer) / (size * (ONE - liquidation_fee_rate)))
        return (value + buffer) / (size * (ONE + liquidation_fee_rate))
    coins = size / entry_price
    buffer = position_margin - coins * maintenance_margin_rate
    if long:
        return size * (ONE + liquidation_fee_rate) / (coins + buffer)
    left = coins - buffer
    return size * (ONE - liquidation_fee_rate) / left if left > 0 else None


def bankruptcy_price(
    quantity: Decimal, entry_price: Decimal, position_margin: Decimal, *, inverse: bool = False
) -> Decimal | None:
    """Price at which an isolated position has lost its whole margin; None when none does.

    The venue takes a liquidated position over at this price. Arguments as in `liquidation_price`.
    """
    return liquidation_price(quantity, entry_price, position_margin, ZERO, inverse=inverse)


def cross_liquidation_price(
    quantity: Decimal,
    entry_price: Decimal,
    available: Decimal,
    maintenance_margin_rate: Decimal,
    *,
    liquidation_fee_rate: Decimal = ZERO,
    inverse: bool = False,
) -> Decimal | None:
    """Fair price at which the account's equity is used up, all other positions staying as they are.

    As `liquidation_price`, with the account in place of the position's margin.

    Args:
        quantity: Signed position in the contract's unit, not 0.
        entry_price: Average entry price, quote per base.
        available: Equity without this position's profit and without what the other positions need
            as maintenance margin and liquidation fee, in quote.
        maintenance_margin_rate: Of the position's tier, fraction of the value at entry.
        liquidation_fee_rate: Fraction of the value; 0 is the price before the fee.
        inverse: ``quantity`` is in quote.
    """
    size = abs(quantity)
    base, value = (size / entry_price, size) if inverse else (size, size * entry_price)
    sign = 1 if quantity > 0 else -1
    # available + sign x (base x p - value) = maintenance + fee, with p on one side:
    if inverse:  # maintenance in coins, the fee on a value that does not move
        bottom = sign * base - base * maintenance_margin_rate
        top = sign * value + value * liquidation_fee_rate - available
    else:
        bottom = sign * base - base * liquidation_fee_rate
        top = sign * value + value * maintenance_margin_rate - available
    return _positive(top / bottom) if bottom else None


def liquidation_distance(
    leverage: Decimal,
    maintenance_margin_rate: Decimal,
    *,
    long: bool = True,
    inverse: bool = False,
) -> Decimal:
    """Distance of the liquidation price from the entry price, as a fraction of the entry price.

    Follows from `liquidation_price` with the initial margin of ``leverage`` (> 0), which is the
    value at entry over the leverage, and before the liquidation fee: by its rate (0.0002 to 0.0004)
    it is nearer. A position that no price liquidates is 1 away.
    """
    quantity = ONE if long else -ONE
    price = liquidation_price(
        quantity,
        ONE,
        ONE / leverage,
        maintenance_margin_rate,
        inverse=inverse,
    )
    return ONE if price is None else (ONE - price) * quantity


def _positive(price: Decimal) -> Decimal | None:
    return price if price > 0 else None
