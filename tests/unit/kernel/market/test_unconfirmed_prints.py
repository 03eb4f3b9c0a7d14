"""What waits for the confirmation of a price: stops, entries, fills, equity."""

from decimal import Decimal

import pytest

from services.kernel.events import (
    MarketData,
    MarketDataKind,
    OrderType,
    Origin,
    PriceSource,
    TradingState,
    Verdict,
)
from services.kernel.reasons import Reason
from tests import builders
from tests.builders import BTC, MINUTE_MS, NOON, Number
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]


def long_at_100() -> Desk:
    desk = Desk()
    desk.enter(100)
    return desk


def exits(desk: Desk) -> list[Origin]:
    return [order.origin for order in desk.orders if order.reduce_only]


def exit_fills(desk: Desk) -> list[Decimal | None]:
    return [result.filled_price for result in desk.results if result.reduce_only and result.fees]


def test_one_bad_print_closes_no_position() -> None:
    desk = long_at_100()
    equity = desk.equity

    desk.trade(50)
    assert (exits(desk), desk.equity) == ([], equity)
    desk.trade(100)

    assert exits(desk) == []
    assert desk.risk.state.account is TradingState.ACTIVE
    assert desk.equity == equity


def test_a_stop_acts_on_the_trade_after_the_jump() -> None:
    desk = long_at_100()

    desk.trade(90)
    desk.trade(89)

    assert exits(desk) == [Origin.STOP_LOSS]
    assert desk.decisions[-1].price == 89


def test_a_stop_acts_on_the_jump_after_three_seconds_of_stage_time() -> None:
    desk = long_at_100()

    desk.trade(90)
    desk.wait(2)
    assert exits(desk) == []
    desk.wait(1)

    assert exits(desk) == [Origin.STOP_LOSS]
    assert desk.decisions[-1].price == 90


def test_a_stop_that_works_on_a_fresh_fair_price_does_not_wait() -> None:
    desk = long_at_100()
    desk.feed(builders.mark(BTC, 100, desk.now))
    desk.trade(90)

    desk.feed(builders.mark(BTC, 97, desk.now))

    assert exits(desk) == [Origin.STOP_LOSS]


def test_with_trades_five_seconds_apart_a_bad_print_closes_no_position_either() -> None:
    desk = long_at_100()
    for _ in range(3):
        desk.wait(5)
        desk.trade(100)
    equity = desk.equity

    desk.trade(50)
    desk.wait(5)
    desk.trade(100)

    assert (exits(desk), desk.equity) == ([], equity)


def test_a_stop_acts_on_the_quote_that_confirms_the_jump() -> None:
    desk = long_at_100()
    desk.trade(90)

    desk.quote(89, 90)

    assert exits(desk) == [Origin.STOP_LOSS]
    assert desk.decisions[-1].price == 90


def test_an_unconfirmed_print_fills_no_resting_order_even_beside_a_fresh_book() -> None:
    desk = long_at_100()
    desk.exit_signal(100, order_type=OrderType.LIMIT, limit_price=101)
    desk.wait(1)
    desk.quote("99.9", "100.1")  # from here on it rests

    desk.trade(110)
    assert exit_fills(desk) == []
    desk.trade(101)
    assert exit_fills(desk) == []
    desk.trade("101.01")

    assert exit_fills(desk) == [101]


