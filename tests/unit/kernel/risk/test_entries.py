"""From an entry signal to risk's decision and its order."""

from decimal import Decimal

import pytest

from services.kernel.events import (
    AlertPhase,
    LayerVerdict,
    OrderStatus,
    Origin,
    Side,
    Verdict,
)
from services.kernel.reasons import Reason
from services.kernel.risk.stage import RiskStage
from tests import builders
from tests.builders import BTC, ETH, HOUR_MS, NOON, SOL, THE
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]


@pytest.mark.parametrize("side", list(Side))
def test_the_defaults_trade(side: Side) -> None:
    desk = Desk()
    desk.trade(100)

    decision = desk.signal(100, side)
    desk.wait(1)
    desk.trade(100)

    assert (decision.verdict, decision.reason, decision.binding_limit) == (
        *(Verdict.APPROVED, None, None),
    )
    assert desk.results[-1].status is OrderStatus.FILLED
    assert desk.position() == 100 * side.sign


@pytest.mark.parametrize("price", ["0.00001234", "1", "97.31", "64321.9"])
@pytest.mark.parametrize("lot", ["0.00000001", "0.0001", "1"])
def test_the_defaults_trade_at_any_price_and_lot(price: str, lot: str) -> None:
    contract = builders.instrument(tick_size=Decimal("0.00000001"), lot_size=Decimal(lot))
    desk = Desk(contracts=[contract])
    desk.trade(price, volume=1_000_000 / Decimal(price))

    decision = desk.signal(price)

    if Decimal(price) * Decimal(lot) < 10_000:
        assert decision.verdict is Verdict.APPROVED
        assert 0 < decision.quantity * Decimal(price) <= 10_000
    else:
        assert decision.verdict is Verdict.REJECTED  # one lot is more than all limits
        assert decision.layers[3].verdict is LayerVerdict.FAIL


def test_a_decision_can_be_checked_with_a_pocket_calculator() -> None:
    desk = Desk()
    desk.trade(100)

    decision = desk.signal(100)

    sizing = decision.sizing
    by_hand = sizing["equity"] * sizing["risk_pct"] / (sizing["price"] * sizing["stop_pct"])
    assert decision.requested_quantity == by_hand == 100
    assert decision.stop_loss_price == 98
    assert (decision.leverage, decision.equity) == (3, 100_000)
    assert [layer.layer for layer in decision.layers] == [1, 2, 3, 4, 5, 6, 7]


def test_the_order_carries_what_was_decided() -> None:
    desk = Desk()
    desk.trade(100)

    decision = desk.signal(100, Side.SELL)

    (order,) = desk.orders
    assert (order.order_id, order.signal_id) == (decision.order_id, decision.signal_id)
    assert (order.quantity, order.side, order.price) == (decision.quantity, Side.SELL, 100)
    assert (order.stop_loss_price, order.reduce_only) == (Decimal(102), False)
    assert (order.origin, order.approved_by) == (Origin.SIGNAL, "cdb_risk")
    assert len(order.risk_checks) == 7
    assert LayerVerdict.FAIL not in order.risk_checks.values()


@pytest.mark.parametrize(
    ("side", "tick", "stop"),
    [
        (Side.BUY, "0.5", "98.5"),  # 98.098 up: never more than 2 % away
        (Side.SELL, "0.5", "102"),  # 102.102 down
        (Side.BUY, "0.01", "98.10"),
        (Side.SELL, "0.01", "102.10"),
    ],
)
def test_the_stop_is_on_a_tick_and_never_further_away_than_allowed(
    side: Side, tick: str, stop: str
) -> None:
    desk = Desk(contracts=[builders.instrument(tick_size=Decimal(tick))])
    desk.trade("100.1")

    assert desk.signal("100.1", side).stop_loss_price == Decimal(stop)


def test_a_tick_too_coarse_for_any_stop_refuses_the_entry() -> None:
    desk = Desk(contracts=[builders.instrument(tick_size=Decimal(5))])
    desk.trade(100)

    assert desk.signal(100).reason == Reason.STOP_LOSS_INVALID


def test_a_position_is_filled_up_to_its_limit_and_the_limit_named() -> None:
    desk = Desk({"SIM_HALF_SPREAD_PCT": "0", "SIM_IMPACT_PCT": "0"})
    desk.enter(100, quantity=60)

    decision = desk.signal(100)

    assert decision.verdict is Verdict.TRIMMED
    assert decision.binding_limit == "5 position"
    equity = desk.equity
    assert (60 + decision.quantity) * 100 <= equity / 10 < (60 + decision.quantity) * 100 + 1
    assert decision.layers[4].verdict is LayerVerdict.PASS


