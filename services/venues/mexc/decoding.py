"""Decodes MEXC's WebSocket frames in one pass, with exact numbers. Pure functions."""

import zlib
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Struct

from services.kernel.bounded_json import Decoder
from services.venues.mexc.messages import (
    Contract,
    FairPrice,
    Frame,
    FrameError,
    FundingRate,
    Ignored,
    IndexPrice,
    Pong,
    Refused,
    Subscribed,
    Tickers,
    Trades,
)
from services.venues.mexc.wire_models import (
    CrossedBookError,
    PushedBook,
    PushedTrade,
    TickerRow,
    price_of,
    rate_of,
    read_rows,
    time_of,
)

MAX_UNPACKED_BYTES: Final = 16 << 20
MOST_NAME: Final = 64
"""Maximum length of an unknown channel's name that is kept."""

_GZIP_OR_ZLIB: Final = 47
"""zlib's window bits for: the larger window, and either header."""


class _Trades(Struct, gc=False, tag_field="channel", tag="push.deal"):
    symbol: str
    data: list[PushedTrade] | PushedTrade

    def read(self) -> Frame:
        if isinstance(self.data, list):
            if not self.data:
                raise ValueError("no trade in it")
            trades = [trade.read() for trade in self.data]
            if len(trades) > 1:
                trades.sort(key=lambda trade: (trade.timestamp, trade.trade_id or 0))
            return Trades(self.symbol, tuple(trades))
        return Trades(self.symbol, (self.data.read(),))


class _Book(Struct, gc=False, tag_field="channel", tag="push.depth.full"):
    symbol: str
    data: PushedBook
    ts: int | str

    def read(self) -> Frame:
        return self.data.read(self.symbol, int(self.ts))


class _Ticker(Struct, gc=False, tag_field="channel", tag="push.ticker"):
    data: TickerRow

    def read(self) -> Frame:
        return self.data.read()


class _Tickers(Struct, tag_field="channel", tag="push.tickers"):
    data: msgspec.Raw

    def read(self) -> Frame:
        return Tickers(read_rows(self.data))


class _Rate(Struct):
    rate: Decimal
    nextSettleTime: int | str  # noqa: N815 - the venue's name


class _FundingRate(Struct, tag_field="channel", tag="push.funding.rate"):
    symbol: str
    data: _Rate
    ts: int | str

    def read(self) -> Frame:
        settles = time_of(self.data.nextSettleTime)
        return FundingRate(self.symbol, rate_of(self.data.rate), settles, int(self.ts))


class _Price(Struct, gc=False):
    price: Decimal

    def read(self) -> Decimal:
        return price_of(self.price)


class _FairPrice(Struct, gc=False, tag_field="channel", tag="push.fair.price"):
    symbol: str
    data: _Price
    ts: int | str

    def read(self) -> Frame:
        return FairPrice(self.symbol, self.data.read(), int(self.ts))


class _IndexPrice(Struct, gc=False, tag_field="channel", tag="push.index.price"):
    symbol: str
    data: _Price
    ts: int | str

    def read(self) -> Frame:
        return IndexPrice(self.symbol, self.data.read(), int(self.ts))


class _Contract(Struct, tag_field="channel", tag="push.contract"):
    data: dict[str, Any]

    def read(self) -> Frame:
        return Contract(self.data)


class _Pong(Struct, tag_field="channel", tag="pong"):
    data: int | str

    def read(self) -> Frame:
        return Pong(int(self.data))


class _Refused(Struct, tag_field="channel", tag="rs.error"):
    data: str

    def read(self) -> Frame:
        return Refused(self.data)


_Pushed = (
    _Trades
    | _Book
    | _Ticker
    | _Tickers
    | _FundingRate
    | _FairPrice
    | _IndexPrice
    | _Contract
    | _Pong
    | _Refused
)
READ_CHANNELS: Final = frozenset(
    str(kind.__struct_config__.tag)
    for kind in (
        _Trades,
        _Book,
        _Ticker,
        _Tickers,
        _FundingRate,
        _FairPrice,
        _IndexPrice,
        _Contract,
        _Pong,
        _Refused,
    )
)
"""The channels whose frames are read; those of all others are ignored."""


class _Envelope(Struct):
    channel: str
    symbol: str | None = None


_pushed = msgspec.json.Decoder(_Pushed, float_hook=Decimal)
_envelope = Decoder(_Envelope)


def decode(body: str | bytes) -> Frame:
    """Decode a received frame.

    Args:
        body: A text frame, as text or UTF-8; or a compressed one.

    Raises:
        FrameError: Not JSON, or a known channel with invalid content.
    """
    raw: bytes = b""
    try:
        raw = body.encode() if isinstance(body, str) else body
        if raw[:1] != b"{":
            raw = _decompressed(raw)
        pushed: _Pushed = _pushed.decode(raw)
        return pushed.read()
    except (ValueError, ArithmeticError, RecursionError) as error:
        return _not_read(raw, error)


def _not_read(raw: bytes, error: Exception) -> Frame:
    """A frame of an unused channel; any other frame is refused."""
    try:
        envelope = _envelope.decode(raw)
    except ValueError:
        raise FrameError(f"{error}: {raw[:120]!r}", "not_json") from error
    channel = envelope.channel
    if channel not in READ_CHANNELS:
        taken = channel.startswith("rs.sub.") or channel == "rs.login"
        return Subscribed(channel) if taken else Ignored(channel[:MOST_NAME])
    crossed = isinstance(error, CrossedBookError)
    reason = "crossed_book" if crossed else f"malformed_{channel}"
    raise FrameError(f"{channel}: {error}: {raw[:120]!r}", reason, envelope.symbol) from error


def _decompressed(body: bytes) -> bytes:
    """Never observed but documented: gzip; some of the venue's other sockets send zlib."""
    packed = zlib.decompressobj(wbits=_GZIP_OR_ZLIB)
    try:
        plain_body = packed.decompress(body, MAX_UNPACKED_BYTES)
    except zlib.error:
        if body.lstrip()[:1] == b"{":
            return body
        raise ValueError("neither JSON nor gzip nor zlib") from None
    if packed.unconsumed_tail or not packed.eof:
        raise ValueError(f"compressed: cut off, or more than {MAX_UNPACKED_BYTES} bytes")
    return plain_body
