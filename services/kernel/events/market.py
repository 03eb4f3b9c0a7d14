"""Market data and clock events."""

from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from services.kernel.events import topics
from services.kernel.events.envelope import Event, Side

PriceLevel = tuple[Decimal, Decimal]
"""Price and quantity (base) of one level of a book."""


class MarketDataKind(StrEnum):
    """The kind of a market data event; only trades move windows, bars and volume."""

    TRADE = "trade"
    QUOTE = "quote"
    DEPTH = "depth"
    MARK = "mark"
    FUNDING = "funding"


class BarPoint(StrEnum):
    """Which point of a bar a trade stands for: its opening price, or one within it."""

    OPEN = "open"
    INSIDE = "inside"


class MarketData(Event, frozen=True, kw_only=True, tag="market_data"):
    """One observation of one market.

    Attributes:
        bar: Of a trade that was made from a bar; None where it was observed as it is.
        venue_time: The time that the venue gave, Unix milliseconds; None where it is the
            timestamp. While ``CLOCK_OFFSET`` is open it is not.
    """

    TOPIC: ClassVar[str] = topics.MARKET_DATA

    kind: MarketDataKind
    symbol: str
    source: str
    price: Decimal | None = None
    volume: Decimal | None = None
    side: Side | None = None
    trade_id: str | None = None
    bid: Decimal | None = None
    ask: Decimal | None = None
    bid_size: Decimal | None = None
    ask_size: Decimal | None = None
    bids: tuple[PriceLevel, ...] | None = None
    asks: tuple[PriceLevel, ...] | None = None
    mark_price: Decimal | None = None
    index_price: Decimal | None = None
    funding_rate: Decimal | None = None
    next_funding_time: int | None = None
    pct_change: Decimal | None = None
    backfill: bool = False
    bar: BarPoint | None = None
    venue_time: int | None = None


class Clock(Event, frozen=True, kw_only=True, tag="clock"):
    """Event time has reached ``timestamp``; strictly increasing within a run."""

    TOPIC: ClassVar[str] = topics.CLOCK
