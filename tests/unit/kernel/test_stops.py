"""Take profit and trailing stops: risk's own exits beside the stop-loss, long and short."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.events import AlertLevel, AlertPhase, OrderStatus, OrderType, Origin, Side
from services.kernel.pipeline import Pipeline
from services.kernel.portfolio.account import Position
from services.kernel.reasons import Reason
from services.kernel.risk.stage import RiskStage
from tests import builders
from tests.builders import BTC, NOON, Number
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]

FREE = {"SIM_HALF_SPREAD_PCT": "0", "SIM_IMPACT_PCT": "0"}
TAKE_PROFIT = {**FREE, "TAKE_PROFIT_PCT": "0.03"}
TRAILING = {**FREE, "TRAILING_STOP_PCT": "0.01"}


def exits(desk: Desk) -> list[tuple[Origin, Decimal]]:
    return [(order.origin, order.price) for order in desk.orders if order.reduce_only]


def holding(settings: dict[str, str], side: Side = Side.BUY, **fields: object) -> Desk:
    desk = Desk(settings)
    desk.enter(100, side, quantity=fields.get("quantity"))  # type: ignore[arg-type]
    return desk


def stop(desk: Desk) -> Decimal | None:
    return desk.portfolio.portfolio.state.positions[BTC].stop_loss_price


# Take profit


@pytest.mark.parametrize(("side", "before", "at"), [(Side.BUY, "102.99", "103"),
                                                    (Side.SELL, "97.01", "97")])  # fmt: skip
def test_a_gain_is_taken_at_its_price(side: Side, before: str, at: str) -> None:
    desk = holding(TAKE_PROFIT, side)

    desk.trade(before)
    assert exits(desk) == []
    desk.trade(at)

    assert exits(desk) == [(Origin.TAKE_PROFIT, Decimal(at))]
    order = desk.orders[-1]
    assert (order.side, order.reduce_only, order.order_type) == (
        *(side.opposite, True, OrderType.MARKET),
    )
    desk.wait(1)
    desk.trade(at)
    assert desk.position() == 0


def test_taking_a_gain_is_told_once_and_cleared_when_the_position_is_gone() -> None:
    desk = holding(TAKE_PROFIT)
    desk.trade(103)
    desk.wait(1)
    desk.trade(103)

    alerts = desk.alerts_of("TAKE_PROFIT")
    assert [alert.phase for alert in alerts] == [AlertPhase.BEGAN, AlertPhase.CLEARED]
    assert alerts[0].level is AlertLevel.INFO


def test_without_the_setting_no_gain_is_taken() -> None:
    desk = holding(FREE)

    for price in range(101, 200, 4):
        desk.trade(price)
        desk.trade(price)

    assert exits(desk) == []


def test_the_price_of_the_gain_follows_the_average_entry_price() -> None:
    desk = Desk(TAKE_PROFIT)
    for price in (100, 102):
        desk.enter(price, quantity=1)

    position = desk.portfolio.portfolio.state.positions[BTC]

    assert position.entry_price == 101
    assert position.take_profit_price == Decimal("104.03")


def test_the_stop_is_stricter_than_the_gain() -> None:
    position = builders.opening_position(BTC, 1, 50, price=100, stop=101)
    opening = builders.account(positions=[position])
    desk = Desk(TAKE_PROFIT, opening=opening)

    desk.trade(100)

    assert exits(desk) == [(Origin.STOP_LOSS, Decimal(100))]


# Trailing stop


def test_a_trailing_stop_follows_a_rise_and_acts_on_the_fall() -> None:
    desk = holding(TRAILING)
    assert stop(desk) == 99  # nearer than the stop-loss at 98

    desk.trade(104)
    assert stop(desk) == Decimal("102.96")
    desk.trade(103)
    assert (stop(desk), exits(desk)) == (Decimal("102.96"), [])
    desk.trade("102.96")

    assert exits(desk) == [(Origin.STOP_LOSS, Decimal("102.96"))]


def test_for_a_short_it_follows_a_fall() -> None:
    desk = holding(TRAILING, Side.SELL)
    assert stop(desk) == 101

    desk.trade(96)
    desk.trade("96.95")
    assert (stop(desk), exits(desk)) == (Decimal("96.96"), [])
    desk.trade(97)

    assert exits(desk) == [(Origin.STOP_LOSS, Decimal(97))]


def test_a_trailing_stop_that_is_farther_than_the_stop_loss_waits_for_its_turn() -> None:
    desk = holding({**FREE, "TRAILING_STOP_PCT": "0.05"})
    assert stop(desk) == 98

    desk.trade("103.1")
    assert stop(desk) == 98
    desk.trade(104)
    assert stop(desk) == Decimal("98.8")


def test_it_follows_the_fair_price_where_there_is_one() -> None:
    desk = holding(TRAILING)
    desk.feed(builders.mark(BTC, 104, desk.now))
    desk.trade(108)

    assert stop(desk) == Decimal("102.96")


def test_a_bad_print_does_not_move_it() -> None:
    desk = holding(TRAILING)

    desk.trade(150)
    desk.trade(100)

    assert (stop(desk), exits(desk)) == (99, [])


def test_after_a_partial_close_the_rest_keeps_its_stop_and_all_of_it_is_closed() -> None:
    desk = holding(TRAILING, quantity=4)
    desk.trade(104)
    desk.exit_signal(104, quantity=1)
    desk.wait(1)
    desk.trade(104)
    assert (desk.position(), stop(desk)) == (3, Decimal("102.96"))

    desk.trade("102.9")

    assert (desk.orders[-1].origin, desk.orders[-1].quantity) == (Origin.STOP_LOSS, 3)


def test_it_is_active_through_a_restart_of_risk() -> None:
    desk = holding(TRAILING)
    desk.trade(104)
    restarted = RiskStage()
    restarted.restore(desk.risk.snapshot())
    desk.pipeline = Pipeline((desk.execution, restarted, desk.portfolio))

    desk.trade("102.9")

    assert exits(desk) == [(Origin.STOP_LOSS, Decimal("102.9"))]


def test_a_new_run_carries_the_stop_where_it_was() -> None:
    opening = builders.opening_position(BTC, 1, 100, price=104, stop="102.96")
    desk = Desk(TRAILING, opening=builders.account(positions=[opening]))

    desk.trade(103)
    assert (stop(desk), exits(desk)) == (Decimal("102.96"), [])
    desk.trade("102.9")

    assert exits(desk) == [(Origin.STOP_LOSS, Decimal("102.9"))]


def test_a_position_that_was_carried_over_without_a_stop_gets_one() -> None:
    opening = builders.opening_position(BTC, -1, 100)
    desk = Desk({**TRAILING, **TAKE_PROFIT}, opening=builders.account(positions=[opening]))

    assert stop(desk) == 101
    assert desk.portfolio.portfolio.state.positions[BTC].take_profit_price == 97


@given(
    side=st.sampled_from(Side),
    prices=st.lists(st.decimals("1", "1000", places=2), min_size=1, max_size=30),
)
def test_a_trailing_stop_never_moves_back_and_lies_at_its_distance_from_the_best_price(
    side: Side, prices: list[Number]
) -> None:
    position = Position(
        quantity=Decimal(side.sign), cost=Decimal(100), mark_price=Decimal(100),
        stop_loss_price=None, leverage=Decimal(1), opened_at=NOON,
    )  # fmt: skip
    stops: list[Decimal] = []
    for price in prices:
        position.mark_price = Decimal(price)
        position.trail(Decimal("0.01"))
        assert position.stop_loss_price is not None
        stops.append(position.stop_loss_price)

    best = (max if side is Side.BUY else min)(map(Decimal, prices))
    assert stops == sorted(stops, reverse=side is Side.SELL)
    assert stops[-1] == best * (1 - Decimal("0.01") * side.sign)


# Partial fills


@pytest.mark.parametrize("side", list(Side))
def test_a_stop_closes_what_a_partial_entry_filled_and_ends_the_rest_of_it(side: Side) -> None:
    desk = Desk(FREE)
    desk.trade(100)
    desk.signal(100, side, quantity=5)
    desk.wait(1)
    desk.feed(builders.depth(BTC, [("99.99", 2)], [("100.01", 2)], desk.now))
    assert desk.position() == 2 * side.sign
    partial = desk.results[-1]
    assert partial.status is OrderStatus.PARTIALLY_FILLED

    desk.wait(1)
    desk.trade(100 - 3 * side.sign)

    stop_exit = desk.orders[-1]
    assert (stop_exit.origin, stop_exit.side) == (Origin.STOP_LOSS, side.opposite)
    assert stop_exit.quantity == 2
    cancelled = desk.results[-1]
    assert (cancelled.order_id, cancelled.reason) == (partial.order_id, Reason.CANCELLED_BY_EXIT)
    assert [pending.reduce_only for pending in desk.risk.state.pending.values()] == [True]


def test_a_stop_that_is_filled_in_part_keeps_working_and_is_not_ordered_twice() -> None:
    desk = holding(FREE, quantity=5)
    desk.trade("97.5")
    desk.wait(1)
    for _ in range(2):
        desk.feed(builders.depth(BTC, [("97", 2)], [("97.1", 2)], desk.now))
        desk.wait(1)
    assert desk.position() == 1

    desk.feed(builders.depth(BTC, [("97", 2)], [("97.1", 2)], desk.now))

    assert desk.position() == 0
    assert exits(desk) == [(Origin.STOP_LOSS, Decimal("97.5"))]
    assert [r.filled_quantity for r in desk.results if r.reduce_only] == [2, 2, 1]


def test_a_stop_works_in_a_halt_and_after_a_crash_in_the_middle_of_a_partial_fill() -> None:
    desk = holding(FREE, quantity=5)
    desk.feed(builders.halt(at=desk.now))
    desk.trade("97.5")
    desk.wait(1)
    desk.feed(builders.depth(BTC, [("97", 2)], [("97.1", 2)], desk.now))
    for stage in (desk.risk, desk.execution, desk.portfolio):
        stage.restore(stage.snapshot())

    desk.wait(1)
    desk.feed(builders.depth(BTC, [("97", 9)], [("97.1", 2)], desk.now))

    assert desk.position() == 0
    assert len(exits(desk)) == 1
