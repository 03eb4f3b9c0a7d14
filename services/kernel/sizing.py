"""Sizing: what to ask for, and the one exit that trims it to every headroom and to whole lots."""

from collections.abc import Sequence
from decimal import ROUND_UP, Decimal

from msgspec import Struct

from services.kernel.instruments import Instrument

ZERO = Decimal(0)


class Headroom(Struct, frozen=True, kw_only=True, gc=False):
    """How much a limit still leaves, in base units; negative when it is exceeded already."""

    name: str
    quantity: Decimal


class SizedEntry(Struct, frozen=True, kw_only=True, gc=False):
    """The candidate of an entry.

    Attributes:
        requested: What was asked for, in base, rounded down to lots.
        quantity: What every headroom allows, in base, whole lots; 0 when nothing is tradable.
        binding_limit: The headroom that made ``quantity`` smaller than ``requested``.
        smallest: The smallest tradable quantity, in base.
    """

    requested: Decimal
    quantity: Decimal
    binding_limit: str | None
    smallest: Decimal

    @property
    def tradable(self) -> bool:
        """Whether anything is left to trade."""
        return self.quantity > 0


def fixed_fraction(
    equity: Decimal, risk_pct: Decimal, price: Decimal, stop_pct: Decimal
) -> Decimal:
    """Quantity (base) whose loss at the stop is ``risk_pct`` of equity.

    Source: fixed fractional position sizing, quantity = equity x risk / (price x stop distance).

    Args:
        equity: Quote, > 0.
        risk_pct: Fraction of equity.
        price: Quote per base, > 0.
        stop_pct: Distance of the stop as a fraction of the price, > 0.
    """
    return equity * risk_pct / (price * stop_pct)


def smallest_tradable(instrument: Instrument, price: Decimal, min_notional: Decimal) -> Decimal:
    """Smallest whole number of lots whose notional reaches ``min_notional`` (quote), in base."""
    lots = (min_notional / price / instrument.lot_size).to_integral_value(rounding=ROUND_UP)
    return max(lots, Decimal(1)) * instrument.lot_size


def size_entry(
    asked: Decimal,
    headrooms: Sequence[Headroom],
    instrument: Instrument,
    price: Decimal,
    min_notional: Decimal,
) -> SizedEntry:
    """Trim what is asked for to the smallest headroom, in whole lots: the one exit of sizing.

    Args:
        asked: Base units, > 0.
        headrooms: What each limit leaves.
        instrument: Gives the lot size.
        price: Quote per base, > 0; the price at which the headrooms were reckoned.
        min_notional: Quote.

    Returns:
        The candidate; within every headroom, whole lots, and 0 rather than below the minimum.
    """
    smallest = smallest_tradable(instrument, price, min_notional)
    requested = instrument.round_down_to_lot(asked)
    quantity, binding = requested, None
    for headroom in headrooms:
        allowed = instrument.round_down_to_lot(max(headroom.quantity, ZERO))
        if allowed < quantity:
            quantity, binding = allowed, headroom.name
    if quantity < smallest:
        quantity = ZERO
    assert quantity == instrument.round_down_to_lot(quantity)
    assert quantity == 0 or all(quantity <= headroom.quantity for headroom in headrooms)
    return SizedEntry(
        requested=requested, quantity=quantity, binding_limit=binding, smallest=smallest
    )
