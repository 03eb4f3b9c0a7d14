"""MEXC's WebSocket frames: what is sent, and what a received one says. Pure functions.

Numbers are decoded from their text to ``Decimal`` exactly, exponents included. Volumes stay in
contracts here, as the venue counts them; ``ticks_of`` converts them to base.
"""

import gzip
import json
import zlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Struct

from services.kernel.events import Side

DEPTH_LEVELS: Final = 20
PING: Final = '{"method":"ping"}'

_CHANNEL_PARAMETERS: Final[dict[str, dict[str, int]]] = {
    "deal": {},
    "ticker": {},
    "depth.full": {"limit": DEPTH_LEVELS},
    "funding.rate": {},
    "fair.price": {},
    "index.price": {},
}
CHANNELS: Final = ("deal", "depth.full", "ticker", "funding.rate", "fair.price")
"""What is subscribed for each symbol."""


class FrameError(Exception):
    """A frame that is not what the protocol says; the message says how."""


class Deal(Struct, frozen=True, gc=False):
    """One trade; ``contracts`` is its volume, ``trade_id`` is missing in old frames."""

    price: Decimal
    contracts: Decimal
    side: Side
    timestamp: int
    trade_id: int | None


class Deals(Struct, frozen=True):
    """Trades of one symbol, oldest first."""

    symbol: str
    deals: tuple[Deal, ...]


Level = tuple[Decimal, Decimal]
"""Price and contracts."""


class Book(Struct, frozen=True):
    """The whole top of the book, best level first."""

    symbol: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
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
    """The venue took a subscription; it does not say for which symbol."""

    channel: str


class Refused(Struct, frozen=True, gc=False):
    """The venue refused something, in its own words."""

    text: str


class Ignored(Struct, frozen=True, gc=False):
    """A well-formed frame of a channel that this feed does not use."""

    channel: str


Frame = (
    Deals
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


class _Envelope(Struct):
    channel: str
    data: msgspec.Raw = msgspec.Raw()
    symbol: str | None = None
    ts: int | str | None = None


class _Deal(Struct, gc=False):
    p: Decimal
    v: Decimal
    T: int
    t: int | str
    i: int | str | None = None


class _Book(Struct):
    asks: list[tuple[Decimal, Decimal, int]]
    bids: list[tuple[Decimal, Decimal, int]]
    version: int
    cts: int | str | None = None


class _Ticker(Struct):
    symbol: str
    lastPrice: Decimal  # noqa: N815 - the venue's name
    fairPrice: Decimal | None = None  # noqa: N815 - the venue's name
    indexPrice: Decimal | None = None  # noqa: N815 - the venue's name
    fundingRate: Decimal | None = None  # noqa: N815 - the venue's name
    bid1: Decimal | None = None
    ask1: Decimal | None = None
    timestamp: int | None = None


class _Price(Struct):
    price: Decimal


class _Funding(Struct):
    rate: Decimal
    nextSettleTime: int | str  # noqa: N815 - the venue's name


_envelope = msgspec.json.Decoder(_Envelope)
_deals = msgspec.json.Decoder(list[_Deal] | _Deal)
_book = msgspec.json.Decoder(_Book)
_ticker = msgspec.json.Decoder(_Ticker)
_tickers = msgspec.json.Decoder(list[_Ticker])
_price = msgspec.json.Decoder(_Price)
_funding = msgspec.json.Decoder(_Funding)
_text = msgspec.json.Decoder(str)
_number = msgspec.json.Decoder(int | str)
_detail: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=Decimal)


def subscription(channel: str, symbol: str) -> str:
    """The command that subscribes to one channel of one symbol, as plain text frames."""
    parameters = {"symbol": symbol, **_CHANNEL_PARAMETERS[channel]}
    return json.dumps({"method": f"sub.{channel}", "param": parameters, "gzip": False})


def plain(value: Decimal) -> Decimal:
    """The same number without exponent and without trailing zeros, digits kept exactly."""
    text = str(value)
    if "E" in text or ("." in text and text[-1] == "0"):
        text = format(value, "f")
        if "." in text:
            text = text.rstrip("0").rstrip(".")
        return Decimal(text)
    return value


def decode(body: str | bytes) -> Frame:
    """What a received frame says.

    Args:
        body: A text frame, or a binary one, which is decompressed first.

    Raises:
        FrameError: Not JSON, or a known channel with content that is not its own.
    """
    try:
        raw = body.encode() if isinstance(body, str) else _decompress(body)
        envelope = _envelope.decode(raw)
        return _decode_channel(envelope)
    except (msgspec.DecodeError, ValueError, ArithmeticError) as error:
        raise FrameError(f"{error}: {bytes(str(body)[:120], 'utf-8')!r}") from error