def test_correlation_and_sizing_do_not_see_a_voided_print() -> None:
    desk = Desk({"SIZING_METHOD": "atr"})
    desk.trade(100)

    desk.trade(50, volume=5)
    assert desk.risk.state.symbol_health(BTC).closes.prices == {NOON // MINUTE_MS: 100}
    desk.trade(101)

    assert desk.risk.state.symbol_health(BTC).closes.prices == {NOON // MINUTE_MS: 101}
    (bar,) = desk.risk.state.volatility[BTC].bars.recent
    assert (bar.low, bar.high, bar.volume) == (100, 101, 2005)


def test_correlation_and_sizing_see_a_print_that_time_confirms() -> None:
    desk = Desk({"SIZING_METHOD": "atr"})
    desk.trade(100)
    desk.trade(50)

    desk.wait(3)

    assert desk.risk.state.symbol_health(BTC).closes.prices == {NOON // MINUTE_MS: 50}
    assert desk.risk.state.volatility[BTC].bars.recent[0].low == 50


def test_a_bar_of_sizing_waits_for_a_print_in_it() -> None:
    desk = Desk({"SIZING_METHOD": "atr", "SIZING_BAR_MINUTES": "1"})
    for _ in range(4):
        desk.trade(100)
        desk.wait(14)
    desk.trade(50)

    desk.wait(10)
    assert desk.risk.state.volatility[BTC].last_close is None
    desk.wait(35)

    assert desk.risk.state.volatility[BTC].last_close == 50


def test_entries_wait_for_the_confirmation_even_if_a_person_ends_the_pause() -> None:
    desk = Desk()
    desk.trade(100)
    desk.trade(110)
    desk.feed(builders.resume(BTC, at=desk.now))

    refused = desk.signal(110)
    assert refused.reason == Reason.PRICE_UNCONFIRMED
    layer = refused.layers[1]
    assert (layer.value, layer.limit, layer.unit) == (Decimal("0.1"), Decimal("0.05"), "fraction")

    desk.wait(3)
    assert desk.signal(110).verdict is Verdict.APPROVED


def test_the_pause_says_what_waits() -> None:
    desk = Desk()
    desk.trade(100)

    desk.trade(110)

    assert desk.states[-1].reason == Reason.PRICE_JUMP
    assert "entries and stops wait for its confirmation" in desk.states[-1].message


@pytest.mark.parametrize(("fair", "source"), [(True, PriceSource.MARK), (False, PriceSource.LAST)])
def test_an_exit_records_which_price_its_stop_worked_on(fair: bool, source: PriceSource) -> None:
    desk = long_at_100()

    desk.feed(builders.mark(BTC, 97, desk.now)) if fair else desk.trade(97)

    decision = desk.decisions[-1]
    assert (decision.origin, decision.price_source) == (Origin.STOP_LOSS, source)
    assert f"works on the {source} price 97" in decision.layers[5].detail


# After an outage


def backfilled(price: Number, after_ms: int) -> MarketData:
    return builders.trade(BTC, price, NOON + after_ms, backfill=True)


@pytest.mark.parametrize("unit", [Decimal(1), Decimal("0.0001")])
def test_after_an_outage_the_next_trade_is_compared_with_what_was_backfilled(unit: Decimal) -> None:
    desk = Desk(now=NOON, contracts=[builders.instrument(BTC, tick_size=unit / 100)])
    desk.trade(100 * unit)
    desk.ticks(backfilled(104 * unit, 1000), backfilled(109 * unit, 2000))
    desk.wait(3)

    desk.trade(110 * unit, volume=100_000 / unit)

    assert desk.states == []
    assert desk.portfolio.portfolio.unconfirmed_jump(BTC) is None
    assert desk.signal(110 * unit).verdict is Verdict.APPROVED


@pytest.mark.parametrize("price", [0, None])
def test_a_backfilled_trade_without_a_price_is_compared_with_nothing(price: int | None) -> None:
    desk = Desk(now=NOON)
    desk.trade(100)
    unpriced = builders.tick(MarketDataKind.TRADE, BTC, NOON + 2000, backfill=True, price=price)
    desk.ticks(backfilled(104, 1000), unpriced)
    desk.wait(3)

    desk.trade(109)

    assert desk.states == []
    assert desk.portfolio.portfolio.mark_price(BTC) == 109


def test_a_jump_from_what_was_backfilled_is_one() -> None:
    desk = Desk(now=NOON)
    desk.trade(100)
    desk.ticks(backfilled(118, 1000), backfilled(120, 2000))
    desk.wait(3)

    desk.trade(100)

    assert desk.states[-1].reason == Reason.PRICE_JUMP
    jump = desk.portfolio.portfolio.unconfirmed_jump(BTC)
    assert jump == Decimal(20) / 120


def test_a_late_trade_that_is_older_than_the_last_one_is_compared_with_nothing() -> None:
    desk = Desk(now=NOON)
    desk.wait(5)
    desk.trade(100)

    desk.ticks(backfilled(150, 1000))
    desk.trade(101)

    assert desk.states == []


def test_a_backfilled_trade_moves_no_mark_and_triggers_no_stop() -> None:
    desk = long_at_100()
    equity = desk.equity

    desk.ticks(backfilled(90, 5000), backfilled(0, 6000))

    assert (exits(desk), desk.equity) == ([], equity)
    folds = [stage.portfolio.checksum() for stage in (desk.risk, desk.execution, desk.portfolio)]
    assert len(set(folds)) == 1
