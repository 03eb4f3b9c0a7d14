"""What of the fees that opened a position belongs to the part of it that a fill closes."""

from decimal import Decimal
from typing import Final

from msgspec import Struct

from services.kernel.events import OrderResult

ZERO: Final = Decimal(0)


class _Held(Struct):
    """One symbol's position.

    Attributes:
        quantity: Signed.
        fees: Paid to open what is held, in quote.
    """

    quantity: Decimal = ZERO
    fees: Decimal = ZERO


class OpeningFees:
    """Follows the fills of a run from its first on; what was held before it has opened for free."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}

    def closed_by(self, fill: OrderResult) -> Decimal:
        """Take the next fill; the opening fees of what it closes, in proportion, 0 for none."""
        held = self._held.setdefault(fill.symbol, _Held())
        signed = fill.filled_quantity * fill.side.sign
        closed = ZERO
        if held.quantity * signed < 0:
            closed = min(abs(signed), abs(held.quantity))
        share = held.fees * closed / abs(held.quantity) if closed else ZERO
        held.fees -= share
        held.quantity += signed
        if fill.filled_quantity > closed:
            held.fees += fill.fees * (fill.filled_quantity - closed) / fill.filled_quantity
        return share