def _decompress(body: bytes) -> bytes:
    """Never observed but documented: gzip; some of the venue's other sockets send zlib."""
    if body[:1] in {b"{", b"["}:
        return body
    try:
        return gzip.decompress(body)
    except (OSError, EOFError, zlib.error):
        try:
            return zlib.decompress(body)
        except zlib.error:
            raise ValueError("a binary frame that is neither gzip nor zlib") from None


def _decode_channel(envelope: _Envelope) -> Frame:
    channel = envelope.channel
    reader = _READERS.get(channel)
    if reader is not None:
        return reader(envelope)
    if channel.startswith("rs.sub.") or channel == "rs.login":
        return Subscribed(channel)
    return Ignored(channel)


def _symbol(envelope: _Envelope) -> str:
    if not envelope.symbol:
        raise ValueError(f"{envelope.channel} without a symbol")
    return envelope.symbol


def _pushed_at(envelope: _Envelope) -> int:
    if envelope.ts is None:
        raise ValueError(f"{envelope.channel} without ts")
    return int(envelope.ts)


def _read_deals(envelope: _Envelope) -> Deals:
    found = _deals.decode(envelope.data)
    deals = [_read_deal(deal) for deal in (found if isinstance(found, list) else [found])]
    deals.sort(key=lambda deal: (deal.timestamp, deal.trade_id or 0))
    return Deals(_symbol(envelope), tuple(deals))


def _read_deal(deal: _Deal) -> Deal:
    if deal.p <= 0 or deal.v <= 0:
        raise ValueError(f"price {deal.p} and volume {deal.v} are not both positive")
    if deal.T not in {1, 2}:
        raise ValueError(f"taker side {deal.T} is neither 1 nor 2")
    return Deal(
        plain(deal.p),
        plain(deal.v),
        Side.BUY if deal.T == 1 else Side.SELL,
        int(deal.t),
        None if deal.i is None else int(deal.i),
    )


def _levels(levels: list[tuple[Decimal, Decimal, int]], *, falling: bool) -> tuple[Level, ...]:
    kept = [(plain(price), plain(size)) for price, size, _ in levels if price > 0 and size > 0]
    kept.sort(key=lambda level: level[0], reverse=falling)
    return tuple(kept)


def _read_book(envelope: _Envelope) -> Book:
    book = _book.decode(envelope.data)
    bids, asks = _levels(book.bids, falling=True), _levels(book.asks, falling=False)
    if bids and asks and bids[0][0] >= asks[0][0]:
        raise ValueError(f"crossed book: bid {bids[0][0]} is not below ask {asks[0][0]}")
    timestamp = int(book.cts) if book.cts is not None else _pushed_at(envelope)
    return Book(_symbol(envelope), bids, asks, book.version, timestamp)


def _optional(value: Decimal | None) -> Decimal | None:
    return None if value is None else plain(value)


def _summary(row: _Ticker) -> Ticker:
    return Ticker(
        row.symbol,
        plain(row.lastPrice),
        _optional(row.fairPrice),
        _optional(row.indexPrice),
        _optional(row.fundingRate),
        _optional(row.bid1),
        _optional(row.ask1),
        row.timestamp,
    )


def _read_funding(envelope: _Envelope) -> FundingRate:
    funding = _funding.decode(envelope.data)
    settles = int(funding.nextSettleTime)
    return FundingRate(_symbol(envelope), plain(funding.rate), settles, _pushed_at(envelope))


def _positive_price(envelope: _Envelope) -> Decimal:
    price = _price.decode(envelope.data).price
    if price <= 0:
        raise ValueError(f"price {price} is not positive")
    return plain(price)


_READERS: Final[dict[str, Callable[[_Envelope], Frame]]] = {
    "push.deal": _read_deals,
    "push.depth.full": _read_book,
    "push.ticker": lambda envelope: _summary(_ticker.decode(envelope.data)),
    "push.tickers": lambda envelope: Tickers(
        tuple(_summary(row) for row in _tickers.decode(envelope.data))
    ),
    "push.funding.rate": _read_funding,
    "push.fair.price": lambda envelope: FairPrice(
        _symbol(envelope), _positive_price(envelope), _pushed_at(envelope)
    ),
    "push.index.price": lambda envelope: IndexPrice(
        _symbol(envelope), _positive_price(envelope), _pushed_at(envelope)
    ),
    "push.contract": lambda envelope: Contract(_detail.decode(envelope.data)),
    "pong": lambda envelope: Pong(int(_number.decode(envelope.data))),
    "rs.error": lambda envelope: Refused(_text.decode(envelope.data)),
}
