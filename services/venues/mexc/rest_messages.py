"""Decodes MEXC's REST answers. Pure functions.

Contract details, bars, trades, summaries, prices and funding. Each function raises ``RestError`` if
the venue refused, and ``ValueError`` (``msgspec.DecodeError`` is one) if the body is no such
answer.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Struct

from services.kernel.bounded_json import Decoder
from services.kernel.instruments.contracts import (
    LIQUIDATION_FEE_RATE,
    MAKER_FEE_RATE,
    TAKER_FEE_RATE,
    Instrument,
    MarginTier,
)
from services.kernel.market.bar_ticks import Bar
from services.venues.mexc.exact import plain
from services.venues.mexc.messages import Book, FairPrice, IndexPrice, Ticker, Trade
from services.venues.mexc.wire_models import (
    TOO_MUCH,
    PushedBook,
    PushedTrade,
    TickerRow,
    price_of,
    rate_of,
    read_rows,
    time_of,
)

RETRY_CODES: Final = frozenset({500, 501, 510, 9999})
"""Temporary errors: internal, busy, too frequent, abnormal."""

_STATE_ENABLED: Final = 0
_DEFAULT_FUNDING_HOURS: Final = 8
_HIGHEST_TIERS: Final = 100


class RestError(Exception):
    """The venue answered with an error; ``retry`` is whether asking again may help."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"MEXC answered with code {code}: {message}")
        self.code = code
        self.retry = code in RETRY_CODES


class _Envelope(Struct):
    success: bool
    code: int = 0
    data: msgspec.Raw = msgspec.Raw(b"null")
    message: str = ""


class _Bars(Struct):
    time: list[int]
    open: list[Decimal]
    high: list[Decimal]
    low: list[Decimal]
    close: list[Decimal]
    vol: list[Decimal]
    realOpen: list[Decimal] = []  # noqa: N815 - the venue's name
    realHigh: list[Decimal] = []  # noqa: N815 - the venue's name
    realLow: list[Decimal] = []  # noqa: N815 - the venue's name
    realClose: list[Decimal] = []  # noqa: N815 - the venue's name


class FundingSettlement(Struct, frozen=True, gc=False):
    """A funding rate (a fraction) as it was settled at a time (Unix ms)."""

    symbol: str
    rate: Decimal
    settle_time: int


class _Settlement(Struct):
    symbol: str
    fundingRate: Decimal  # noqa: N815 - the venue's name
    settleTime: int  # noqa: N815 - the venue's name


class _Settlements(Struct):
    resultList: list[_Settlement]  # noqa: N815 - the venue's name


class _FairPrice(Struct):
    symbol: str
    fairPrice: Decimal  # noqa: N815 - the venue's name
    timestamp: int


class _IndexPrice(Struct):
    symbol: str
    indexPrice: Decimal  # noqa: N815 - the venue's name
    timestamp: int


class _Depth(PushedBook, kw_only=True):
    timestamp: int


_envelope = Decoder(_Envelope)
_anything: Decoder[Any] = Decoder(float_hook=Decimal)
_bars = Decoder(_Bars)
_trades = Decoder(list[PushedTrade])
_ticker = Decoder(TickerRow)
_settlements = Decoder(_Settlements)
_fair_price = Decoder(_FairPrice)
_index_price = Decoder(_IndexPrice)
_depth = Decoder(_Depth)
_time = Decoder(int)


def payload(body: bytes) -> msgspec.Raw:
    """The ``data`` of a successful answer; failures have HTTP status 200 too.

    Raises:
        RestError: The venue refused.
        msgspec.DecodeError: This is no answer of the venue.
    """
    envelope = _envelope.decode(body)
    if not envelope.success:
        raise RestError(envelope.code, envelope.message or "no message")
    return envelope.data


