"""Ticks made from bars: nothing fills better than it could have, and then costs come on top."""

from decimal import Decimal

import pytest

from services.kernel.events import (
    BarPoint,
    OrderType,
    Origin,
    Side,
)
from services.kernel.matching.bar_prices import triggered_at
from services.kernel.matching.fills import SimulatedMarket
from tests import builders
from tests.builders import BTC, Number
from tests.unit.kernel.matching.bar_desk import FREE, INSIDE, OPEN, Bars, filled, mirrored

pytestmark = [pytest.mark.unit, pytest.mark.risk]

LIMIT, STOP, STOP_LIMIT = OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT


# Market orders


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize(("point", "price"), [("99", "100"), ("101", "101"), ("100", "100")])
@pytest.mark.parametrize("bar", [OPEN, INSIDE])
def test_an_entry_fills_at_the_worse_of_its_decision_and_the_next_point(
    side: Side, point: str, price: str, bar: BarPoint
) -> None:
    bars = Bars()
    bars.point(100, OPEN)
    bars.signal(100, side)

    assert filled(bars.point(mirrored(point, side), bar)) == [(100, mirrored(price, side))]


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize(("point", "price"), [("101", "100"), ("99", "99")])
def test_an_exit_does_too(side: Side, point: str, price: str) -> None:
    bars = Bars().holding(side)
    bars.exit_signal(100, side.opposite)

    assert filled(bars.point(mirrored(point, side))) == [(100, mirrored(price, side))]


def test_on_trades_that_were_observed_the_next_one_is_what_it_is() -> None:
    bars = Bars()
    bars.point(100, None)
    bars.signal(100)

    assert filled(bars.point(99, None)) == [(100, 99)]


def test_spread_and_impact_come_on_top() -> None:
    bars = Bars({"SIM_HALF_SPREAD_PCT": "0.001", "SIM_IMPACT_PCT": "0.01"})
    bars.point(100, OPEN)
    bars.signal(100, quantity=20)

    (result,) = bars.point(99)

    assert (result.fill["touch"], result.fill["half_spread"]) == (Decimal("100.1"), Decimal("0.1"))
    assert result.fill["impact_pct"] > 0
    assert result.filled_price is not None
    assert result.filled_price > result.fill["touch"]


def test_a_fresh_quote_beside_the_bars_is_what_it_is() -> None:
    bars = Bars()
    bars.point(100, OPEN)
    bars.signal(100)
    bars.wait(1)
    bars.feed(builders.quote(BTC, "98.9", "99", bars.now))

    assert filled(bars.results) == [(100, 99)]


# The stop-loss


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("after", ["94", "97", "103"])
def test_a_stop_that_was_crossed_within_a_bar_fills_at_its_trigger(side: Side, after: str) -> None:
    bars = Bars().holding(side)
    bars.point(mirrored(95, side))

    (result,) = bars.point(mirrored(after, side))

    assert result.origin is Origin.STOP_LOSS
    assert filled([result]) == [(100, mirrored(98, side))]
    assert result.slippage_bps == 0


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("after", ["94", "103"])
def test_a_stop_that_an_opening_jumped_over_fills_at_the_opening(side: Side, after: str) -> None:
    bars = Bars().holding(side)
    bars.point(mirrored(95, side), OPEN)

    assert filled(bars.point(mirrored(after, side))) == [(100, mirrored(95, side))]


def test_an_opening_at_the_stop_is_no_jump() -> None:
    bars = Bars().holding()
    bars.point(98, OPEN)

    assert filled(bars.point(97)) == [(100, 98)]


def test_the_opening_of_the_bar_in_which_it_was_opened_is_none() -> None:
    bars = Bars()
    bars.point(96, OPEN)
    bars.point(100)
    bars.signal(100)
    bars.point(100)
    bars.point(95)

    assert filled(bars.point(95)) == [(100, 98)]


def test_a_stop_that_was_beyond_the_price_before_starts_at_the_price() -> None:
    # Carried over into a market that is beyond it already: it crosses nothing.
    position = builders.opening_position(BTC, 10, 100, price=100, stop=98)
    bars = Bars()
    bars.feed(builders.run_started(FREE, opening=builders.account(positions=[position])))
    bars.feed(builders.instruments(builders.instrument()))
    bars.point(95, INSIDE)

    assert filled(bars.point(97)) == [(10, 95)]


