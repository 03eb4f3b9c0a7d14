"""One symbol's prices, fed by a few verbs; times are milliseconds after noon."""

from decimal import Decimal

from services.kernel.events import MarketData
from services.kernel.market.prices import Prices
from tests import builders
from tests.builders import BTC, NOON, Number

MAX_JUMP = Decimal("0.05")
STALE_MS = 60_000

Seen = list[tuple[Decimal | None, int]]
"""The trades that count: their prices, and milliseconds after noon."""


def seen(ticks: tuple[MarketData, ...]) -> Seen:
    return [(tick.price, tick.timestamp - NOON) for tick in ticks]


def take(prices: Prices, tick: MarketData) -> Seen:
    return seen(prices.on_tick(tick, MAX_JUMP, STALE_MS))


def trade(prices: Prices, price: Number, after_ms: int = 0, *, backfill: bool = False) -> Seen:
    return take(prices, builders.trade(BTC, price, NOON + after_ms, backfill=backfill))


def mark(prices: Prices, price: Number, after_ms: int = 0) -> Seen:
    return take(prices, builders.mark(BTC, price, NOON + after_ms))


def quote(prices: Prices, bid: Number | None, ask: Number | None, after_ms: int = 0) -> Seen:
    return take(prices, builders.quote(BTC, bid, ask, NOON + after_ms))


def clock(prices: Prices, after_ms: int) -> Seen:
    return seen(prices.on_clock(NOON + after_ms, STALE_MS))


def at_100() -> Prices:
    prices = Prices()
    trade(prices, 100)
    return prices


def jumped(to: Number = 110) -> Prices:
    """A trade at noon, and one that jumped one second later."""
    prices = at_100()
    assert trade(prices, to, 1000) == []
    return prices
