"""Orders with a price of their own, from the signal through risk to the fill."""

from decimal import Decimal
from typing import Any

import pytest

from services.kernel.events import (
    AlertLevel,
    LayerVerdict,
    MarketData,
    OrderStatus,
    OrderType,
    Origin,
    RiskDecision,
    Side,
    Signal,
    TimeInForce,
    Verdict,
)
from services.kernel.reasons import Reason
from services.kernel.strategies import Intent, Momentum
from services.kernel.strategies.stage import SignalStage
from tests import builders
from tests.builders import BTC
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]

LIMIT, STOP, STOP_LIMIT = OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT
FREE = {"SIM_HALF_SPREAD_PCT": "0", "SIM_IMPACT_PCT": "0"}


def at_100(settings: dict[str, str] | None = None) -> Desk:
    desk = Desk(FREE | (settings or {}))
    desk.trade(100)
    return desk


def test_a_limit_entry_is_stopped_from_its_limit_and_rests_until_it_is_traded_through() -> None:
    desk = at_100()

    decision = desk.signal(100, order_type=LIMIT, limit_price=99, quantity=5)
    assert (decision.verdict, decision.price) == (Verdict.APPROVED, 99)
    assert decision.stop_loss_price == Decimal("97.02")
    order = desk.orders[-1]
    assert (order.order_type, order.price, order.quantity) == (LIMIT, 99, 5)

    desk.wait(1)
    desk.trade(100)
    assert desk.position() == 0
    desk.trade("98.9")

    assert desk.position() == 5
    assert (desk.results[-1].filled_price, desk.results[-1].liquidity) == (99, "maker")


@pytest.mark.parametrize(
    ("side", "asked", "on_tick"), [(Side.BUY, "99.999", "99.99"), (Side.SELL, "100.001", "100.01")]
)
def test_a_limit_is_put_on_a_tick_and_never_made_worse(
    side: Side, asked: str, on_tick: str
) -> None:
    desk = at_100()

    desk.signal(100, side, order_type=LIMIT, limit_price=asked)

    assert desk.orders[-1].price == Decimal(on_tick)


def test_the_size_of_a_limit_entry_is_reckoned_with_the_worse_of_limit_and_mark_price() -> None:
    far_below, far_above = at_100(), at_100()

    bought = far_below.signal(100, order_type=LIMIT, limit_price=50)
    sold = far_above.signal(100, Side.SELL, order_type=LIMIT, limit_price=200)

    assert bought.quantity * 100 <= Decimal("10000")
    assert sold.quantity * 200 <= Decimal("10000")


def test_what_the_book_would_cost_is_no_matter_of_an_order_with_a_limit() -> None:
    desk = at_100()
    desk.feed(builders.depth(BTC, [("99.99", 1)], [("100.01", 1), ("110", 1000)], desk.now))

    assert desk.signal(100).reason == Reason.SLIPPAGE_EXPECTED
    assert desk.signal(100, order_type=LIMIT, limit_price=100).verdict is Verdict.APPROVED


def test_a_stop_entry_waits_for_its_trigger_and_its_stop_loss_lies_behind_it() -> None:
    desk = at_100()

    decision = desk.signal(100, order_type=STOP, trigger_price=103, quantity=5)
    assert (decision.verdict, decision.price) == (Verdict.APPROVED, 103)
    assert decision.stop_loss_price == Decimal("100.94")  # above today's price
    assert decision.layers[5].verdict is LayerVerdict.PASS

    for price in (101, 103, 103):
        desk.wait(1)
        desk.trade(price)

    assert desk.position() == 5
    statuses = [(result.status, result.reason) for result in desk.results]
    assert statuses == [(OrderStatus.PENDING, Reason.TRIGGERED), (OrderStatus.FILLED, None)]
    desk.trade("100.9")
    assert desk.orders[-1].origin is Origin.STOP_LOSS


def test_an_order_that_works_counts_as_exposure_until_it_ends() -> None:
    desk = at_100()
    desk.signal(100, order_type=LIMIT, limit_price=99)

    second = desk.signal(100)
    assert second.reason == Reason.POSITION_LIMIT
    desk.wait(61)
    desk.trade(100)

    assert desk.results[-1].reason == Reason.EXPIRED
    assert desk.signal(100).verdict is not Verdict.REJECTED


