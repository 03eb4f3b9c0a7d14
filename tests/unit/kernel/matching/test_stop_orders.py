"""Stop orders, exits with a price of their own, prices nobody believes, and liquidation."""

from decimal import Decimal

import msgspec
import pytest

from services.kernel.events import (
    OrderStatus,
    OrderType,
    Origin,
    Side,
    TimeInForce,
)
from services.kernel.execution.stage import ExecutionStage
from services.kernel.matching.fills import FillRequest, SimulatedMarket, maker_fill
from services.kernel.matching.matching import WorkingOrder
from services.kernel.reasons import Reason
from tests import builders
from tests.builders import BTC
from tests.unit.kernel.portfolio.broker import (
    CANCELLED,
    FILLED,
    LATER,
    Exchange,
    fills_of,
    status_of,
)

pytestmark = [pytest.mark.unit, pytest.mark.risk]

BUY, SELL = Side.BUY, Side.SELL
LIMIT, STOP, STOP_LIMIT = OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT
IOC, FOK = TimeInForce.IOC, TimeInForce.FOK
PENDING, PARTIALLY_FILLED = OrderStatus.PENDING, OrderStatus.PARTIALLY_FILLED


# Stop orders


@pytest.mark.parametrize(
    ("side", "trigger", "before", "at"), [(BUY, 102, "101.9", 102), (SELL, 98, "98.1", 98)]
)
def test_a_stop_order_works_from_its_trigger_on(
    side: Side, trigger: int, before: str, at: int
) -> None:
    exchange = Exchange()
    exchange.order(side, 1, trigger, order_type=STOP, trigger_price=Decimal(trigger))

    assert exchange.prints(before) == []
    triggered = exchange.prints(at)
    assert status_of(triggered) == [(PENDING, Reason.TRIGGERED)]
    assert fills_of(exchange.prints(at)) == [(1, at, "taker")]


def test_the_latency_runs_anew_from_the_trigger() -> None:
    exchange = Exchange({"SIM_LATENCY_MS": "150"})
    exchange.order(BUY, 1, 102, order_type=STOP, trigger_price=Decimal(102))
    exchange.prints(101)
    exchange.prints(102)

    assert exchange.prints(102) == []
    assert len(exchange.prints(102)) == 1


def test_the_trigger_is_the_fair_price_while_it_is_fresh() -> None:
    exchange = Exchange()
    exchange.feed(builders.mark(BTC, 100, exchange.now))
    exchange.order(BUY, 1, 102, order_type=STOP, trigger_price=Decimal(102))

    assert exchange.prints(103) == []
    exchange.feed(builders.mark(BTC, 102, exchange.now))
    assert status_of(exchange.prints(103)) == [(PENDING, Reason.TRIGGERED)]


def test_a_bad_print_triggers_nothing() -> None:
    exchange = Exchange()
    exchange.order(BUY, 1, 102, order_type=STOP, trigger_price=Decimal(102))

    assert exchange.prints(150) == []
    assert exchange.prints(100) == []


def test_a_stop_limit_order_becomes_a_limit_order() -> None:
    exchange = Exchange()
    exchange.order(BUY, 1, 103, order_type=STOP_LIMIT, trigger_price=Decimal(102))
    exchange.prints(102)

    assert exchange.prints(104) == []
    assert fills_of(exchange.prints(102)) == [(1, 103, "maker")]


def test_a_triggered_order_goes_on_after_a_restart() -> None:
    exchange = Exchange()
    exchange.order(BUY, 5, 102, order_type=STOP, trigger_price=Decimal(102))
    exchange.prints(102)
    exchange.book([("101.9", 5)], [("102.1", 2)])
    restarted = ExecutionStage()
    restarted.restore(exchange.stage.snapshot())
    exchange.stage = restarted

    results = exchange.book([("101.9", 5)], [("102.1", 9)])

    assert status_of(results) == [(FILLED, None)]
    assert results[0].filled_quantity == 3


# Reduce-only with a price of its own


def test_a_resting_exit_ends_when_the_position_is_gone() -> None:
    exchange = Exchange()
    exchange.holds(5)
    exchange.order(SELL, 5, 105, order_type=LIMIT, reduce_only=True)
    exchange.order(SELL, 5, 100, reduce_only=True)

    closed = exchange.prints(100)
    after = exchange.prints(100)

    assert status_of(closed) == [(FILLED, None)]
    assert status_of(after) == [(CANCELLED, Reason.NOTHING_TO_REDUCE)]


def test_a_resting_exit_fills_no_more_than_what_is_open() -> None:
    exchange = Exchange()
    exchange.holds(5)
    exchange.order(SELL, 5, "100.5", order_type=LIMIT, reduce_only=True)
    exchange.order(SELL, 3, 100, reduce_only=True)
    exchange.prints(100)

    (result,) = exchange.prints(101)

    assert (result.filled_quantity, result.reason) == (2, Reason.REDUCED_TO_POSITION)


# Waiting for a price that is believed


def test_no_fill_at_a_print_that_nobody_believes_yet() -> None:
    exchange = Exchange()
    exchange.holds(1)
    exchange.order(SELL, 1, 100, reduce_only=True)

    assert exchange.prints(50) == []
    assert fills_of(exchange.prints("99.9")) == [(1, Decimal("99.9"), "taker")]


def test_a_fresh_quote_fills_meanwhile() -> None:
    exchange = Exchange()
    exchange.holds(1)
    exchange.order(SELL, 1, 100, reduce_only=True)
    exchange.prints(50)

    assert fills_of(exchange.quote("99.9", "100.1", LATER)) == [(1, Decimal("99.9"), "taker")]


# Liquidation


def test_the_venue_takes_a_liquidated_position_over_where_its_margin_is_lost() -> None:
    exchange = Exchange()
    exchange.holds(9)  # at 100 with leverage 3: a third of it is margin
    order = builders.order(BTC, SELL, 9, 68, exchange.now, reduce_only=True)
    liquidation = msgspec.structs.replace(order, origin=Origin.LIQUIDATION)
    exchange.submit(liquidation)

    (result,) = exchange.prints(100)

    assert (result.filled_price, result.liquidity) == (Decimal("66.67"), "liquidation")
    assert result.fees == Decimal("66.67") * 9 * Decimal("0.0004")
    assert exchange.alerts == []


def test_with_cross_margin_a_liquidation_meets_the_market_and_pays_the_venue_s_fee() -> None:
    exchange = Exchange({"MARGIN_MODE": "cross"})
    exchange.holds(1)
    order = builders.order(BTC, SELL, 1, 100, exchange.now, reduce_only=True)
    exchange.submit(msgspec.structs.replace(order, origin=Origin.LIQUIDATION))

    (result,) = exchange.prints(100)

    assert (result.filled_price, result.liquidity) == (100, "taker")
    assert result.fees == Decimal("0.04")


def test_before_any_price_nothing_is_triggered_and_nothing_made() -> None:
    order = builders.order(order_type=STOP, trigger_price=Decimal(99))
    ask = FillRequest(side=BUY, quantity=Decimal(1), order_price=Decimal(99), limit=Decimal(99))

    assert not WorkingOrder.of(order, SimulatedMarket(), None).is_triggered(None)
    assert maker_fill(ask, SimulatedMarket(), builders.instrument()) is None
