"""Wire models shared by WebSocket and REST: a trade, a book, a summary."""

from decimal import Decimal
from operator import itemgetter
from typing import Final

import msgspec
from msgspec import Struct

from services.kernel.bounded_json import Decoder
from services.kernel.events import Side
from services.venues.mexc.exact import plain
from services.venues.mexc.messages import Book, Level, Ticker, Trade

_ZERO: Final = Decimal(0)
_PRICE_OF: Final = itemgetter(0)
_TAKERS: Final = {1: Side.BUY, 2: Side.SELL}
TOO_MUCH: Final = Decimal("1e15")
LEAST: Final = Decimal("1e-30")
MOST_CONTRACTS: Final = 10**15
EARLIEST_MS: Final = 1_000_000_000_000
"""September 2001: what is older is a time in seconds, or none."""

LATEST_MS: Final = 10_000_000_000_000
"""November 2286."""

HIGHEST_ID: Final = 1 << 63


def time_of(value: int | str) -> int:
    """Unix milliseconds.

    Raises:
        ValueError: It is no time in milliseconds.
    """
    timestamp = int(value)
    if not EARLIEST_MS <= timestamp < LATEST_MS:
        raise ValueError("a time is no Unix time in milliseconds")
    return timestamp


def price_of(value: Decimal) -> Decimal:
    """A price, in plain digits.

    Raises:
        ValueError: It is outside the possible range.
    """
    if not LEAST < value < TOO_MUCH:
        raise ValueError(f"price {value:.6g} is none that a market can have")
    return plain(value)


def rate_of(value: Decimal) -> Decimal:
    """A funding rate (a fraction), in plain digits.

    Raises:
        ValueError: It is outside the possible range.
    """
    if not -1 < value < 1:
        raise ValueError(f"rate {value:.6g} is none that a settlement can have")
    return plain(value)


class CrossedBookError(ValueError):
    """The best bid is not below the best ask."""


class PushedTrade(Struct, gc=False):
    """A trade as the venue sends it."""

    p: Decimal
    v: Decimal
    T: int
    t: int | str
    i: int | str | None = None

    def read(self) -> Trade:
        """The trade.

        Raises:
            ValueError: A price, volume, side or time that is impossible.
        """
        if not (_ZERO < self.p < TOO_MUCH and _ZERO < self.v < TOO_MUCH):
            raise ValueError(f"price {self.p} or volume {self.v} is impossible for a trade")
        timestamp = time_of(self.t)
        side = _TAKERS.get(self.T)
        if side is None:
            raise ValueError(f"taker side {self.T} is neither 1 nor 2")
        trade_id = None if self.i is None else int(self.i)
        if trade_id is not None and not 0 <= trade_id < HIGHEST_ID:
            raise ValueError("the trade id is none that a database can hold")
        return Trade(plain(self.p), plain(self.v), side, timestamp, trade_id)


class PushedBook(Struct, gc=False):
    """A book as the venue sends it: levels of price, contracts and number of orders."""

    asks: list[Level]
    bids: list[Level]
    version: int
    cts: int | str | None = None

    def read(self, symbol: str, pushed_at: int) -> Book:
        """The book.

        Raises:
            CrossedBookError: The best bid is not below the best ask.
            ValueError: A price that is impossible.
        """
        asks = _levels(self.asks, falling=False)
        bids = _levels(self.bids, falling=True)
        if bids and asks and bids[0][0] >= asks[0][0]:
            raise CrossedBookError(f"bid {bids[0][0]} is not below ask {asks[0][0]}")
        timestamp = pushed_at if self.cts is None else int(self.cts)
        return Book(symbol, bids, asks, self.version, timestamp)


class TickerRow(Struct):
    """A summary as the venue sends it."""

    symbol: str
    lastPrice: Decimal  # noqa: N815 - the venue's name
    fairPrice: Decimal | None = None  # noqa: N815 - the venue's name
    indexPrice: Decimal | None = None  # noqa: N815 - the venue's name
    fundingRate: Decimal | None = None  # noqa: N815 - the venue's name
    bid1: Decimal | None = None
    ask1: Decimal | None = None
    timestamp: int | None = None
    riseFallRate: Decimal | None = None  # noqa: N815 - the venue's name

    def read(self) -> Ticker:
        """The summary; a price of zero is read as None.

        Raises:
            ValueError: A price or rate that is impossible.
        """
        return Ticker(
            self.symbol,
            price_of(self.lastPrice),
            _price_or_none(self.fairPrice),
            _price_or_none(self.indexPrice),
            None if self.fundingRate is None else rate_of(self.fundingRate),
            _price_or_none(self.bid1),
            _price_or_none(self.ask1),
            self.timestamp,
            plain(self.riseFallRate or Decimal(0)),
        )


_rows = Decoder(list[TickerRow])
_row = Decoder(TickerRow)
_raws = Decoder(list[msgspec.Raw])


def read_rows(data: msgspec.Raw | bytes) -> tuple[Ticker, ...]:
    """The summaries of a list, without unreadable ones.

    Contracts that have never traded are listed with empty fields; the other rows are still read.

    Raises:
        ValueError: It is no list.
    """
    try:
        rows = _rows.decode(data)
    except msgspec.ValidationError:
        rows = [row for row in map(_row_or_none, _raws.decode(data)) if row is not None]
    return tuple(ticker for ticker in map(_ticker_or_none, rows) if ticker is not None)


def _ticker_or_none(row: TickerRow) -> Ticker | None:
    try:
        return row.read()
    except (ValueError, ArithmeticError):
        return None


def _row_or_none(raw: msgspec.Raw) -> TickerRow | None:
    try:
        return _row.decode(raw)
    except msgspec.ValidationError:
        return None


def _levels(levels: list[Level], *, falling: bool) -> list[Level]:
    # 80 numbers, the most of all frames: only what is necessary is checked.
    kept = [level for level in levels if 0 < level[1] < MOST_CONTRACTS]
    kept.sort(key=_PRICE_OF, reverse=falling)
    for edge in (kept[:1], kept[-1:]):
        for price, _, _ in edge:  # all others lie between these two
            if not LEAST < price < TOO_MUCH:
                raise ValueError(f"price {price} is none that a book can have")
    return kept


def _price_or_none(price: Decimal | None) -> Decimal | None:
    return price_of(price) if price is not None and price > 0 else None
