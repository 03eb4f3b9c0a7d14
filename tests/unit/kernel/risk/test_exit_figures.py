"""An exit passes every layer, and its decision keeps all figures and links all the same."""

from decimal import Decimal

import pytest

from services.kernel.events import (
    ConditionName,
    LayerVerdict,
    OrderType,
    Origin,
    Side,
    TimeInForce,
    TradingState,
)
from services.kernel.instruments.contracts import generic_instrument
from services.kernel.reasons import Reason
from services.kernel.risk.state.cooldown import LossStreak
from tests import builders
from tests.builders import BTC, ETH
from tests.unit.kernel import moves
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]


def test_a_strategy_s_exit_is_linked_to_its_signal() -> None:
    desk = Desk()
    desk.enter(100)
    wish = builders.exit_signal(at=desk.now, price=100)

    desk.feed(wish)

    decision, order = desk.decisions[-1], desk.orders[-1]
    assert decision.correlation_id == order.correlation_id == wish.correlation_id
    assert decision.signal_id == order.signal_id == wish.signal_id
    assert decision.order_id == order.order_id == order.event_id
    assert (decision.stop_loss_price, order.stop_loss_price) == (Decimal("98.04"), None)
    assert decision.sizing == {"position": 100, "entry_price": decision.sizing["entry_price"],
                               "mark_price": 100}  # fmt: skip
    assert order.risk_checks == dict.fromkeys(order.risk_checks, LayerVerdict.PASS)


def test_risk_s_own_exit_is_linked_to_its_decision() -> None:
    desk = Desk()
    desk.enter(100)

    desk.trade("97.9")

    decision, order = desk.decisions[-1], desk.orders[-1]
    assert decision.origin is order.origin is Origin.STOP_LOSS
    assert decision.correlation_id == order.correlation_id == decision.decision_id
    assert decision.signal_id is order.signal_id is None
    assert (decision.stop_loss_price, decision.price) == (Decimal("98.04"), Decimal("97.9"))


def test_an_exit_keeps_its_terms() -> None:
    desk = Desk()
    desk.enter(100)
    desk.feed(
        builders.exit_signal(
            at=desk.now,
            order_type=OrderType.STOP_LIMIT,
            trigger_price=Decimal("98.5"),
            limit_price=Decimal("98.4"),
            time_in_force=TimeInForce.IOC,
        )
    )

    order = desk.orders[-1]
    assert (order.order_type, order.trigger_price) == (OrderType.STOP_LIMIT, Decimal("98.5"))
    assert (order.price, order.time_in_force) == (Decimal("98.4"), TimeInForce.IOC)


def test_a_passive_exit_stays_passive() -> None:
    desk = Desk()
    desk.enter(100)

    desk.feed(
        builders.exit_signal(
            at=desk.now, order_type=OrderType.LIMIT, limit_price=Decimal(101), post_only=True
        )
    )

    order = desk.orders[-1]
    assert (order.order_type, order.price, order.post_only) == (OrderType.LIMIT, 101, True)
    assert order.reduce_only


def test_the_layers_of_an_exit_say_what_they_would_have_said() -> None:
    desk = Desk()
    desk.enter(100)
    desk.feed(builders.condition(at=desk.now))
    desk.feed(builders.condition(ConditionName.DATA_GAP, symbol=ETH, at=desk.now))
    desk.feed(builders.halt(at=desk.now))
    desk.wait(2)

    desk.exit_signal(100)

    layers = desk.decisions[-1].layers
    assert desk.decisions[-1].trading_state is TradingState.HALTED
    details = [layer.detail.removeprefix("exits pass every layer; ") for layer in layers]
    assert "account HALTED" in details[0]
    assert details[2] == "DATABASE_AWAY: not reachable"
    assert "stop at 98" in details[5]
    for number in (1, 4, 5, 7):
        layer = layers[number - 1]
        assert layer.limit is not None
        assert layer.value is not None
        assert layer.headroom == layer.limit - layer.value
    assert layers[2].value == 2
    assert layers[3].value == 0


def test_a_short_s_exit_is_reckoned_with_its_own_side() -> None:
    desk = Desk({"MAX_CORRELATED_EXPOSURE_PCT": "0.05"}, symbols=(BTC, ETH))
    moves.walk(desk, BTC, ETH)
    desk.enter(100, symbol=BTC, quantity=20)
    desk.enter(100, Side.SELL, ETH, quantity=20)

    sold, bought = desk.exit_signal(100, symbol=BTC), desk.exit_signal(100, Side.BUY, ETH)

    # What moves alike: selling BTC is the same bet as the short in ETH, and so is buying ETH.
    assert "BTC_USDT" in bought.layers[3].detail
    assert "ETH_USDT" in sold.layers[3].detail


def test_an_exit_during_an_unconfirmed_jump_says_so() -> None:
    desk = Desk()
    desk.enter(100)
    desk.trade(110)
    desk.feed(builders.resume(BTC, at=desk.now))  # what is left is the jump itself

    layer = desk.exit_signal(110).layers[1]

    assert (layer.verdict, layer.value) == (LayerVerdict.PASS, Decimal("0.1"))
    assert "waits for the next trade" in layer.detail


