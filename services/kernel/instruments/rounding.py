"""Rounding to a fixed step, for figures that are recorded and for money that is booked."""

from decimal import ROUND_HALF_EVEN, Decimal, getcontext

MONEY_STEP = Decimal("0.00000001")
"""Quantum of what is booked: fees and funding payments, in settle currency."""


def rounded(value: Decimal, step: Decimal, rounding: str = ROUND_HALF_EVEN) -> Decimal:
    """The value in whole steps; unchanged where it is too large to be written that finely.

    ``Decimal.quantize`` raises beyond the context's precision. An absurd price must not stop a
    service, and a figure that large needs no decimals.

    Args:
        value: Finite.
        step: A power of ten.
        rounding: One of the rounding modes of `decimal`.
    """
    # One digit is kept free because rounding may carry into it.
    if value.adjusted() - step.adjusted() + 2 > getcontext().prec:
        return value
    return value.quantize(step, rounding=rounding)