def test_a_stop_that_the_fair_price_triggers_takes_the_worse_of_it_and_the_next_point() -> None:
    bars = Bars().holding()
    bars.feed(builders.mark(BTC, 97, bars.now))

    assert filled(bars.point(99)) == [(100, 98)]
    bars = Bars().holding()
    bars.feed(builders.mark(BTC, 97, bars.now))

    assert filled(bars.point(96)) == [(100, 96)]


@pytest.mark.parametrize(
    ("before", "price", "expected"),
    [
        ("99.99", 101, (100, True)),
        ("99.99", "99.99", (100, False)),
        (100, 101, (101, False)),
        ("100.5", 101, (101, False)),
        (None, 101, (101, False)),
        (None, None, (100, False)),
    ],
)
def test_a_level_is_crossed_from_the_other_side_of_it(
    before: Number | None, price: Number | None, expected: tuple[int, bool]
) -> None:
    market = SimulatedMarket(
        before=builders.optional(before), price=builders.optional(price), bar=BarPoint.INSIDE
    )

    assert triggered_at(Decimal(100), Side.BUY, market) == expected


def test_spread_comes_on_top_of_a_stop() -> None:
    bars = Bars({"SIM_HALF_SPREAD_PCT": "0.001"})
    bars.point(100, OPEN)
    bars.signal(100, quantity=10)
    bars.point(100)
    stop = bars.stop
    bars.point(95)

    (result,) = bars.point(95)

    assert stop is not None
    assert result.filled_price is not None
    assert result.filled_price < stop
    assert result.fill["touch"] + result.fill["half_spread"] == stop


# Take profit, limits, stop orders, liquidation


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize(("after", "price"), [("107", "103"), ("103", "103"), ("101", "101")])
@pytest.mark.parametrize("bar", [OPEN, INSIDE])
def test_a_gain_is_taken_at_its_target_at_best(
    side: Side, after: str, price: str, bar: BarPoint
) -> None:
    bars = Bars({"TAKE_PROFIT_PCT": "0.03"}).holding(side)
    bars.point(mirrored(106, side), bar)

    (result,) = bars.point(mirrored(after, side))

    assert result.origin is Origin.TAKE_PROFIT
    assert filled([result]) == [(100, mirrored(price, side))]
    assert result.slippage_bps is not None
    assert result.slippage_bps >= 0


@pytest.mark.parametrize(
    ("point", "price"),
    [
        ("99", "100"),  # no better than the price when it was accepted
        ("100.5", "100.5"),
        ("101", "101"),
    ],
)
def test_a_limit_order_that_takes_starts_like_a_market_order(point: str, price: str) -> None:
    bars = Bars()
    bars.point(100, OPEN)
    bars.signal(100, order_type=LIMIT, limit_price=101, quantity=5)

    assert filled(bars.point(point)) == [(5, Decimal(price))]


def test_a_limit_order_is_never_filled_worse_than_its_limit() -> None:
    bars = Bars({"SIM_HALF_SPREAD_PCT": "0.001"})
    bars.point(100, OPEN)
    bars.signal(100, order_type=LIMIT, limit_price=100, quantity=5)

    assert filled(bars.point(100)) == []  # 100.1 would be beyond it: it rests
    assert filled(bars.point("99.5", OPEN)) == [(5, 100)]  # and is filled where it stood


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize(
    ("bar", "price"),
    [(INSIDE, "101"), (OPEN, "102")],  # within the bar the trigger was crossed; an opening jumps
)
@pytest.mark.parametrize("after", ["100.5", "104"])
def test_a_stop_order_fills_at_its_trigger_or_at_an_opening_beyond_it(
    side: Side, bar: BarPoint, price: str, after: str
) -> None:
    bars = Bars()
    bars.point(100, OPEN)
    trigger = mirrored(101, side)
    bars.signal(100, side, order_type=STOP, trigger_price=trigger, quantity=5)
    bars.point(100)
    bars.point(mirrored(102, side), bar)

    assert filled(bars.point(mirrored(after, side))) == [(5, mirrored(price, side))]