def decode_details(body: bytes) -> tuple[dict[str, Instrument], tuple[str, ...]]:
    """The contracts of ``/api/v1/contract/detail`` that can be traded, and those that are unusable.

    Contracts that are paused, delisted or settled are left out, and those that are settled in
    another currency than their prices are in: their quantities and profits are not linear. One row
    that cannot be read does not spoil the others; its symbol is among the unusable.
    """
    data = _anything.decode(payload(body))
    rows = data if isinstance(data, list) else [data]
    contracts: dict[str, Instrument] = {}
    unusable: list[str] = []
    for row in rows:
        try:
            if is_tradable(row):
                contract = decode_contract(row)
                contracts[contract.symbol] = contract
        except (AttributeError, KeyError, TypeError, ValueError, ArithmeticError):
            name = row.get("symbol") if isinstance(row, dict) else None
            unusable.append(str(name))
    return contracts, tuple(unusable)


def is_tradable(detail: Mapping[str, Any]) -> bool:
    """Whether a contract is enabled and settled in the currency of its prices."""
    quote = detail.get("quoteCoin")
    linear = detail.get("settleCoin", quote) == quote
    return linear and bool(detail.get("state", _STATE_ENABLED) == _STATE_ENABLED)


def decode_contract(detail: Mapping[str, Any]) -> Instrument:
    """One contract of the venue.

    Fees are the API's schedule, because the rates in the detail are those of the web site.

    Raises:
        KeyError, ValueError, ArithmeticError: A mandatory field is missing or unusable.
    """
    size = _positive(detail, "contractSize")
    return Instrument(
        symbol=str(detail["symbol"]),
        contract_size=size,
        tick_size=_positive(detail, "priceUnit"),
        lot_size=plain(_positive(detail, "volUnit") * size),
        taker_fee_rate=TAKER_FEE_RATE,
        maker_fee_rate=MAKER_FEE_RATE,
        maintenance_margin_rate=_positive(detail, "maintenanceMarginRate"),
        max_leverage=_positive(detail, "maxLeverage"),
        funding_interval_hours=_DEFAULT_FUNDING_HOURS,
        generic=False,
        tiers=_tiers(detail, size),
        # A coin-margined contract is settled in its base; its size is in quote.
        inverse="settleCoin" in detail and detail["settleCoin"] == detail.get("baseCoin"),
        liquidation_fee_rate=_number(detail.get("liquidationFeeRate", LIQUIDATION_FEE_RATE)),
    )


def _number(value: Any) -> Decimal:
    return plain(Decimal(str(value)))


def _positive(detail: Mapping[str, Any], name: str) -> Decimal:
    value = _number(detail[name])
    if not 0 < value < Decimal("1e15"):
        raise ValueError(f"{name} is {value}, not a positive number")
    return value


def _tiers(detail: Mapping[str, Any], size: Decimal) -> tuple[MarginTier, ...]:
    if detail.get("riskLimitMode") == "CUSTOM" and detail.get("riskLimitCustom"):
        return tuple(
            MarginTier(
                max_quantity=plain(_positive(tier, "maxVol") * size),
                maintenance_margin_rate=_positive(tier, "mmr"),
                max_leverage=_positive(tier, "maxLeverage"),
            )
            for tier in detail["riskLimitCustom"]
        )
    return _increasing_tiers(detail, size)


def _increasing_tiers(detail: Mapping[str, Any], size: Decimal) -> tuple[MarginTier, ...]:
    """Level n: base + (n - 1) increments of volume, maintenance and initial margin rate."""
    step = _number(detail.get("riskIncrVol", 0))
    levels = min(int(detail.get("riskLevelLimit", 1)), _HIGHEST_TIERS)
    if step <= 0 or levels <= 1:
        return ()
    base = _positive(detail, "riskBaseVol")
    maintenance = _positive(detail, "maintenanceMarginRate")
    initial = _positive(detail, "initialMarginRate")
    return tuple(
        MarginTier(
            max_quantity=plain((base + level * step) * size),
            maintenance_margin_rate=plain(maintenance + level * _number(detail["riskIncrMmr"])),
            max_leverage=plain(
                (1 / (initial + level * _number(detail["riskIncrImr"]))).quantize(Decimal("0.01"))
            ),
        )
        for level in range(levels)
    )


