"""The decoded messages of MEXC: frames of the WebSocket, and rows of REST.

Numbers are ``Decimal`` and exact, exponents included. Volumes are in contracts, as the venue counts
them; ``SymbolTicks`` converts them to base quantity.
"""

import json
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct

from services.kernel.events import Side

DEPTH_LEVELS: Final = 20
PING: Final = '{"method":"ping"}'

_CHANNEL_PARAMETERS: Final[dict[str, dict[str, int | bool]]] = {
    "deal": {"compress": False},
    "ticker": {},
    "depth.full": {"limit": DEPTH_LEVELS},
    "funding.rate": {},
    "fair.price": {},
    "index.price": {},
}
CHANNELS: Final = ("deal", "depth.full", "ticker", "funding.rate", "fair.price", "index.price")
"""What is subscribed for each symbol."""


class FrameError(Exception):
    """A frame that violates the protocol; the message says how.

    Attributes:
        reason: Short name for counting.
        symbol: Symbol of the frame, if it can be seen; its content is lost.
    """

    def __init__(self, message: str, reason: str, symbol: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.symbol = symbol


class Trade(Struct, frozen=True, gc=False):
    """One trade; ``contracts`` is its volume, ``trade_id`` is missing in old frames."""

    price: Decimal
    contracts: Decimal
    side: Side
    timestamp: int
    trade_id: int | None


class Trades(Struct, frozen=True):
    """Trades of one symbol, oldest first."""

    symbol: str
    trades: tuple[Trade, ...]


Level = tuple[Decimal, int | Decimal, int]
"""Price, contracts and number of orders, as they were sent."""


class Book(Struct, frozen=True):
    """The whole top of the book, best level first."""

    symbol: str
    bids: list[Level]
    asks: list[Level]
    version: int
    timestamp: int


class Ticker(Struct, frozen=True, gc=False):
    """A symbol's summary."""

    symbol: str
    last_price: Decimal
    fair_price: Decimal | None
    index_price: Decimal | None
    funding_rate: Decimal | None
    bid: Decimal | None
    ask: Decimal | None
    timestamp: int | None
    rise_fall_rate: Decimal = Decimal(0)


class Tickers(Struct, frozen=True):
    """The summaries of many symbols."""

    rows: tuple[Ticker, ...]


class FundingRate(Struct, frozen=True, gc=False):
    """The rate (a fraction) that will be settled at ``next_settle_time``."""

    symbol: str
    rate: Decimal
    next_settle_time: int
    timestamp: int


class FairPrice(Struct, frozen=True, gc=False):
    """The venue's mark price."""

    symbol: str
    price: Decimal
    timestamp: int


class IndexPrice(Struct, frozen=True, gc=False):
    """The venue's index price."""

    symbol: str
    price: Decimal
    timestamp: int


class Contract(Struct, frozen=True):
    """Changed contract details: the same object as REST's detail."""

    detail: dict[str, Any]


class Pong(Struct, frozen=True, gc=False):
    """The answer to a ping: the server's time in milliseconds."""

    server_ms: int


class Subscribed(Struct, frozen=True, gc=False):
    """The venue confirmed a subscription; it does not name the symbol."""

    channel: str


class Refused(Struct, frozen=True, gc=False):
    """The venue refused a command; ``text`` is its message."""

    text: str


class Ignored(Struct, frozen=True, gc=False):
    """A well-formed frame of a channel that this feed does not use."""

    channel: str


Frame = (
    Trades
    | Book
    | Ticker
    | Tickers
    | FundingRate
    | FairPrice
    | IndexPrice
    | Contract
    | Pong
    | Subscribed
    | Refused
    | Ignored
)


def subscription(channel: str, symbol: str) -> str:
    """The command that subscribes to one channel of one symbol, as plain text frames."""
    parameters = {"symbol": symbol, **_CHANNEL_PARAMETERS[channel]}
    return json.dumps({"method": f"sub.{channel}", "param": parameters, "gzip": False})


def unsubscription(channel: str, symbol: str) -> str:
    """The command that ends a subscription."""
    return json.dumps({"method": f"unsub.{channel}", "param": {"symbol": symbol}})
