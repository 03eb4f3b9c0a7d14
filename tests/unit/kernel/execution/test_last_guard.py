"""Execution's last guard: what it demands of an order, whatever risk may have done."""

import pytest

from services.kernel.events import (
    AlertPhase,
    ConditionName,
    Order,
    Side,
    TradingState,
)
from services.kernel.reasons import Reason
from tests import builders
from tests.builders import BTC, ETH, NOON, Number
from tests.unit.kernel.portfolio.broker import CANCELLED, FILLED, REJECTED, Broker, status_of

pytestmark = [pytest.mark.unit, pytest.mark.risk]


def test_an_approved_order_is_accepted_silently_and_filled_by_the_next_tick() -> None:
    broker = Broker()
    broker.trade(100)

    assert broker.submit(builders.order(quantity=10)) == []
    (result,) = broker.trade(100, after_ms=50)

    assert (result.status, result.filled_quantity, result.liquidity) == (FILLED, 10, "taker")
    assert broker.alerts == []


@pytest.mark.parametrize("reduce_only", [False, True])
def test_an_order_without_approval_is_refused_on_the_record_exits_too(reduce_only: bool) -> None:
    broker = Broker().holds(5)

    results = broker.submit(builders.order(side=Side.SELL, reduce_only=reduce_only), approved=False)

    assert status_of(results) == [(REJECTED, Reason.NOT_APPROVED)]
    assert [alert.code for alert in broker.alerts] == ["ORDER_REFUSED"]


def test_an_order_from_outside_is_refused_whatever_it_claims() -> None:
    broker = Broker()
    genuine = builders.order(order_id="genuine")
    forged = builders.order(order_id="genuine", external=True)
    unsigned = builders.order(approved_by=None)

    broker.feed(builders.decision(genuine))

    assert status_of(broker.feed(forged)) == [(REJECTED, Reason.NOT_APPROVED)]
    assert status_of(broker.submit(unsigned)) == [(REJECTED, Reason.NOT_APPROVED)]


def test_an_order_posted_by_hand_cannot_use_up_the_approval_of_another() -> None:
    broker = Broker()
    genuine = builders.order(order_id="genuine")
    broker.feed(builders.decision(genuine))

    broker.feed(builders.order(order_id="genuine", external=True, approved_by=None))

    assert broker.feed(genuine) == []
    assert list(broker.stage.state.open) == ["genuine"]


def test_an_order_is_accepted_once_and_its_twin_does_not_end_it() -> None:
    broker = Broker()
    broker.trade(100)
    order = builders.order(quantity=10)
    broker.submit(order)

    assert status_of(broker.submit(order)) == [(REJECTED, Reason.DUPLICATE_ORDER)]
    assert status_of(broker.trade(100, after_ms=50)) == [(FILLED, None)]
    assert status_of(broker.submit(order)) == [(REJECTED, Reason.DUPLICATE_ORDER)]


@pytest.mark.parametrize(
    ("order", "approved"),
    [
        (builders.order(quantity=2), 1),
        (builders.order(quantity="1.001"), 1),
        (builders.order(quantity=0), 1),
        (builders.order(quantity=-1), 1),
    ],
)
def test_an_order_may_not_be_larger_than_approved(order: Order, approved: int) -> None:
    assert status_of(Broker().submit(order, approved=approved)) == [
        (REJECTED, Reason.LARGER_THAN_APPROVED)
    ]


@pytest.mark.parametrize("field", ["symbol", "side", "reduce_only"])
def test_an_approval_is_for_this_order_and_no_other(field: str) -> None:
    others = {"symbol": ETH, "side": Side.SELL, "reduce_only": True}
    approved = builders.order(order_id="order")
    changed = builders.order(order_id="order", **{field: others[field]})
    broker = Broker().holds(5)
    broker.feed(builders.decision(approved))

    assert status_of(broker.feed(changed)) == [(REJECTED, Reason.LARGER_THAN_APPROVED)]


def test_a_rejected_decision_approves_nothing() -> None:
    broker = Broker()
    order = builders.order()
    rejected = builders.decision(order, verdict=builders.Verdict.REJECTED, reason="HALTED")
    broker.feed(rejected)

    assert status_of(broker.feed(order)) == [(REJECTED, Reason.NOT_APPROVED)]


def test_an_order_smaller_than_approved_is_accepted() -> None:
    broker = Broker()

    assert broker.submit(builders.order(quantity=1), approved=2) == []


@pytest.mark.parametrize(
    ("held", "side", "quantity", "refused"),
    [
        (0, Side.BUY, 110, False),  # 11,000 is 1.1 x 10 % of 100,000
        (0, Side.BUY, "110.001", True),
        (60, Side.BUY, 50, False),
        (60, Side.BUY, "50.001", True),
        (-60, Side.BUY, 170, False),
        (-60, Side.BUY, "170.001", True),
        (60, Side.SELL, 170, False),
    ],
)
def test_an_entry_above_the_guard_s_limit_is_refused(
    held: int, side: Side, quantity: Number, refused: bool
) -> None:
    broker = Broker().holds(held) if held else Broker()

    results = broker.submit(builders.order(BTC, side, quantity))

    assert status_of(results) == ([(REJECTED, Reason.ABOVE_POSITION_GUARD)] if refused else [])


def test_the_guard_counts_entries_that_are_open_already() -> None:
    broker = Broker()
    broker.submit(builders.order(quantity=100))

    results = broker.submit(builders.order(quantity=100))

    assert status_of(results) == [(REJECTED, Reason.ABOVE_POSITION_GUARD)]
    assert broker.submit(builders.order(ETH, quantity=100)) == []


