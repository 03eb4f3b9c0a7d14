"""Exits: strategy's, stop-loss, liquidation, emergency; they pass in every state."""

from decimal import Decimal
from typing import Any

import pytest

from services.kernel.events import (
    AlertLevel,
    AlertPhase,
    ConditionName,
    LayerVerdict,
    OrderStatus,
    Origin,
    Side,
    Verdict,
)
from services.kernel.reasons import Reason
from tests import builders
from tests.builders import BTC, ETH, SOL
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]


def stop_exits(desk: Desk) -> list[Origin]:
    return [decision.origin for decision in desk.decisions if decision.origin is not Origin.SIGNAL]


@pytest.mark.parametrize(
    ("side", "just_before", "reached"),
    [(Side.BUY, "98.05", "98.04"), (Side.SELL, "101.94", "101.95")],
)
def test_a_stop_closes_the_position_when_the_price_reaches_it(
    side: Side, just_before: str, reached: str
) -> None:
    desk = Desk()
    desk.enter(100, side)
    desk.trade(just_before)
    assert stop_exits(desk) == []

    desk.trade(reached)
    (order,) = desk.orders[1:]
    desk.wait(1)
    desk.trade(reached)

    assert (order.origin, order.side) == (Origin.STOP_LOSS, side.opposite)
    assert (order.reduce_only, order.quantity, order.signal_id) == (True, 100, None)
    assert desk.results[-1].status is OrderStatus.FILLED
    assert desk.position() == 0


def test_a_stop_is_ordered_once_however_many_ticks_are_beyond_it() -> None:
    desk = Desk({"SIM_LATENCY_MS": "3000"})
    desk.trade(100)
    desk.signal(100)
    desk.wait(3)
    desk.trade(100)
    assert desk.position() == 100

    for price in ("98", "97.9", "97.8", "97.7"):
        desk.trade(price)
    desk.wait(1)
    desk.trade("97.6")

    assert stop_exits(desk) == [Origin.STOP_LOSS]


def test_a_stop_is_ordered_again_if_its_order_came_to_nothing() -> None:
    desk = Desk()
    desk.enter(100)
    desk.trade(98)
    lost = desk.orders[-1]
    cancelled = builders.result(
        BTC, Side.SELL, 100, None, desk.now, order_id=lost.order_id,
        status=OrderStatus.CANCELLED, reduce_only=True, slippage_bps=None,
    )  # fmt: skip
    desk.risk.handle(cancelled)

    outputs = desk.risk.handle(builders.trade(BTC, 98, desk.now))

    assert [type(event).__name__ for event in outputs] == ["RiskDecision", "Order"]


def test_the_stop_follows_the_mark_price_while_it_is_fresh() -> None:
    desk = Desk()
    desk.enter(100)
    desk.feed(builders.mark(BTC, "99.5", desk.now))

    desk.trade(97)  # the last price alone does not stop it out
    assert stop_exits(desk) == []
    desk.feed(builders.mark(BTC, 98, desk.now))
    assert stop_exits(desk) == [Origin.STOP_LOSS]


def test_an_old_mark_price_gives_way_to_the_last_price() -> None:
    desk = Desk()
    desk.enter(100)
    desk.feed(builders.mark(BTC, "99.5", desk.now))
    desk.wait(60)

    desk.trade(97)  # as old as is allowed
    assert stop_exits(desk) == []
    desk.wait(1)
    desk.trade(97)
    assert stop_exits(desk) == [Origin.STOP_LOSS]


def test_adding_to_a_position_keeps_the_stop_that_is_hit_first() -> None:
    desk = Desk()
    desk.enter(100, quantity=40)
    desk.enter(101, quantity=40)

    assert desk.portfolio.portfolio.state.positions[BTC].stop_loss_price == Decimal("99.01")
    desk.trade("99.01")
    assert desk.orders[-1].quantity == 80


def test_a_stop_works_after_a_part_was_closed() -> None:
    desk = Desk()
    desk.enter(100)
    desk.exit_signal(100, quantity=30)
    desk.wait(1)
    desk.trade(100)
    assert desk.position() == 70

    desk.trade(98)

    assert desk.orders[-1].quantity == 70