def decode_bars(body: bytes) -> tuple[tuple[int, Bar], ...]:
    """The bars of ``/api/v1/contract/kline``, oldest first, with the really traded prices.

    Returns:
        Opening time in milliseconds and bar, its volume in contracts.

    Raises:
        ValueError: The columns are not equally long.
    """
    columns = _bars.decode(payload(body))
    count = len(columns.time)
    chosen = [
        columns.realOpen or columns.open,
        columns.realHigh or columns.high,
        columns.realLow or columns.low,
        columns.realClose or columns.close,
        columns.vol,
    ]
    if any(len(column) != count for column in chosen):
        raise ValueError(f"the bars' columns are not all {count} long")
    if any(not 0 <= value < TOO_MUCH for column in chosen for value in column):
        raise ValueError("a bar has a price or volume that no bar can have")
    rows = zip(*([plain(value) for value in column] for column in chosen), strict=True)
    opened = (seconds * 1000 for seconds in columns.time)
    return tuple(sorted(zip(opened, map(Bar._make, rows), strict=True)))


def decode_trades(body: bytes) -> tuple[Trade, ...]:
    """The trades of ``/api/v1/contract/deals``, oldest first, without ids; volume in contracts.

    Within a millisecond they keep the reverse of the venue's order.
    """
    trades = [trade.read() for trade in _trades.decode(payload(body))]
    trades.reverse()
    trades.sort(key=lambda trade: trade.timestamp)
    return tuple(trades)


def decode_tickers(body: bytes) -> tuple[Ticker, ...]:
    """The summaries of ``/api/v1/contract/ticker``, of one symbol or of all.

    Rows that cannot be read, such as those of contracts that have never traded, are left out.
    """
    data = payload(body)
    if bytes(data).lstrip()[:1] == b"[":
        return read_rows(data)
    return (_ticker.decode(data).read(),)


def decode_movers(body: bytes) -> tuple[str, ...]:
    """The symbols of ``/api/v1/contract/ticker``, the largest move of the day first."""
    rows = list(decode_tickers(body))
    rows.sort(key=lambda row: (-abs(row.rise_fall_rate), row.symbol))
    return tuple(row.symbol for row in rows)


def decode_funding_cycle(body: bytes) -> int:
    """Hours between settlements, from ``/api/v1/contract/funding_rate/{symbol}``."""
    data = _anything.decode(payload(body))
    hours = int(data.get("collectCycle") or _DEFAULT_FUNDING_HOURS)
    return hours if hours > 0 else _DEFAULT_FUNDING_HOURS


def decode_funding_history(body: bytes) -> tuple[FundingSettlement, ...]:
    """One page of ``/api/v1/contract/funding_rate/history``, newest first."""
    rows = _settlements.decode(payload(body)).resultList
    return tuple(
        FundingSettlement(row.symbol, rate_of(row.fundingRate), time_of(row.settleTime))
        for row in rows
    )


def decode_fair_price(body: bytes) -> FairPrice:
    """The mark price of ``/api/v1/contract/fair_price/{symbol}``."""
    row = _fair_price.decode(payload(body))
    return FairPrice(row.symbol, price_of(row.fairPrice), row.timestamp)


def decode_index_price(body: bytes) -> IndexPrice:
    """The index price of ``/api/v1/contract/index_price/{symbol}``."""
    row = _index_price.decode(payload(body))
    return IndexPrice(row.symbol, price_of(row.indexPrice), row.timestamp)


def decode_depth(body: bytes, symbol: str) -> Book:
    """The book of ``/api/v1/contract/depth/{symbol}``; the answer does not name the symbol."""
    book = _depth.decode(payload(body))
    return book.read(symbol, book.timestamp)


def decode_server_time(body: bytes) -> int:
    """The venue's time (Unix ms), from ``/api/v1/contract/ping``."""
    return _time.decode(payload(body))