def test_the_guard_reckons_with_the_market_where_an_order_s_price_is_lower() -> None:
    broker = Broker()
    broker.trade(200)

    results = broker.submit(builders.order(quantity=100, price=100))

    assert status_of(results) == [(REJECTED, Reason.ABOVE_POSITION_GUARD)]


def test_the_guard_looks_again_when_it_fills() -> None:
    broker = Broker({"MAX_SLIPPAGE_PCT": "0.05"})
    broker.trade(100)
    broker.submit(builders.order(quantity=110))

    results = broker.trade("100.5", after_ms=50)

    assert status_of(results) == [(REJECTED, Reason.ABOVE_POSITION_GUARD)]
    assert broker.stage.portfolio.quantity(BTC) == 0


def test_fills_that_are_not_read_back_yet_count_in_the_position() -> None:
    broker = Broker()
    broker.trade(100)
    broker.submit(builders.order(quantity=100))
    broker.stage.handle(builders.trade(BTC, 100, NOON + 50, 1000))  # its result is on its way

    results = broker.submit(builders.order(quantity=100))
    exits = broker.submit(builders.order(side=Side.SELL, quantity=100, reduce_only=True))

    assert status_of(results) == [(REJECTED, Reason.ABOVE_POSITION_GUARD)]
    assert exits == []


def test_a_fill_read_back_is_counted_once() -> None:
    broker = Broker()
    broker.trade(100)
    broker.submit(builders.order(quantity=100))

    broker.trade(100, after_ms=50)

    assert broker.stage.portfolio.quantity(BTC) == 100
    assert broker.stage.state.unconfirmed == {}


@pytest.mark.parametrize(
    ("state", "symbol", "reason"),
    [
        (TradingState.HALTED, None, Reason.HALTED),
        (TradingState.PAUSED, None, Reason.PAUSED),
        (TradingState.PAUSED, BTC, Reason.PAUSED),
        (TradingState.REDUCE_ONLY, BTC, Reason.DATA_STALE),
        (TradingState.HALTED, BTC, Reason.QUARANTINED),
    ],
)
def test_no_entry_is_accepted_or_stays_open_where_trading_is_not_active(
    state: TradingState, symbol: str | None, reason: Reason
) -> None:
    broker = Broker().holds(5)
    broker.submit(builders.order(side=Side.SELL, quantity=5, reduce_only=True, order_id="exit"))
    broker.submit(builders.order())

    cancelled = broker.feed(builders.trading_state(state, symbol=symbol))
    refused = broker.submit(builders.order())
    exit_again = broker.submit(builders.order(side=Side.SELL, quantity=1, reduce_only=True))

    assert status_of(cancelled) == [(CANCELLED, reason)]
    assert status_of(refused) == [(REJECTED, reason)]
    assert exit_again == []
    assert "exit" in broker.stage.state.open


def test_another_symbol_s_state_does_not_matter() -> None:
    broker = Broker()
    broker.submit(builders.order())

    assert broker.feed(builders.trading_state(TradingState.REDUCE_ONLY, symbol=ETH)) == []
    assert broker.submit(builders.order(quantity=1)) == []


def test_a_condition_cancels_and_refuses_entries_until_it_clears() -> None:
    broker = Broker()
    broker.submit(builders.order())

    cancelled = broker.feed(builders.condition())
    refused = broker.submit(builders.order())
    broker.feed(builders.condition(phase=builders.ConditionPhase.CLEARED))

    assert status_of(cancelled) == [(CANCELLED, Reason.CONDITION_OPEN)]
    assert status_of(refused) == [(REJECTED, Reason.CONDITION_OPEN)]
    assert broker.submit(builders.order()) == []


def test_conditions_that_are_no_doubt_are_ignored() -> None:
    broker = Broker()
    broker.submit(builders.order())

    assert broker.feed(builders.condition(ConditionName.SOURCE_ENDED)) == []
    assert broker.stage.state.conditions == {}


def test_an_entry_in_an_unknown_contract_is_refused() -> None:
    assert status_of(Broker().submit(builders.order("XYZ_USDT"))) == [
        (REJECTED, Reason.NO_MARKET_DATA)
    ]


def test_an_exit_with_nothing_to_reduce_is_refused_without_an_alert() -> None:
    broker = Broker()

    flat = broker.submit(builders.order(side=Side.SELL, reduce_only=True))
    broker.holds(5)
    wrong_side = broker.submit(builders.order(side=Side.BUY, reduce_only=True))

    assert status_of(flat + wrong_side) == [(REJECTED, Reason.NOTHING_TO_REDUCE)] * 2
    assert broker.alerts == []


def test_an_accepted_order_ends_the_alert_about_refused_ones() -> None:
    broker = Broker()
    broker.submit(builders.order(), approved=False)

    broker.submit(builders.order())

    assert [alert.phase for alert in broker.alerts] == [AlertPhase.BEGAN, AlertPhase.CLEARED]


def test_ids_long_gone_are_forgotten_but_their_approval_is_too() -> None:
    broker = Broker()
    order = builders.order(order_id="old")
    broker.submit(order, approved=False)
    state = broker.stage.state
    for number in range(1000):
        state.see(f"order {number}")

    assert len(state.seen) == 1000
    assert status_of(broker.feed(order)) == [(REJECTED, Reason.NOT_APPROVED)]