def test_an_exit_says_what_its_own_symbol_is_in_doubt_of_and_rests_for() -> None:
    desk = Desk()
    desk.enter(100)
    desk.feed(builders.condition(ConditionName.DATA_GAP, symbol=BTC, at=desk.now))
    desk.risk.state.streaks[BTC] = LossStreak(losses=4, until=desk.now + 9_000)

    layers = desk.exit_signal(100).layers

    assert "DATA_GAP: not reachable" in layers[2].detail
    assert (layers[6].value, layers[6].unit) == (4, "losses")
    assert "rests for 9 s" in layers[6].detail


def test_a_part_of_an_inverse_position_is_left_at_its_face_value() -> None:
    contract = generic_instrument("XBT_USD", Decimal("0.5"), inverse=True)
    position = builders.opening_position("XBT_USD", 10_000, 10_000, inverse=True)
    desk = Desk(contracts=[contract], opening=builders.account(positions=[position]))
    desk.trade(10_000, "XBT_USD")

    decision = desk.exit_signal(10_000, symbol="XBT_USD", quantity="4000.7")

    assert decision.quantity == 4_000
    assert [decision.layers[n].value for n in (3, 4)] == [Decimal("0.06")] * 2


def test_the_limit_of_an_exit_is_on_a_tick_and_never_worse_than_asked() -> None:
    desk = Desk(contracts=[builders.instrument(BTC, tick_size=Decimal("0.5"))])
    desk.enter(100)

    desk.exit_signal(100, order_type=OrderType.LIMIT, limit_price="101.3")

    assert desk.orders[-1].price == Decimal("101.5")


@pytest.mark.parametrize(
    ("asked", "ordered"), [("0.0025", "0.0025"), ("0.003", "0.0025"), ("0.0024", "0.002")]
)
def test_what_is_less_than_a_lot_is_closed_with_the_rest_only(asked: str, ordered: str) -> None:
    position = builders.opening_position(BTC, "0.0025", 100)
    desk = Desk(opening=builders.account(positions=[position]))
    desk.trade(100)

    assert desk.exit_signal(100, quantity=asked).quantity == Decimal(ordered)


def test_a_refused_exit_keeps_its_price_and_alerts_about_its_symbol() -> None:
    desk = Desk()
    desk.enter(100)

    refused = desk.exit_signal(99, quantity="NaN")

    assert (refused.reason, refused.price) == (Reason.INVALID_SIGNAL, 99)
    (alert,) = desk.alerts_of("INVALID_SIGNAL")
    assert alert.symbol == BTC
    nothing = desk.exit_signal(99, Side.BUY)
    assert nothing.layers[0].detail == "no open position to reduce"


def test_fresh_data_is_layer_3() -> None:
    desk = Desk()
    desk.trade(100)
    desk.wait(61)
    desk.trade(100)

    assert [(c.state, c.layer, c.reason) for c in desk.states] == [
        (TradingState.REDUCE_ONLY, 3, Reason.DATA_STALE),
        (TradingState.ACTIVE, 3, Reason.DATA_FRESH),
    ]
    assert desk.risk.state.symbol_health(BTC).stale is False


def test_a_forced_exit_alerts_with_its_origin_its_price_and_where_that_is_from() -> None:
    desk = Desk()
    desk.enter(100)
    desk.feed(builders.mark(BTC, "97.5", desk.now))

    (alert,) = desk.alerts_of("RISK_LIMIT")

    assert alert.context == {"origin": "stop_loss"}
    assert alert.message == f"{BTC}: stop reached at mark price 97.5, stop 98.04"


def test_silence_begins_after_the_timeout_and_not_at_it() -> None:
    desk = Desk()
    desk.trade(100)
    desk.wait(60)
    assert desk.states == []

    desk.now += 1
    desk.feed(builders.clock(desk.now))

    assert [change.reason for change in desk.states] == [Reason.DATA_STALE]


@pytest.mark.parametrize("post_only", [True, False])
def test_an_entry_keeps_its_terms(post_only: bool) -> None:
    desk = Desk()
    desk.trade(100)
    wish = builders.signal(
        at=desk.now,
        order_type=OrderType.LIMIT,
        limit_price=Decimal("99.5"),
        time_in_force=TimeInForce.GTC if post_only else TimeInForce.IOC,
        post_only=post_only,
    )

    desk.feed(wish)

    order = desk.orders[-1]
    assert (order.order_type, order.price) == (OrderType.LIMIT, Decimal("99.5"))
    assert (order.time_in_force, order.post_only) == (wish.time_in_force, post_only)


def test_an_entry_leaves_the_hour_when_it_is_an_hour_old() -> None:
    desk = Desk({"MAX_TRADES_PER_HOUR": "1"})
    desk.trade(100)
    desk.signal(100, quantity=1)
    first = desk.now
    desk.now += 3_600_000 - 1000
    desk.wait(0)
    desk.feed(builders.clock(desk.now))
    desk.trade(100)
    assert desk.signal(100, quantity=1).reason == Reason.TRADE_FREQUENCY

    desk.wait(1)
    desk.trade(100)

    assert desk.now == first + 3_600_000
    assert desk.signal(100, quantity=1).reason is None
    assert desk.risk.state.entry_times == [desk.now]
