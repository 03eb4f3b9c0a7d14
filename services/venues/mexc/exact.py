"""The venue's numbers: exact decimals, in one spelling."""

from decimal import Decimal
from typing import Final

MOST_DIGITS: Final = 60
"""No price or size has more; a huge exponent would be written out as as many zeros."""


def plain(value: Decimal) -> Decimal:
    """The same number without exponent and without trailing zeros, digits kept exactly.

    It is called for every number of every frame. Nearly all are plain already, and their text shows
    it at once; to look a decimal up in a table takes longer, because its hash does.

    Raises:
        ValueError: It has more than 60 digits.
    """
    text = str(value)
    if "E" not in text and (text[-1] != "0" or "." not in text):
        return value
    if len(text) > MOST_DIGITS or abs(value.adjusted()) > MOST_DIGITS:
        raise ValueError(f"number {text[:MOST_DIGITS]} has more than {MOST_DIGITS} digits")
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return Decimal(text)
