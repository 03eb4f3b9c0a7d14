"""Bad input and bad days: refused with the reason, recorded, alerted where it matters."""

from decimal import Decimal

import pytest

from services.kernel.events import (
    AlertLevel,
    ConditionName,
    ConditionPhase,
    Origin,
    RiskDecision,
    Side,
    TradingState,
    Verdict,
)
from services.kernel.reasons import Reason
from tests import builders
from tests.builders import BTC, DAY_MS, HOUR_MS, MIDNIGHT, THE
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]

BIG = {"MAX_SLIPPAGE_PCT": "0.05", "SIM_IMPACT_PCT": "0"}


def decided(desk: Desk, **signal: object) -> RiskDecision:
    desk.feed(builders.signal(**{"at": desk.now, **signal}))  # type: ignore[arg-type]
    return desk.decisions[-1]


def restart(desk: Desk) -> None:
    """All stages crash and come back from their snapshots."""
    for stage in desk.stages:
        stage.restore(stage.snapshot())


def test_a_signal_for_an_unknown_symbol_is_refused() -> None:
    desk = Desk()

    decision = decided(desk, symbol=THE)

    assert decision.reason == Reason.NO_MARKET_DATA
    assert decision.layers[2].detail == "no live tick of this symbol yet"
    assert desk.orders == []


def test_a_symbol_with_prices_and_without_a_contract_is_refused() -> None:
    desk = Desk()
    desk.trade(100, THE)

    decision = decided(desk, symbol=THE)

    assert decision.reason == Reason.NO_MARKET_DATA
    assert decision.layers[2].detail == "no contract details of this symbol"


@pytest.mark.parametrize("price", ["0", "-1", "NaN", "Infinity", "1E-20", "1E+20"])
@pytest.mark.parametrize("side", Side)
def test_a_price_that_cannot_be_is_refused_with_an_alert(price: str, side: Side) -> None:
    desk = Desk()
    desk.trade(100)

    decision = decided(desk, direction=side, price=price)

    assert decision.reason == Reason.INVALID_SIGNAL
    assert f"price {price} cannot be traded" in decision.layers[0].detail
    assert [alert.level for alert in desk.alerts_of("INVALID_SIGNAL")] == [AlertLevel.WARNING]


@pytest.mark.parametrize("quantity", ["0", "-3", "NaN", "Infinity"])
def test_a_quantity_that_cannot_be_is_refused_with_an_alert(quantity: str) -> None:
    desk = Desk()
    desk.trade(100)

    assert decided(desk, quantity=quantity).reason == Reason.INVALID_SIGNAL
    assert len(desk.alerts_of("INVALID_SIGNAL")) == 1


def test_999_btc_are_trimmed_to_what_is_allowed() -> None:
    desk = Desk()
    desk.trade(100_000)

    decision = decided(desk, price=100_000, quantity=999)

    assert decision.quantity * 100_000 <= Decimal("0.10") * decision.equity
    assert decision.requested_quantity < 999


def test_999_btc_by_hand_are_refused_with_an_alert() -> None:
    desk = Desk()
    desk.trade(100_000)

    desk.feed(builders.order(BTC, Side.BUY, 999, 100_000, desk.now, external=True))
    desk.wait(1)
    desk.trade(100_000)

    assert [(r.reason, r.filled_quantity) for r in desk.results] == [(Reason.NOT_APPROVED, 0)]
    assert len(desk.alerts_of("ORDER_REFUSED")) == 1
    assert desk.position() == 0


@pytest.mark.parametrize(
    ("ahead_ms", "reason"),
    [(5_000, None), (5_001, Reason.SIGNAL_FROM_FUTURE), (DAY_MS, Reason.SIGNAL_FROM_FUTURE)],
)  # fmt: skip
def test_a_signal_from_the_future_is_refused(ahead_ms: int, reason: str | None) -> None:
    desk = Desk()
    desk.trade(100)

    decision = decided(desk, at=desk.now + ahead_ms)

    assert decision.reason == reason
    if reason is not None:
        layer = decision.layers[2]
        assert (layer.value, layer.limit, layer.unit) == (Decimal(ahead_ms) / 1000, 5, "seconds")


@pytest.mark.parametrize("ago_ms", [5_001, HOUR_MS, DAY_MS])
def test_a_signal_long_past_is_refused(ago_ms: int) -> None:
    desk = Desk()
    desk.trade(100)

    assert decided(desk, at=desk.now - ago_ms).reason == Reason.SIGNAL_TOO_OLD


@pytest.mark.parametrize("shift_ms", [-DAY_MS, DAY_MS])
def test_an_exit_of_any_date_passes(shift_ms: int) -> None:
    desk = Desk()
    desk.enter(100)

    decision = decided(desk, direction=Side.SELL, reduce_only=True, at=desk.now + shift_ms)

    assert decision.verdict is Verdict.APPROVED


