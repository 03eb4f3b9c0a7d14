"""Trades published with their time of receipt are matched with what was made."""

from decimal import Decimal

import pytest

from services.kernel.events import MarketData, MarketDataKind, Side
from services.lab.soak.feed_record import Made, Trade
from services.lab.soak.receipt_times import NEAR_MS, restored
from tests import builders

pytestmark = pytest.mark.unit
MADE_AT = 1_000_000


def made(at_ms: int, price: str = "100") -> Made:
    return Made("BTC_USDT", at_ms, Decimal(price), Decimal(1), Side.BUY)


def published(at_ms: int, price: str = "100", *, retimed: bool = True) -> Trade:
    tick = builders.trade(price=price, at=at_ms, side=Side.BUY)
    assert isinstance(tick, MarketData)
    assert tick.kind is MarketDataKind.TRADE
    return Trade(at_ms, 0, tick, None, retimed)


def times(trades: list[Trade]) -> list[int]:
    return [trade.tick.timestamp for trade in trades]


@pytest.mark.parametrize("delay_ms", [-NEAR_MS, -1, 0, 700, NEAR_MS])
def test_a_trade_near_its_making_has_the_time_of_its_making(delay_ms: int) -> None:
    assert times(restored([published(MADE_AT + delay_ms)], [made(MADE_AT)])) == [MADE_AT]


@pytest.mark.parametrize("delay_ms", [-NEAR_MS - 1, NEAR_MS + 1])
def test_a_trade_that_nothing_near_explains_keeps_its_time(delay_ms: int) -> None:
    at_ms = MADE_AT + delay_ms
    assert times(restored([published(at_ms)], [made(MADE_AT)])) == [at_ms]


def test_each_trade_that_was_made_explains_one() -> None:
    found = restored([published(MADE_AT + 10), published(MADE_AT + 20)], [made(MADE_AT)])

    assert times(found) == [MADE_AT, MADE_AT + 20]


def test_what_was_published_with_its_own_time_explains_no_other() -> None:
    exact = published(MADE_AT, retimed=False)

    found = restored([exact, published(MADE_AT + 10)], [made(MADE_AT), made(MADE_AT + 5)])

    assert times(found) == [MADE_AT, MADE_AT + 5]


def test_another_price_explains_nothing() -> None:
    assert times(restored([published(MADE_AT + 10, "101")], [made(MADE_AT)])) == [MADE_AT + 10]
