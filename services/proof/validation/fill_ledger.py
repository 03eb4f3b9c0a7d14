"""What is held and what it cost, from fills alone: shares nothing with the portfolio's fold."""

from decimal import Decimal
from typing import Final, NamedTuple

from msgspec import Struct

from services.kernel.events import Event, Instruments, OrderResult, RunStarted

ZERO: Final = Decimal(0)


class Held(Struct):
    """A signed quantity in the contract's unit, what it cost, and its leverage.

    ``cost`` is in settle currency: quote, or base in an inverse contract.
    """

    quantity: Decimal
    cost: Decimal
    leverage: Decimal


class Closed(NamedTuple):
    """What a fill closed: its quantity, what that had cost, and the leverage it was held with."""

    quantity: Decimal
    cost: Decimal
    leverage: Decimal


class FillLedger:
    """Books fills one by one: first against an opposite position, the rest opens one.

    Attributes:
        held: Open positions by symbol.
        tick_sizes: Of the contracts that were published.
    """

    def __init__(self) -> None:
        self.held: dict[str, Held] = {}
        self.tick_sizes: dict[str, Decimal] = {}
        self._inverse: dict[str, bool] = {}

    def see(self, event: Event) -> None:
        """Take contracts and the start of a run; fills go to `book`."""
        if isinstance(event, Instruments):
            for contract in event.instruments:
                self._inverse[contract.symbol] = contract.inverse
                self.tick_sizes[contract.symbol] = contract.tick_size
        elif isinstance(event, RunStarted):
            self.held.clear()
            for opening in event.account.positions:
                self._inverse[opening.symbol] = opening.inverse
                cost = self.value(opening.symbol, abs(opening.quantity), opening.entry_price)
                self.held[opening.symbol] = Held(opening.quantity, cost, opening.leverage)

    def book(self, fill: OrderResult, price: Decimal) -> Closed | None:
        """Book a result with a filled quantity.

        Returns:
            What it closed; None where it only opened.
        """
        symbol, left = fill.symbol, fill.filled_quantity
        held, closed = self.held.get(symbol), None
        if held is not None and held.quantity * fill.side.sign < 0:
            quantity = min(left, abs(held.quantity))
            closed = Closed(quantity, held.cost * quantity / abs(held.quantity), held.leverage)
            left -= quantity
            held.quantity += quantity * fill.side.sign
            held.cost -= closed.cost
            if not held.quantity:
                del self.held[symbol]
                held = None
        if left:
            if held is None:
                held = self.held[symbol] = Held(ZERO, ZERO, fill.leverage)
            held.quantity += left * fill.side.sign
            held.cost += self.value(symbol, left, price)
            held.leverage = fill.leverage
        return closed

    def is_inverse(self, symbol: str) -> bool:
        """Whether a quantity of the symbol is in quote; False where nothing is known of it."""
        return self._inverse.get(symbol, False)

    def value(self, symbol: str, quantity: Decimal, price: Decimal) -> Decimal:
        """A quantity at a price, in settle currency."""
        return quantity / price if self.is_inverse(symbol) else quantity * price

    def base(self, symbol: str, quantity: Decimal, price: Decimal) -> Decimal:
        """The coins of a quantity at a price."""
        return quantity / price if self.is_inverse(symbol) else quantity