def test_a_full_position_takes_nothing_more() -> None:
    desk = Desk()
    desk.enter(100)

    decision = desk.signal(100)

    assert (decision.verdict, decision.reason) == (Verdict.REJECTED, Reason.POSITION_LIMIT)
    assert (decision.quantity, decision.order_id) == (0, None)
    assert decision.layers[4].verdict is LayerVerdict.FAIL


def test_exposure_is_shared_by_all_symbols() -> None:
    desk = Desk({"MAX_TOTAL_EXPOSURE_PCT": "0.25"}, symbols=[BTC, ETH, SOL, THE])
    desk.enter(100, symbol=BTC)
    desk.enter(100, Side.SELL, ETH)
    desk.trade(100, SOL)
    desk.trade(100, THE)

    trimmed = desk.signal(100, symbol=SOL)
    rejected = desk.signal(100, symbol=THE)

    assert (trimmed.verdict, trimmed.binding_limit) == (Verdict.TRIMMED, "4 total_exposure")
    assert trimmed.quantity == pytest.approx(Decimal(50), abs=Decimal(1))
    assert (rejected.verdict, rejected.reason) == (Verdict.REJECTED, Reason.EXPOSURE_LIMIT)


def test_an_order_that_is_not_filled_yet_counts_as_filled() -> None:
    desk = Desk()
    desk.trade(100)

    first, second = desk.signal(100, quantity=70), desk.signal(100)

    assert (first.verdict, first.quantity) == (Verdict.APPROVED, 70)
    assert (second.verdict, second.quantity) == (Verdict.TRIMMED, 30)
    assert desk.signal(100).reason == Reason.POSITION_LIMIT


def test_an_order_in_a_symbol_that_only_quotes_counts_at_its_own_price() -> None:
    desk = Desk({"MAX_TOTAL_EXPOSURE_PCT": "0.10"}, symbols=[BTC, ETH])
    desk.feed(builders.trade(ETH, 50, desk.now, 2000, backfill=True))
    desk.quote("49.99", "50.01", ETH)
    desk.signal(50, symbol=ETH, quantity=150)
    desk.trade(100, BTC)

    decision = desk.signal(100)

    assert (decision.verdict, decision.quantity) == (Verdict.TRIMMED, 25)


def test_a_part_that_was_filled_is_no_longer_pending() -> None:
    desk = Desk({"SIM_LATENCY_MS": "10000"})
    desk.trade(100)
    order_id = desk.signal(100).order_id

    desk.feed(
        builders.result(
            BTC,
            Side.BUY,
            30,
            100,
            desk.now,
            order_id=order_id,
            stop=98,
            status=OrderStatus.PARTIALLY_FILLED,
        )
    )

    assert desk.risk.state.pending[order_id or ""].quantity == 70
    assert desk.signal(100).reason == Reason.POSITION_LIMIT


def test_what_was_cancelled_or_refused_counts_no_more() -> None:
    desk = Desk({"ORDER_EXPIRY_SEC": "5"})
    desk.trade(100)
    desk.signal(100)
    assert desk.signal(100).verdict is Verdict.REJECTED

    desk.wait(6)

    assert desk.results[-1].reason == Reason.EXPIRED
    assert desk.signal(100).verdict is Verdict.APPROVED
    assert len(desk.risk.state.pending) == 1


def test_an_opposite_entry_nets() -> None:
    desk = Desk()
    desk.enter(100, quantity=40)

    desk.enter(100, Side.SELL)

    assert -60 <= desk.position() < Decimal("-59.9")
    assert desk.portfolio.portfolio.state.positions[BTC].stop_loss_price == Decimal("101.96")


def test_an_exit_on_its_way_leaves_an_opposite_entry_nothing_to_net_with() -> None:
    # The exit fills first: a short of what was long plus the limit would be twice too large.
    desk = Desk()
    desk.enter(100)
    desk.exit_signal(100)

    decision = desk.signal(100, Side.SELL, quantity=200)
    desk.wait(1)
    desk.trade(100)
    desk.trade(100)

    assert decision.quantity <= 100
    assert -100 <= desk.position() < 0


def test_pending_exits_of_another_symbol_do_not_hide_its_pending_entries() -> None:
    desk = Desk({"MAX_TOTAL_EXPOSURE_PCT": "0.10"}, symbols=[BTC, ETH])
    desk.enter(100, quantity=10)
    desk.exit_signal(100)
    desk.signal(100, Side.SELL, quantity=90)  # with the exit: a short of 90 is on its way
    desk.trade(100, ETH)

    decision = desk.signal(100, symbol=ETH)

    assert decision.reason in (Reason.EXPOSURE_LIMIT, None)
    assert decision.quantity <= 10


def test_what_is_below_the_minimum_is_refused() -> None:
    desk = Desk({"MIN_NOTIONAL": "500"})
    desk.trade(100)

    decision = desk.signal(100, quantity="4.999")

    assert (decision.verdict, decision.reason) == (Verdict.REJECTED, Reason.BELOW_MINIMUM)
    assert desk.signal(100, quantity="5").verdict is Verdict.APPROVED


