"""What an exchange trades: contracts, and what happens in them, by time since the opening."""

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple, Protocol

from services.kernel.instruments.contracts import Instrument


class Print(NamedTuple):
    """A trade.

    Attributes:
        offset_ms: Milliseconds after the opening; negative before it, as history.
        symbol: Position of the contract in ``SimMarket.contracts``.
        price: Quote per base.
        contracts: Volume, at least 1.
        buys: Whether the taker bought.
    """

    offset_ms: float
    symbol: int
    price: Decimal
    contracts: int
    buys: bool


class Touch(NamedTuple):
    """A new best bid and ask."""

    offset_ms: float
    symbol: int
    bid: Decimal
    ask: Decimal


class Fair(NamedTuple):
    """A new fair price and index price."""

    offset_ms: float
    symbol: int
    fair_price: Decimal
    index_price: Decimal


class Funding(NamedTuple):
    """A new funding rate, a fraction."""

    offset_ms: float
    symbol: int
    rate: Decimal


Happening = Print | Touch | Fair | Funding


class SimMarket(Protocol):
    """A market that an exchange can put on."""

    contracts: tuple[Instrument, ...]

    def happenings(self) -> Iterator[Happening]:
        """All that happens, by ``offset_ms``; it may end, the exchange then falls quiet."""
