"""On bars, an order meets the next point whatever its latency and expiry are."""

import pytest

from services.kernel.events import (
    BarPoint,
    OrderStatus,
    OrderType,
    Side,
)
from services.kernel.reasons import Reason
from tests import builders
from tests.builders import BTC, NOON
from tests.unit.kernel.matching.bar_desk import Bars, filled

pytestmark = [pytest.mark.unit, pytest.mark.risk]

OPEN, INSIDE = BarPoint.OPEN, BarPoint.INSIDE
FREE = {
    "SIM_HALF_SPREAD_PCT": "0",
    "SIM_IMPACT_PCT": "0",
    "MAX_SLIPPAGE_PCT": "0.05",
    "MAX_PRICE_JUMP_PCT": "0.3",
    "MAX_COST_SHARE": "1",
}
BUY, SELL = Side.BUY, Side.SELL
LIMIT, STOP, STOP_LIMIT = OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT


def test_an_entry_meets_the_next_point_before_it_can_expire() -> None:
    bars = Bars({"ORDER_EXPIRY_SEC": "10"})
    bars.point(100, OPEN)
    bars.signal(100)
    bars.wait(14)
    assert bars.results == []
    bars.wait(1)
    bars.feed(builders.trade(BTC, 100, bars.now, 1000, bar=INSIDE))

    assert filled(bars.results) == [(100, 100)]


def test_what_the_point_did_not_fill_expires() -> None:
    bars = Bars({"ORDER_EXPIRY_SEC": "10"})
    bars.point(100, OPEN)
    bars.signal(100, order_type=LIMIT, limit_price=99)
    bars.point(100)
    assert bars.results == []

    bars.wait(1)

    assert [(r.status, r.reason) for r in bars.results] == [(OrderStatus.CANCELLED, Reason.EXPIRED)]


def test_on_observed_trades_it_expires_as_it_did() -> None:
    bars = Bars({"ORDER_EXPIRY_SEC": "10"})
    bars.point(100, None)
    bars.signal(100)

    bars.wait(11)

    assert [r.reason for r in bars.results] == [Reason.EXPIRED]


def test_the_latency_goes_on_being_waited_for() -> None:
    bars = Bars({"SIM_LATENCY_MS": "10000"})
    bars.point(100, OPEN)
    bars.signal(100)
    bars.wait(5)
    bars.feed(builders.trade(BTC, 100, bars.now, 1000, bar=INSIDE))
    assert bars.results == []

    assert filled(bars.point(100)) == [(100, 100)]
    assert bars.results[-1].latency_ms == 20_000


def test_a_restored_execution_goes_on_with_what_an_order_was_decided_at() -> None:
    bars = Bars().holding()
    bars.point(95)
    bars.execution.restore(bars.execution.snapshot())

    assert filled(bars.point(94)) == [(100, 98)]
    assert bars.now > NOON