@pytest.mark.parametrize(
    ("terms", "problem"),
    [
        ({"order_type": LIMIT}, "a LIMIT order needs a limit_price"),
        ({"order_type": STOP}, "a STOP order needs a trigger_price"),
        ({"order_type": STOP_LIMIT, "limit_price": 99}, "needs a trigger_price"),
        ({"limit_price": 99}, "limit_price 99 means nothing to a MARKET order; leave it out"),
        ({"order_type": LIMIT, "limit_price": 99, "trigger_price": 98}, "trigger_price 98 means"),
        ({"order_type": LIMIT, "limit_price": "NaN"}, "limit_price NaN cannot be traded"),
        ({"order_type": STOP, "trigger_price": 0}, "trigger_price 0 cannot be traded"),
        ({"post_only": True}, "a MARKET GTC order cannot be post-only; a GTC limit order can"),
        (
            {
                "order_type": LIMIT, "limit_price": 99, "post_only": True,
                "time_in_force": TimeInForce.IOC,
            },
            "a LIMIT IOC order cannot be post-only",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("reduce_only", [False, True])
def test_terms_that_contradict_are_refused_with_the_remedy(
    terms: dict[str, Any], problem: str, reduce_only: bool
) -> None:
    desk = Desk(FREE)
    desk.enter(100)

    refused = desk.exit_signal(100, **terms) if reduce_only else desk.signal(100, **terms)

    assert (refused.verdict, refused.reason) == (Verdict.REJECTED, Reason.INVALID_SIGNAL)
    assert problem in refused.layers[0].detail
    assert len(desk.alerts_of("INVALID_SIGNAL")) == 1


# Exits


def holding(settings: dict[str, str] | None = None) -> Desk:
    desk = Desk(FREE | (settings or {}))
    desk.enter(100, quantity=5)
    return desk


def resting_exit(desk: Desk, price: int = 101) -> RiskDecision:
    decision = desk.exit_signal(100, order_type=LIMIT, limit_price=price)
    desk.wait(1)
    desk.trade(100)
    return decision


def test_an_exit_may_wait_for_its_price() -> None:
    desk = holding()

    assert resting_exit(desk).verdict is Verdict.APPROVED
    desk.trade("101.5")

    assert desk.position() == 0
    assert desk.results[-1].filled_price == 101


def test_a_stop_does_not_wait_for_an_exit_that_waits_for_its_price() -> None:
    desk = holding()
    resting_exit(desk)

    desk.trade("97.9")
    assert (desk.orders[-1].origin, desk.orders[-1].quantity) == (Origin.STOP_LOSS, 5)
    desk.wait(1)
    desk.trade("97.9")
    desk.trade("97.9")

    assert desk.position() == 0
    assert desk.results[-1].reason == Reason.NOTHING_TO_REDUCE
    assert desk.risk.state.pending == {}


def test_a_second_exit_with_a_price_is_nothing_to_reduce_but_one_at_market_is_not_trapped() -> None:
    desk = holding()
    resting_exit(desk)

    second = desk.exit_signal(100, order_type=LIMIT, limit_price=102)
    assert second.reason == Reason.NOTHING_TO_REDUCE
    assert desk.exit_signal(100).verdict is Verdict.APPROVED
    assert desk.exit_signal(100).reason == Reason.NOTHING_TO_REDUCE

    desk.wait(1)
    desk.trade(100)
    desk.trade(103)
    assert desk.position() == 0
    assert desk.risk.state.pending == {}


@pytest.mark.parametrize("position", [True, False])
def test_an_exit_cancels_the_entries_that_would_open_what_is_being_left(position: bool) -> None:
    desk = holding() if position else at_100()
    desk.signal(100, order_type=LIMIT, limit_price=99, quantity=1)

    desk.exit_signal(100)

    cancelled = desk.results[-1]
    assert (cancelled.status, cancelled.reason) == (
        *(OrderStatus.CANCELLED, Reason.CANCELLED_BY_EXIT),
    )
    assert not [order for order in desk.risk.state.pending.values() if not order.reduce_only]


def test_an_exit_leaves_entries_of_its_own_side_alone() -> None:
    desk = holding()
    desk.signal(100, Side.SELL, order_type=LIMIT, limit_price=101, quantity=1)

    desk.exit_signal(100)

    assert len(desk.execution.state.open) == 2


def test_a_partial_exit_leaves_the_rest_protected_through_a_restart() -> None:
    desk = holding()
    desk.exit_signal(100, quantity=5)
    desk.wait(1)
    desk.feed(builders.depth(BTC, [("99.9", 2)], [("100.1", 9)], desk.now))
    assert (desk.position(), desk.results[-1].status) == (3, OrderStatus.PARTIALLY_FILLED)
    desk.risk.restore(desk.risk.snapshot())
    desk.execution.restore(desk.execution.snapshot())

    desk.wait(1)
    desk.feed(builders.depth(BTC, [("97", 9)], [("97.2", 9)], desk.now))

    assert desk.position() == 0
    assert desk.risk.state.pending == {}


def test_an_exit_never_expires_and_slippage_does_not_refuse_it() -> None:
    desk = Desk({"ORDER_EXPIRY_SEC": "1"})
    desk.enter(100)
    desk.exit_signal(100)
    desk.wait(50)

    desk.trade(90)
    desk.trade(90)

    assert desk.results[-1].status is OrderStatus.FILLED
    assert desk.results[-1].slippage_bps > 900
    assert [alert.level for alert in desk.alerts_of("SLIPPAGE")] == [AlertLevel.WARNING]
    assert desk.position() == 0


# The strategy


class LimitBuyer(Momentum):
    """Momentum that wants to buy below every trade."""

    def on_tick(self, tick: MarketData) -> Intent | None:
        assert tick.price is not None
        return Intent(
            direction=Side.BUY, strength=Decimal(1), price=tick.price, reason="cheap",
            indicators={}, reduce_only=False, order_type=LIMIT, limit_price=tick.price - 1,
            time_in_force=TimeInForce.GTC, post_only=True,
        )  # fmt: skip


def test_what_a_strategy_asks_for_stands_in_its_signal() -> None:
    stage = SignalStage(LimitBuyer)
    stage.handle(builders.run_started())

    (signal,) = stage.handle(builders.trade(price=100))

    assert isinstance(signal, Signal)
    assert (signal.order_type, signal.limit_price, signal.post_only) == (LIMIT, 99, True)