def test_a_backfilled_tick_stops_nothing_and_fills_nothing() -> None:
    desk = Desk()
    desk.enter(100)
    desk.exit_signal(100)
    desk.wait(1)

    led_to = desk.feed(builders.trade(BTC, 50, desk.now, backfill=True))

    assert led_to == []
    assert desk.position() == 100


def test_the_stop_s_alert_begins_and_clears_with_the_position() -> None:
    desk = Desk()
    desk.enter(100)
    desk.trade(98)
    desk.wait(1)
    desk.trade(98)

    began, cleared = desk.alerts_of("RISK_LIMIT")[-2:]
    assert (began.level, began.phase, began.layer) == (AlertLevel.WARNING, AlertPhase.BEGAN, 6)
    assert (cleared.phase, cleared.symbol) == (AlertPhase.CLEARED, BTC)


def test_an_exit_s_decision_keeps_all_layers_and_passes_them() -> None:
    desk = Desk()
    desk.enter(100)

    decision = desk.exit_signal(100)

    assert decision.verdict is Verdict.APPROVED
    assert [layer.verdict for layer in decision.layers] == [LayerVerdict.PASS] * 7
    assert decision.sizing["position"] == 100


FORBIDDING: dict[str, Any] = {
    "halted": builders.halt(),
    "paused": builders.pause(),
    "symbol paused": builders.pause(BTC),
    "database away": builders.condition(),
    "gap": builders.condition(ConditionName.DATA_GAP, symbol=BTC),
    "lost record": builders.recovered(),
}


@pytest.mark.parametrize("why", FORBIDDING)
def test_an_exit_passes_where_no_entry_does(why: str) -> None:
    desk = Desk()
    desk.enter(100)
    desk.feed(FORBIDDING[why])
    assert desk.signal(100, Side.SELL).verdict is Verdict.REJECTED

    decision = desk.exit_signal(100)
    desk.wait(1)
    desk.trade(100)

    assert decision.verdict is Verdict.APPROVED
    assert desk.position() == 0


def test_an_exit_passes_in_a_stale_symbol() -> None:
    desk = Desk()
    desk.enter(100)
    desk.wait(61)

    assert desk.exit_signal(100).verdict is Verdict.APPROVED


def test_an_exit_passes_in_a_quarantined_symbol_and_however_many_trades_there_were() -> None:
    desk = Desk({"MAX_TRADES_PER_HOUR": "1"})
    desk.enter(100)
    desk.risk.state.symbol_health(BTC).quarantined = True

    assert desk.exit_signal(100).verdict is Verdict.APPROVED


def test_nothing_to_reduce_is_refused_without_an_alert() -> None:
    desk = Desk()
    desk.trade(100)

    flat = desk.exit_signal(100)
    desk.enter(100)
    before = len(desk.alerts)
    wrong_side = desk.exit_signal(100, Side.BUY)
    desk.exit_signal(100)
    twice = desk.exit_signal(100)

    for decision in (flat, wrong_side, twice):
        assert (decision.verdict, decision.reason) == (
            *(Verdict.REJECTED, Reason.NOTHING_TO_REDUCE),
        )
        assert len(decision.layers) == 7
    assert len(desk.alerts) == before


def test_two_partial_exits_never_close_more_than_is_open() -> None:
    desk = Desk()
    desk.enter(100)

    first = desk.exit_signal(100, quantity=70)
    second = desk.exit_signal(100, quantity=70)
    desk.wait(1)
    desk.trade(100)

    assert (first.quantity, second.quantity) == (70, 30)
    assert desk.position() == 0


def test_a_stop_while_an_exit_is_on_its_way_closes_only_the_rest() -> None:
    desk = Desk()
    desk.enter(100)
    desk.exit_signal(100, quantity=70)

    desk.trade(98)

    assert desk.orders[-1].origin is Origin.STOP_LOSS
    assert desk.orders[-1].quantity == 30


@pytest.mark.parametrize("quantity", ["NaN", "-1", "0", "0.0001"])
def test_a_malformed_exit_is_refused(quantity: str) -> None:
    desk = Desk()
    desk.enter(100)

    decision = desk.exit_signal(100, quantity=quantity)

    assert (decision.verdict, decision.reason) == (Verdict.REJECTED, Reason.INVALID_SIGNAL)
    assert desk.alerts[-1].code == "INVALID_SIGNAL"