def test_a_crash_after_a_partial_fill_neither_loses_nor_doubles_it() -> None:
    desk = Desk(BIG)
    desk.trade(100)
    desk.signal(100, quantity=10)
    desk.wait(1)
    desk.feed(builders.depth(BTC, [("99.9", 50)], [("100", 4)], desk.now))
    assert desk.position() == 4

    restart(desk)

    assert desk.position() == 4
    assert sum(order.quantity for order in desk.risk.state.pending.values()) == 6
    desk.wait(1)
    desk.feed(builders.depth(BTC, [("99.9", 50)], [("100", 50)], desk.now))
    assert desk.position() == 10
    assert desk.risk.state.pending == {}
    desk.trade("97.9")
    desk.wait(1)
    desk.trade("97.9")
    assert desk.orders[-1].origin is Origin.STOP_LOSS
    assert desk.position() == 0


def test_a_stop_during_a_halt_is_filled_also_after_a_crash() -> None:
    desk = Desk()
    desk.enter(100)
    desk.feed(builders.halt(at=desk.now))
    desk.trade("97.9")
    restart(desk)

    desk.wait(1)
    desk.trade("97.9")

    assert desk.risk.state.account is TradingState.HALTED
    assert desk.orders[-1].origin is Origin.STOP_LOSS
    assert desk.position() == 0


def test_midnight_with_an_open_position_begins_a_day_at_its_value_then() -> None:
    desk = Desk(now=MIDNIGHT + DAY_MS - 120_000)
    desk.enter(100, quantity=50)
    desk.trade(99)
    desk.wait(60, step=10)
    desk.trade(99)
    before = desk.equity

    desk.wait(90, step=10)

    state = desk.portfolio.portfolio.state
    assert state.day_start_equity == before == desk.equity
    assert desk.position() == 50
    assert desk.portfolio.portfolio.daily_drawdown_pct == 0
    assert desk.portfolio.portfolio.drawdown_pct > 0
    assert state.positions[BTC].stop_loss_price == Decimal("98.03")
    desk.trade("97.9")
    assert desk.orders[-1].origin is Origin.STOP_LOSS


def test_a_funding_time_during_an_outage_is_settled_once_when_time_goes_on() -> None:
    desk = Desk()
    desk.enter(100, quantity=50)
    due = desk.now + 60_000
    desk.feed(builders.funding(BTC, "0.001", due, desk.now))
    gap = builders.condition(ConditionName.DATA_GAP, symbol=BTC, at=desk.now)
    desk.feed(gap)

    desk.now += 3 * 60_000  # nothing was heard meanwhile, clocks neither
    desk.feed(builders.clock(desk.now))
    restart(desk)
    over = builders.condition(
        ConditionName.DATA_GAP, ConditionPhase.CLEARED, symbol=BTC, at=desk.now
    )
    desk.feed(over)
    desk.wait(10)
    desk.feed(builders.funding(BTC, "0.001", due, desk.now))
    desk.wait(60, step=10)

    assert desk.portfolio.portfolio.state.funding == Decimal("-5.000")


def test_the_same_event_stream_after_a_crash_in_every_place_ends_the_same() -> None:
    def story(crash_at: int) -> tuple[Decimal, Decimal]:
        desk = Desk(BIG)
        for number in range(12):
            if number == crash_at:
                restart(desk)
            desk.trade(100 - number % 3)
            if number % 4 == 0:
                desk.signal(100 - number % 3, quantity=5)
            desk.wait(1)
        return desk.position(), desk.equity

    assert {story(crash_at) for crash_at in range(13)} == {story(-1)}


def test_what_was_refused_unmeasured_says_all_the_same_who_asked_and_how_the_account_stood() -> (
    None
):
    desk = Desk({"MAX_LEVERAGE": "2"})
    desk.trade(100)

    decision = decided(desk, direction=Side.SELL, price="NaN")

    assert (decision.symbol, decision.side, decision.origin) == (BTC, Side.SELL, Origin.SIGNAL)
    assert (decision.reduce_only, decision.order_id, decision.price) == (False, None, None)
    assert (decision.quantity, decision.requested_quantity, decision.leverage) == (0, 0, 2)
    assert (decision.equity, decision.trading_state) == (100_000, TradingState.ACTIVE)
    assert decision.decision_id == decision.event_id
    assert decision.signal_id is not None


def test_an_exit_with_nothing_to_reduce_says_so_in_full() -> None:
    desk = Desk()
    desk.trade(100)

    decision = decided(desk, direction=Side.SELL, reduce_only=True)

    assert (decision.symbol, decision.side, decision.origin) == (BTC, Side.SELL, Origin.SIGNAL)
    assert (decision.reduce_only, decision.order_id, decision.price) == (True, None, 100)
    assert (decision.quantity, decision.requested_quantity, decision.leverage) == (0, 0, 1)
    assert decision.decision_id == decision.event_id
    assert decision.signal_id is not None
