"""Every type of order against trades, quotes and books: what fills, at what price, and what not."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.events import (
    OrderResult,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)
from services.kernel.reasons import Reason
from tests import builders
from tests.builders import BTC, NOON
from tests.unit.kernel.portfolio.broker import (
    CANCELLED,
    FILLED,
    LATER,
    REJECTED,
    Exchange,
    Levels,
    fills_of,
    status_of,
)

pytestmark = [pytest.mark.unit, pytest.mark.risk]

BUY, SELL = Side.BUY, Side.SELL
LIMIT, STOP, STOP_LIMIT = OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT
IOC, FOK = TimeInForce.IOC, TimeInForce.FOK
PENDING, PARTIALLY_FILLED = OrderStatus.PENDING, OrderStatus.PARTIALLY_FILLED


# Market orders


def test_a_market_order_walks_the_book_and_pays_the_average_rounded_against_it() -> None:
    exchange = Exchange()
    exchange.order(quantity=3)

    (result,) = exchange.book([("99.9", 5)], [("100.1", 1), ("100.2", 5)])

    # (100.1 + 2 x 100.2) / 3 = 100.1666..., up to the tick
    assert fills_of([result]) == [(3, Decimal("100.17"), "taker")]
    assert result.fees == Decimal("100.17") * 3 * Decimal("0.0008")
    assert result.fill["book_levels"] == 2
    assert result.fill["worst_level"] == Decimal("100.2")


def test_a_market_order_is_partial_by_depth_and_goes_on_with_the_next_book() -> None:
    exchange = Exchange()
    exchange.order(quantity=5)
    asks: Levels = [("100.1", 2)]

    first = exchange.book([("99.9", 5)], asks)
    between = exchange.prints(100)
    second = exchange.book([("99.9", 5)], asks)
    third = exchange.book([("99.9", 5)], asks)

    assert status_of(first) == [(PARTIALLY_FILLED, None)]
    assert between == []  # what was taken of the book is gone
    assert status_of(second + third) == [(PARTIALLY_FILLED, None), (FILLED, None)]
    assert [r.filled_quantity for r in first + second + third] == [2, 2, 1]
    assert {r.quantity for r in first + third} == {Decimal(5)}


def test_two_orders_do_not_take_the_same_level() -> None:
    exchange = Exchange()
    exchange.holds(-2)
    exchange.order(quantity=1, reduce_only=True)
    exchange.order(quantity=1, reduce_only=True)

    results = exchange.book([("99.9", 5)], [("100.1", 1), ("100.3", 1)])

    assert [r.filled_price for r in results] == [Decimal("100.1"), Decimal("100.3")]


def test_a_partial_fill_is_in_whole_lots() -> None:
    exchange = Exchange()
    exchange.order(quantity=1)

    results = exchange.book([("99.9", 5)], [("100.1", "0.1239")])

    assert [r.filled_quantity for r in results] == [Decimal("0.123")]


def test_what_a_partial_fill_left_expires() -> None:
    exchange = Exchange()
    exchange.order(quantity=5)
    exchange.book([("99.9", 5)], [("100.1", 2)])

    expired = exchange.feed(builders.clock(NOON + 61_000))

    assert status_of(expired) == [(CANCELLED, Reason.EXPIRED)]
    assert expired[0].filled_quantity == 0


def test_a_refused_fill_takes_nothing_from_the_book() -> None:
    exchange = Exchange({"MAX_SLIPPAGE_PCT": "0.001"})
    exchange.order(quantity=1, price=99)
    exchange.order(quantity=1, price="100.1")

    results = exchange.book([("99.9", 5)], [("100.1", 1)])

    assert status_of(results) == [(REJECTED, Reason.SLIPPAGE_EXCEEDED), (FILLED, None)]


def test_slippage_that_begins_after_a_partial_fill_cancels_the_rest() -> None:
    exchange = Exchange()
    exchange.order(quantity=5)
    exchange.book([("99.9", 5)], [("100.1", 2)])

    results = exchange.book([("99.9", 5)], [("104", 5)])

    assert status_of(results) == [(CANCELLED, Reason.SLIPPAGE_EXCEEDED)]


def test_without_depth_a_market_order_fills_in_whole_with_impact() -> None:
    exchange = Exchange({"SIM_IMPACT_PCT": "0.0005"})
    exchange.order(quantity=100)

    # 0.0005 x sqrt(100 / 2000) = 0.00011, up to the tick
    assert fills_of(exchange.prints(100)) == [(100, Decimal("100.02"), "taker")]


def test_an_exit_is_partial_by_depth_too_and_never_closes_more_than_is_open() -> None:
    exchange = Exchange()
    exchange.holds(5)
    exchange.order(SELL, 5, reduce_only=True)
    exchange.order(SELL, 4, reduce_only=True)

    first = exchange.book([("99.9", 3)], [("100.1", 5)])
    second = exchange.book([("99.9", 3)], [("100.1", 5)])

    assert status_of(first) == [(PARTIALLY_FILLED, None)]
    assert status_of(second) == [(FILLED, None), (PARTIALLY_FILLED, None)] or status_of(second) == [
        *((FILLED, None), (CANCELLED, Reason.NOTHING_TO_REDUCE)),
    ]
    assert sum(r.filled_quantity for r in first + second) == 5


# Limit orders


@pytest.mark.parametrize(("side", "at", "through"), [(BUY, 99, "98.99"), (SELL, 101, "101.01")])
def test_a_limit_order_fills_only_from_what_traded_through_its_price(
    side: Side, at: int, through: str
) -> None:
    exchange = Exchange()
    exchange.order(side, 5, at, order_type=LIMIT)

    assert exchange.prints(100) == []
    assert exchange.prints(at) == []  # how many stood before it is not known
    (result,) = exchange.prints(through, 1000)

    assert fills_of([result]) == [(5, at, "maker")]
    assert result.slippage_bps == 0
    assert result.fees == Decimal(5) * at * Decimal("0.0006")


def test_a_limit_order_fills_no_more_than_was_traded() -> None:
    exchange = Exchange()
    exchange.order(BUY, 5, 99, order_type=LIMIT)
    exchange.prints(100)

    results = exchange.prints(98, 2) + exchange.prints(98, 2) + exchange.prints(98, 2)

    assert [r.filled_quantity for r in results] == [2, 2, 1]
    assert status_of(results) == [(PARTIALLY_FILLED, None)] * 2 + [(FILLED, None)]


def test_a_trade_smaller_than_a_lot_fills_nothing() -> None:
    exchange = Exchange()
    exchange.order(BUY, 5, 99, order_type=LIMIT)
    exchange.prints(100)

    assert exchange.prints(98, "0.0009") == []
    assert fills_of(exchange.prints(98, "0.001")) == [(Decimal("0.001"), 99, "maker")]


def test_two_limit_orders_share_what_was_traded() -> None:
    exchange = Exchange()
    exchange.holds(-6)
    exchange.order(BUY, 3, 99, order_type=LIMIT, reduce_only=True)
    exchange.order(BUY, 3, 99, order_type=LIMIT, reduce_only=True)
    exchange.prints(100)

    assert [r.filled_quantity for r in exchange.prints(98, 4)] == [3, 1]


def test_a_quote_through_the_price_of_a_resting_order_is_no_trade() -> None:
    exchange = Exchange()
    exchange.order(BUY, 1, 99, order_type=LIMIT)
    exchange.prints(100)

    assert exchange.quote(97, 98, LATER) == []


def test_a_limit_order_takes_first_what_is_not_beyond_its_price_then_rests() -> None:
    exchange = Exchange()
    exchange.order(BUY, 5, "100.2", order_type=LIMIT)

    taken = exchange.book([("99.9", 5)], [("100.1", 1), ("100.2", 1), ("100.3", 9)])
    more = exchange.book([("99.9", 5)], [("100.1", 9)])
    made = exchange.prints("100.1", 9)

    assert fills_of(taken) == [(2, Decimal("100.15"), "taker")]
    assert more == []
    assert fills_of(made) == [(3, Decimal("100.2"), "maker")]


def test_without_depth_a_limit_order_takes_only_if_spread_and_impact_leave_its_price() -> None:
    dear = Exchange({"SIM_HALF_SPREAD_PCT": "0.001"})
    dear.order(BUY, 1, "100.05", order_type=LIMIT)
    dear.order(BUY, 1, "100.1", order_type=LIMIT)

    assert [r.filled_price for r in dear.prints(100)] == [Decimal("100.1")]


def test_a_limit_order_expires_and_is_cancelled_where_entries_are_forbidden() -> None:
    exchange = Exchange()
    exchange.order(BUY, 1, 99, order_type=LIMIT)

    assert status_of(exchange.feed(builders.clock(NOON + 61_000))) == [
        (CANCELLED, Reason.EXPIRED),
    ]


# Post-only


def test_a_post_only_order_that_would_take_is_refused() -> None:
    exchange = Exchange()
    exchange.order(BUY, 1, "100.1", order_type=LIMIT, post_only=True)

    results = exchange.book([("99.9", 5)], [("100.1", 1)])

    assert status_of(results) == [(REJECTED, Reason.POST_ONLY_WOULD_CROSS)]


def test_a_post_only_order_that_would_not_take_rests_and_makes() -> None:
    exchange = Exchange()
    exchange.order(BUY, 1, 100, order_type=LIMIT, post_only=True)

    assert exchange.book([("99.9", 5)], [("100.1", 1)]) == []
    assert fills_of(exchange.prints("99.8")) == [(1, 100, "maker")]


# IOC, FOK


@pytest.mark.parametrize("order_type", [OrderType.MARKET, LIMIT])
def test_ioc_fills_what_is_there_and_cancels_the_rest(order_type: OrderType) -> None:
    exchange = Exchange()
    exchange.order(BUY, 5, "100.1", order_type=order_type, time_in_force=IOC)

    results = exchange.book([("99.9", 5)], [("100.1", 2)])

    assert status_of(results) == [
        *((PARTIALLY_FILLED, None), (CANCELLED, Reason.NOT_FILLED_AT_ONCE)),
    ]
    assert exchange.stage.state.open == {}


def test_ioc_of_which_all_is_there_is_filled() -> None:
    exchange = Exchange()
    exchange.order(BUY, 2, "100.1", order_type=LIMIT, time_in_force=IOC)

    assert status_of(exchange.book([("99.9", 5)], [("100.1", 2)])) == [(FILLED, None)]


@pytest.mark.parametrize("time_in_force", [IOC, FOK])
def test_what_is_beyond_the_limit_does_not_wait(time_in_force: TimeInForce) -> None:
    exchange = Exchange()
    exchange.order(BUY, 2, 99, order_type=LIMIT, time_in_force=time_in_force)

    results = exchange.book([("99.9", 5)], [("100.1", 2)])

    assert status_of(results) == [(CANCELLED, Reason.NOT_FILLED_AT_ONCE)]


@pytest.mark.parametrize(("held", "expected"), [("1.999", CANCELLED), ("2", FILLED)])
def test_fok_fills_all_or_nothing(held: str, expected: OrderStatus) -> None:
    exchange = Exchange()
    exchange.order(BUY, 2, "100.1", time_in_force=FOK)

    (result,) = exchange.book([("99.9", 5)], [("100.1", held)])

    assert result.status is expected
    assert result.filled_quantity == (2 if expected is FILLED else 0)


# What holds for every order


market_ticks = st.lists(
    st.one_of(
        st.tuples(st.just("trade"), st.integers(96, 104), st.integers(1, 5)),
        st.tuples(st.just("book"), st.integers(96, 104), st.integers(1, 5)),
    ),
    max_size=12,
)


@given(
    side=st.sampled_from(Side),
    order_type=st.sampled_from(OrderType),
    time_in_force=st.sampled_from(TimeInForce),
    price=st.integers(97, 103),
    quantity=st.integers(1, 9),
    ticks=market_ticks,
)
def test_an_order_never_fills_more_than_it_asks_beyond_its_limit_or_after_its_end(
    side: Side,
    order_type: OrderType,
    time_in_force: TimeInForce,
    price: int,
    quantity: int,
    ticks: list[tuple[str, int, int]],
) -> None:
    exchange = Exchange()
    trigger = Decimal(price) if order_type in (STOP, STOP_LIMIT) else None
    exchange.order(
        side, quantity, price, order_type=order_type, time_in_force=time_in_force,
        trigger_price=trigger,
    )  # fmt: skip
    results: list[OrderResult] = []
    for kind, at, size in ticks:
        if kind == "trade":
            results += exchange.prints(at, size)
        else:
            results += exchange.book([(at - 1, size)], [(at + 1, size)])

    filled = sum(result.filled_quantity for result in results)
    final = [r for r in results if r.status not in (PENDING, PARTIALLY_FILLED)]
    assert filled <= quantity
    assert (filled == quantity) == any(result.status is FILLED for result in results)
    assert len(final) <= 1
    assert final == results[-1:] or not final
    assert bool(final) != bool(exchange.stage.state.open)
    if order_type in (LIMIT, STOP_LIMIT):
        prices = [r.filled_price for r in results if r.filled_price is not None]
        assert all((fill_price - price) * side.sign <= 0 for fill_price in prices)
    assert exchange.stage.portfolio.quantity(BTC) == filled * side.sign
