"""Which price a position is valued at, and which jumps wait for a confirmation."""

from decimal import Decimal

import pytest

from services.kernel.events import (
    MarketData,
    MarketDataKind,
    Origin,
    PriceSource,
    TradingState,
    Verdict,
)
from services.kernel.market.prices import CONFIRMED_AFTER_MS, Prices
from services.kernel.risk.reasons import Reason
from tests import builders
from tests.builders import BTC, NOON, Number
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]

MAX_JUMP = Decimal("0.05")
MAX_AGE_MS = 60_000


def trade(prices: Prices, price: Number, after_ms: int = 0) -> Decimal | None:
    return prices.on_trade(Decimal(price), NOON + after_ms, MAX_JUMP, MAX_AGE_MS)


def mark(prices: Prices, price: Number, after_ms: int = 0) -> Decimal:
    return prices.on_mark(Decimal(price), NOON + after_ms)


def clock(prices: Prices, after_ms: int) -> Decimal | None:
    return prices.on_clock(NOON + after_ms, MAX_AGE_MS)


def at_100() -> Prices:
    prices = Prices()
    trade(prices, 100)
    return prices


# Mark or last


def test_before_any_price_there_is_no_value() -> None:
    assert Prices().value is None


def test_the_mark_price_counts_while_it_is_fresh_and_the_last_trade_after_that() -> None:
    prices = at_100()
    assert (prices.value, prices.source) == (Decimal(100), PriceSource.LAST)

    mark(prices, 101)
    assert trade(prices, 99, MAX_AGE_MS) is None
    assert (prices.value, prices.source) == (Decimal(101), PriceSource.MARK)

    assert trade(prices, 98, MAX_AGE_MS + 1) == 98
    assert (prices.value, prices.source) == (Decimal(98), PriceSource.LAST)


def test_a_mark_price_grows_old_by_the_clock_too_if_a_younger_trade_is_known() -> None:
    prices = Prices()
    mark(prices, 101)
    trade(prices, 99, 10)

    assert clock(prices, MAX_AGE_MS) is None
    assert clock(prices, MAX_AGE_MS + 1) == 99
    assert prices.source is PriceSource.LAST


def test_an_old_mark_price_is_kept_where_the_last_trade_is_older_still() -> None:
    prices = at_100()
    mark(prices, 101, 10)

    assert clock(prices, 10 * MAX_AGE_MS) is None
    assert prices.value == 101


# Jumps


@pytest.mark.parametrize(("price", "believed"), [("105", True), ("105.01", False), ("95", True),
                                                 ("94.99", False)])  # fmt: skip
def test_a_jump_beyond_the_limit_is_not_believed_at_once(price: str, believed: bool) -> None:
    prices = at_100()

    value = trade(prices, price)

    assert value == (Decimal(price) if believed else None)
    assert (prices.unconfirmed_jump(NOON) is None) == believed


def test_the_first_price_is_no_jump() -> None:
    assert trade(Prices(), 1) == 1


@pytest.mark.parametrize("following", ["110", "109", "100", "80"])
def test_the_next_trade_counts_whatever_its_price(following: str) -> None:
    prices = at_100()
    trade(prices, 110)

    assert trade(prices, following, 1) == Decimal(following)
    assert prices.unconfirmed_jump(NOON + 1) is None


def test_a_jump_counts_when_it_stood_for_three_seconds() -> None:
    prices = at_100()
    trade(prices, 110)

    assert prices.unconfirmed_jump(NOON + CONFIRMED_AFTER_MS - 1) == Decimal("0.1")
    assert clock(prices, CONFIRMED_AFTER_MS - 1) is None
    assert prices.unconfirmed_jump(NOON + CONFIRMED_AFTER_MS) is None
    assert clock(prices, CONFIRMED_AFTER_MS) == 110
    assert clock(prices, CONFIRMED_AFTER_MS + 1) is None


def test_after_three_seconds_the_next_trade_is_compared_with_the_jump() -> None:
    prices = at_100()
    trade(prices, 110)

    assert trade(prices, 100, CONFIRMED_AFTER_MS) is None

    assert prices.last_price == 100
    assert prices.unconfirmed_jump(NOON + CONFIRMED_AFTER_MS) is not None


def test_a_trade_near_the_fair_price_is_no_jump() -> None:
    prices = at_100()
    mark(prices, 108)

    trade(prices, 110)

    assert prices.last_price == 110
    assert prices.unconfirmed_jump(NOON) is None


def test_a_trade_far_from_last_and_fair_price_is_one_and_the_value_stays_the_mark() -> None:
    prices = at_100()
    mark(prices, 101)

    trade(prices, 110)

    assert prices.unconfirmed_jump(NOON) == Decimal("0.1")
    assert clock(prices, CONFIRMED_AFTER_MS) is None
    assert (prices.last_price, prices.value) == (Decimal(110), Decimal(101))


def test_a_fair_price_that_is_too_old_confirms_nothing() -> None:
    prices = at_100()
    mark(prices, 110)

    trade(prices, 110, MAX_AGE_MS + 1)

    assert prices.unconfirmed_jump(NOON + MAX_AGE_MS + 1) is not None


# What waits


def long_at_100() -> Desk:
    desk = Desk()
    desk.enter(100)
    return desk


def exits(desk: Desk) -> list[Origin]:
    return [order.origin for order in desk.orders if order.reduce_only]


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
    assert desk.portfolio.portfolio.unconfirmed_jump(BTC, desk.now) is None
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
    desk.ticks(backfilled(120, 1000))
    desk.wait(3)

    desk.trade(100)

    assert desk.states[-1].reason == Reason.PRICE_JUMP
    jump = desk.portfolio.portfolio.unconfirmed_jump(BTC, desk.now)
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


def test_a_backfilled_trade_ends_the_doubt_about_a_jump_before_the_outage() -> None:
    prices = at_100()
    trade(prices, 110)
    prices.on_backfill(Decimal(111), NOON + 500)

    assert trade(prices, 112, 1000) == 112
