"""Readable builders for what the market reports: every argument has a default."""

from collections.abc import Iterable
from decimal import Decimal
from itertools import count
from typing import Any

from services.kernel.events import SCHEMA_VERSION, Clock, MarketData, MarketDataKind, topics

Number = Decimal | int | str

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
MINUTE_MS = 60_000
MIDNIGHT = 1_767_571_200_000
"""2026-01-05 00:00 UTC, a Monday."""
NOON = MIDNIGHT + 12 * HOUR_MS
RUN = "run-1"
BTC, ETH, SOL, THE = "BTC_USDT", "ETH_USDT", "SOL_USDT", "THE_USDT"

_numbers = count(1)


def decimal(value: Number) -> Decimal:
    """The exact decimal; a float would not be one, so none is taken."""
    return value if isinstance(value, Decimal) else Decimal(value)


def optional(value: Number | None) -> Decimal | None:
    return None if value is None else decimal(value)


def envelope(producer: str, at: int, *, event_id: str | None = None, **fields: Any) -> Any:
    """The fields that every event has."""
    return {
        "event_id": event_id or f"event-{next(_numbers)}",
        "run_id": RUN,
        "producer": producer,
        "schema_version": SCHEMA_VERSION,
        "timestamp": at,
        "causation_id": None,
        "correlation_id": None,
    } | fields


def tick(kind: MarketDataKind, symbol: str, at: int, **fields: Any) -> MarketData:
    return MarketData(
        **envelope(topics.WS, at, **{"source": "test", **fields}), kind=kind, symbol=symbol
    )


def trade(
    symbol: str = BTC, price: Number = 100, at: int = NOON, volume: Number = 1, **fields: Any
) -> MarketData:
    """One trade: price in quote per base, volume in base."""
    fields |= {"price": decimal(price), "volume": decimal(volume)}
    return tick(MarketDataKind.TRADE, symbol, at, **fields)


def quote(
    symbol: str = BTC,
    bid: Number | None = 99,
    ask: Number | None = 101,
    at: int = NOON,
    **fields: Any,
) -> MarketData:
    """Best bid and ask."""
    fields |= {"bid": optional(bid), "ask": optional(ask)}
    return tick(MarketDataKind.QUOTE, symbol, at, **fields)


def depth(
    symbol: str = BTC,
    bids: Iterable[tuple[Number, Number]] = ((99, 1),),
    asks: Iterable[tuple[Number, Number]] = ((101, 1),),
    at: int = NOON,
    **fields: Any,
) -> MarketData:
    """A book: price (quote per base) and size (base) of its levels, the best first."""
    sides = {"bids": bids, "asks": asks}
    fields |= {
        name: tuple((decimal(price), decimal(size)) for price, size in levels)
        for name, levels in sides.items()
    }
    for best, levels in (("bid", fields["bids"]), ("ask", fields["asks"])):
        if levels:
            fields |= {best: levels[0][0], f"{best}_size": levels[0][1]}
    return tick(MarketDataKind.DEPTH, symbol, at, **fields)


def mark(symbol: str = BTC, price: Number = 100, at: int = NOON, **fields: Any) -> MarketData:
    """The venue's fair price."""
    return tick(MarketDataKind.MARK, symbol, at, mark_price=decimal(price), **fields)


def funding(
    symbol: str = BTC,
    rate: Number | None = "0.0001",
    next_time: int | None = None,
    at: int = NOON,
    **fields: Any,
) -> MarketData:
    """The next settlement's rate and time."""
    fields |= {"funding_rate": optional(rate), "next_funding_time": next_time}
    return tick(MarketDataKind.FUNDING, symbol, at, **fields)


def clock(at: int = NOON, **fields: Any) -> Clock:
    return Clock(**envelope(topics.WS, at, **fields))