@pytest.mark.parametrize(("after", "price"), [("102", "103"), ("104", "104")])
def test_a_stop_order_beyond_its_trigger_from_the_start_takes_the_market(
    after: str, price: str
) -> None:
    bars = Bars()
    bars.point(103, OPEN)
    bars.signal(103, order_type=STOP, trigger_price=102, quantity=5)
    bars.point(103)

    assert filled(bars.point(after)) == [(5, Decimal(price))]


def test_a_stop_limit_order_starts_at_its_trigger_and_stays_within_its_limit() -> None:
    bars = Bars()
    bars.point(100, OPEN)
    bars.signal(100, order_type=STOP_LIMIT, trigger_price=101, limit_price="101.5", quantity=5)
    bars.point(100)
    bars.point(103)

    assert filled(bars.point(103)) == [(5, 101)]


def test_a_stop_limit_order_that_an_opening_jumped_over_rests() -> None:
    bars = Bars()
    bars.point(100, OPEN)
    bars.signal(100, order_type=STOP_LIMIT, trigger_price=101, limit_price="101.5", quantity=5)
    bars.point(100)
    bars.point(103, OPEN)

    assert filled(bars.point(103)) == []
    assert filled(bars.point("101.4")) == [(5, Decimal("101.5"))]


@pytest.mark.parametrize("bar", [OPEN, INSIDE])
def test_a_liquidation_takes_the_bankruptcy_price(bar: BarPoint) -> None:
    bars = Bars({"STOP_LOSS_PCT": "0.10"})
    bars.point(100, OPEN)
    bars.signal(100)
    bars.point(100)
    bars.point(94)
    bars.point(66, bar)  # beyond the stop at 90, and beyond the liquidation price

    (result,) = bars.point(68)

    assert result.origin is Origin.LIQUIDATION
    assert filled([result]) == [(20, Decimal("66.67"))]  # 100 less a third, on a tick


# Trailing stops


@pytest.mark.parametrize("side", list(Side))
def test_a_trailing_stop_follows_openings_and_closes(side: Side) -> None:
    bars = Bars({"TRAILING_STOP_PCT": "0.01"}).holding(side)
    seen = []
    for price, bar in [(104, INSIDE), (102, INSIDE), (103, OPEN), (105, INSIDE), (104, OPEN)]:
        bars.point(mirrored(price, side), bar)
        assert bars.stop is not None
        seen.append(bars.stop)

    distance = Decimal("0.01")
    follows = [mirrored(price, side) * (1 - distance * side.sign) for price in (103, 105)]
    first = mirrored(98, side)
    assert seen == [first, first, follows[0], follows[0], follows[1]]


def test_a_high_within_a_bar_does_not_stop_what_its_low_reaches() -> None:
    bars = Bars({"TRAILING_STOP_PCT": "0.01"}).holding()
    bars.point(104)
    bars.point(101)

    assert [order.origin for order in bars.orders] == [Origin.SIGNAL]


def test_the_close_is_followed_when_the_next_bar_opens_and_its_opening_may_jump_over_that() -> None:
    bars = Bars({"TRAILING_STOP_PCT": "0.01"}).holding()
    bars.point(105)  # the close
    bars.point("103.5", OPEN)

    assert bars.stop == Decimal("103.95")
    assert filled(bars.point(105)) == [(100, Decimal("103.5"))]


def test_a_close_that_the_next_opening_repeats_is_followed() -> None:
    bars = Bars({"TRAILING_STOP_PCT": "0.01"}).holding()
    bars.point(105)
    bars.point(105, OPEN)

    assert bars.stop == Decimal("103.95")


def test_what_is_added_within_a_bar_does_not_move_a_trailing_stop_to_the_high() -> None:
    bars = Bars({"TRAILING_STOP_PCT": "0.01", "MAX_POSITION_PCT": "0.25"})
    bars.point(100, OPEN)
    bars.signal(100, quantity=10)
    bars.point(100)
    bars.point(104)
    bars.signal(104, quantity=10)
    bars.point(104)

    assert bars.position() == 20
    assert bars.stop == Decimal("101.92")  # two per cent below the second fill


def test_beside_fair_prices_it_follows_those() -> None:
    bars = Bars({"TRAILING_STOP_PCT": "0.01"}).holding()
    bars.feed(builders.mark(BTC, 102, bars.now))
    assert bars.stop == Decimal("100.98")
    bars.point(104)

    assert bars.stop == Decimal("100.98")