def test_a_price_that_cannot_be_traded_does_not_trap_a_position() -> None:
    desk = Desk()
    desk.enter(100)

    decision = desk.exit_signal("NaN")

    assert (decision.verdict, decision.price) == (Verdict.APPROVED, 100)


def test_an_exit_asks_for_whole_lots_but_what_is_left_goes_as_a_whole() -> None:
    desk = Desk()
    desk.enter(100)

    assert desk.exit_signal(100, quantity="99.9995").quantity == Decimal("99.999")
    assert desk.exit_signal(100, quantity=5).quantity == Decimal("0.001")


def leveraged(quantity: int, leverage: int = 10) -> Desk:
    """A position taken over from the run before, without a stop."""
    position = builders.opening_position(BTC, quantity, 100, leverage=leverage)
    return Desk(opening=builders.account(positions=[position]))


def test_liquidation_is_risk_s_own_exit_with_a_critical_alert() -> None:
    # 10x, 0.5 % maintenance, 0.04 % fee: 100 x (1 - 0.1 + 0.005) / (1 - 0.0004) = 90.5362
    desk = leveraged(10)

    desk.trade("90.54")
    assert stop_exits(desk) == []
    desk.trade("90.53")
    (alert,) = desk.alerts_of("LIQUIDATION")
    desk.wait(1)
    desk.trade(90)

    assert stop_exits(desk) == [Origin.LIQUIDATION]
    assert (alert.level, alert.phase) == (AlertLevel.CRITICAL, AlertPhase.BEGAN)
    assert desk.position() == 0
    assert desk.alerts_of("LIQUIDATION")[-1].phase is AlertPhase.CLEARED
    # Taken over where the margin of 100 is lost, whatever the market; and the fee.
    assert (desk.results[-1].filled_price, desk.results[-1].liquidity) == (90, "liquidation")
    assert desk.results[-1].fees == 10 * 90 * Decimal("0.0004")
    assert desk.portfolio.portfolio.state.realised_profit == -100


def test_a_short_is_liquidated_above_its_entry() -> None:
    # 100 x (1 + 0.1 - 0.005) / (1 + 0.0004) = 109.4562
    desk = leveraged(-10)

    desk.trade("109.45")
    assert stop_exits(desk) == []
    desk.trade("109.46")
    assert stop_exits(desk) == [Origin.LIQUIDATION]


def test_with_cross_margin_the_whole_equity_backs_a_position() -> None:
    position = builders.opening_position(BTC, 1_000, 100, leverage=10)
    opening = builders.account(20_000, positions=[position])

    desk = Desk({"MARGIN_MODE": "cross"}, opening=opening)
    desk.risk.state.emergency = True  # the emergency stop would have acted long before
    desk.trade(90)
    assert Origin.LIQUIDATION not in stop_exits(desk)
    # (100 x 1000 + 500 - 20000) / (1000 x (1 - 0.0004)) = 80.5322
    assert desk.risk.portfolio.liquidation_price(BTC) == pytest.approx(Decimal("80.53221"))


def test_the_emergency_stop_closes_every_position() -> None:
    desk = Desk(symbols=[BTC, ETH, SOL])
    desk.enter(100, symbol=BTC)
    desk.enter(100, Side.SELL, ETH)
    desk.risk.portfolio.state.peak_equity = Decimal(112_000)  # lost since: more than a tenth

    desk.trade("99.9", BTC)
    exits = {(order.symbol, order.side) for order in desk.orders[2:]}
    desk.wait(1)
    desk.trade("99.9", BTC)
    desk.trade(100, ETH)

    assert exits == {(BTC, Side.SELL), (ETH, Side.BUY)}
    assert stop_exits(desk) == [Origin.EMERGENCY_STOP] * 2
    assert desk.position(BTC) == desk.position(ETH) == 0


def test_what_is_filled_after_the_emergency_stop_is_closed_as_well() -> None:
    desk = Desk(symbols=[BTC, ETH])
    desk.enter(100, symbol=BTC)
    desk.risk.state.emergency = True
    desk.feed(builders.result(ETH, Side.BUY, 5, 100, desk.now, stop=98))

    desk.wait(1)

    assert (ETH, Origin.EMERGENCY_STOP) in {(o.symbol, o.origin) for o in desk.orders}