@pytest.mark.parametrize("price", ["NaN", "Infinity", "0", "-1", "1E+40", "1E-40"])
def test_a_price_that_cannot_be_traded_is_refused_on_the_record(price: str) -> None:
    desk = Desk()
    desk.trade(100)

    decision = desk.signal(price)

    assert (decision.verdict, decision.reason) == (Verdict.REJECTED, Reason.INVALID_SIGNAL)
    assert len(decision.layers) == 7
    assert [alert.code for alert in desk.alerts] == ["INVALID_SIGNAL"]
    assert desk.orders == []


@pytest.mark.parametrize("quantity", ["NaN", "0", "-1", "-Infinity"])
def test_a_quantity_that_cannot_be_traded_is_refused_too(quantity: str) -> None:
    desk = Desk()
    desk.trade(100)

    assert desk.signal(100, quantity=quantity).reason == Reason.INVALID_SIGNAL


def test_an_absurd_quantity_is_only_trimmed_to_what_risk_allows() -> None:
    desk = Desk()
    desk.trade(100)

    assert desk.signal(100, quantity="999E+20").quantity == 100


def test_a_valid_signal_ends_the_alert_about_an_invalid_one() -> None:
    desk = Desk()
    desk.trade(100)
    desk.signal(0)

    desk.signal(100)

    phases = [alert.phase for alert in desk.alerts_of("INVALID_SIGNAL")]
    assert phases == [AlertPhase.BEGAN, AlertPhase.CLEARED]


def test_a_symbol_without_data_or_contract_is_not_traded() -> None:
    desk = Desk()

    assert desk.signal(100).reason == Reason.NO_MARKET_DATA
    desk.trade(5, "XYZ_USDT")
    assert desk.signal(5, symbol="XYZ_USDT").reason == Reason.NO_MARKET_DATA
    assert desk.signal(5, symbol="ABC_USDT").reason == Reason.NO_MARKET_DATA


@pytest.mark.parametrize("fair", ["99", "100.5", "101.5"])
@pytest.mark.parametrize("side", list(Side))
def test_a_mark_price_beside_the_last_price_does_not_stop_trading(side: Side, fair: str) -> None:
    desk = Desk()
    desk.trade(100)
    desk.feed(builders.mark(BTC, fair, desk.now))

    decision = desk.signal(100, side)

    assert decision.verdict is not Verdict.REJECTED, decision.reason
    assert decision.sizing["price"] == max(Decimal(fair), 100)


def test_a_mark_price_beyond_the_stop_would_close_the_position_at_once_so_none_is_opened() -> None:
    desk = Desk()
    desk.trade(100)
    desk.feed(builders.mark(BTC, 97, desk.now))

    assert desk.signal(100).reason == Reason.STOP_LOSS_INVALID


def test_entries_within_an_hour_are_limited() -> None:
    desk = Desk({"MAX_TRADES_PER_HOUR": "2"})
    desk.trade(100)
    desk.signal(100, quantity=1)
    desk.wait(60)
    desk.trade(100)
    desk.signal(100, quantity=1)

    assert desk.signal(100, quantity=1).reason == Reason.TRADE_FREQUENCY
    desk.wait(3539, step=1)
    desk.trade(100)
    assert desk.signal(100, quantity=1).reason == Reason.TRADE_FREQUENCY
    desk.wait(1)
    desk.trade(100)
    assert desk.signal(100, quantity=1).verdict is Verdict.APPROVED


def test_refused_signals_and_exits_do_not_count_as_entries() -> None:
    desk = Desk({"MAX_TRADES_PER_HOUR": "2"})
    desk.enter(100)
    desk.signal(100)
    desk.exit_signal(100, quantity=10)
    desk.exit_signal(100, quantity=10)

    assert desk.risk.state.entries_within_the_hour() == 1


def test_a_signal_that_waited_too_long_is_too_old() -> None:
    desk = Desk()
    desk.trade(100)
    old = builders.signal(at=desk.now)
    desk.wait(6)

    desk.feed(old)

    assert desk.decisions[-1].reason == Reason.SIGNAL_TOO_OLD
    assert desk.decisions[-1].layers[2].value == 6


def test_every_signal_gets_exactly_one_decision() -> None:
    desk = Desk()
    desk.trade(100)
    for price in (100, 0, 100, 100):
        desk.signal(price)
    desk.exit_signal(100)

    assert len({decision.signal_id for decision in desk.decisions}) == 5
    assert len(desk.decisions) == 5


def test_before_a_run_has_started_nothing_is_decided() -> None:
    stage = RiskStage()

    assert stage.handle(builders.trade()) == []
    assert stage.handle(builders.signal()) == []
    assert stage.handle(builders.clock(NOON + HOUR_MS)) == []
