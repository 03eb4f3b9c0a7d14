"""Which price positions are valued at, and which trade waits for a confirmation."""

from decimal import Decimal

import pytest

from services.kernel.events import MarketDataKind, PriceSource
from services.kernel.market.prices import LEAST_WAIT_MS, Prices
from tests import builders
from tests.builders import BTC, NOON
from tests.unit.kernel.market.price_feed import (
    MAX_JUMP,
    STALE_MS,
    at_100,
    clock,
    jumped,
    mark,
    quote,
    take,
    trade,
)

pytestmark = [pytest.mark.unit, pytest.mark.risk]


# Mark or last


def test_before_any_price_there_is_no_value() -> None:
    assert (Prices().value, Prices().unconfirmed_jump) == (None, None)


def test_the_mark_price_counts_while_it_is_fresh_and_the_last_trade_after_that() -> None:
    prices = at_100()
    assert (prices.value, prices.source) == (Decimal(100), PriceSource.LAST)

    mark(prices, 101)
    trade(prices, 99, STALE_MS)
    assert (prices.value, prices.source) == (Decimal(101), PriceSource.MARK)

    trade(prices, 98, STALE_MS + 1)
    assert (prices.value, prices.source) == (Decimal(98), PriceSource.LAST)


def test_a_mark_price_of_a_fraction_counts_and_zero_does_not() -> None:
    prices = Prices()

    mark(prices, "0.00001")
    mark(prices, 0, 10)

    assert (prices.value, prices.mark_time) == (Decimal("0.00001"), NOON)


@pytest.mark.parametrize(
    ("bid", "ask", "known"),
    [(99, None, (99, None)), (None, 101, (None, 101)), (None, None, (98, 102))],
)
def test_a_quote_with_one_side_replaces_both_and_one_without_any_is_none(
    bid: int | None, ask: int | None, known: tuple[int | None, int | None]
) -> None:
    prices = at_100()
    quote(prices, 98, 102)

    quote(prices, bid, ask, 10)

    assert (prices.bid, prices.ask) == known


def test_a_mark_price_grows_old_by_the_clock_too_if_a_younger_trade_is_known() -> None:
    prices = Prices()
    mark(prices, 101)
    trade(prices, 99, 10)

    clock(prices, STALE_MS)
    assert prices.value == 101
    clock(prices, STALE_MS + 1)
    assert (prices.value, prices.source) == (Decimal(99), PriceSource.LAST)


@pytest.mark.parametrize("after_ms", [0, 10])
def test_an_old_mark_price_is_kept_where_the_last_trade_is_not_younger(after_ms: int) -> None:
    prices = at_100()
    mark(prices, 101, after_ms)

    clock(prices, 10 * STALE_MS)

    assert prices.value == 101


def test_an_old_mark_price_does_not_give_way_to_an_unconfirmed_print() -> None:
    prices = at_100()
    mark(prices, 101, 10)

    trade(prices, 110, STALE_MS + 11)
    assert prices.value == 101
    clock(prices, 2 * STALE_MS + 11)
    assert prices.value == 110


@pytest.mark.parametrize("price", [0, -1, None])
def test_what_is_no_price_marks_nothing(price: int | None) -> None:
    prices = at_100()
    mark_price = None if price is None else Decimal(price)
    take(prices, builders.tick(MarketDataKind.MARK, BTC, NOON, mark_price=mark_price))

    assert trade(prices, price, 1) == [] if price is not None else True
    assert take(prices, builders.tick(MarketDataKind.TRADE, BTC, NOON, price=mark_price)) == []
    assert (prices.value, prices.source) == (Decimal(100), PriceSource.LAST)


def test_a_backfilled_mark_price_or_quote_is_none() -> None:
    prices = at_100()

    take(prices, builders.mark(BTC, 110, NOON, backfill=True))
    take(prices, builders.quote(BTC, 110, 111, NOON, backfill=True))

    assert prices.value == 100
    assert trade(prices, 110) == []


# What jumps


@pytest.mark.parametrize(("price", "confirmed"), [("105", True), ("105.01", False), ("95", True),
                                                  ("94.99", False)])  # fmt: skip
def test_a_jump_beyond_the_limit_is_not_confirmed_at_once(price: str, confirmed: bool) -> None:
    prices = at_100()

    assert trade(prices, price) == ([(Decimal(price), 0)] if confirmed else [])
    assert prices.value == (Decimal(price) if confirmed else 100)
    assert (prices.unconfirmed_jump is None) == confirmed


def test_the_first_price_is_no_jump() -> None:
    assert trade(Prices(), 1) == [(Decimal(1), 0)]


@pytest.mark.parametrize(("fair", "confirmed"), [("104.8", True), ("104.7", False)])
def test_a_trade_near_a_fresh_fair_price_is_no_jump(fair: str, confirmed: bool) -> None:
    prices = at_100()
    mark(prices, fair)

    trade(prices, 110)

    assert (prices.last_price == 110) == confirmed
    assert (prices.unconfirmed_jump is None) == confirmed


def test_a_print_far_from_last_and_fair_price_leaves_the_value_at_the_mark() -> None:
    prices = at_100()
    mark(prices, 101)

    trade(prices, 110)

    assert prices.unconfirmed_jump == Decimal("0.1")
    assert clock(prices, LEAST_WAIT_MS) == [(Decimal(110), 0)]
    assert (prices.last_price, prices.value) == (Decimal(110), Decimal(101))


@pytest.mark.parametrize(("age_ms", "confirmed"), [(STALE_MS, True), (STALE_MS + 1, False)])
def test_a_fair_price_that_is_too_old_confirms_nothing(age_ms: int, confirmed: bool) -> None:
    prices = at_100()
    mark(prices, 110)

    trade(prices, 110, age_ms)

    assert (prices.unconfirmed_jump is None) == confirmed


# After an outage


def test_after_an_outage_the_next_trade_is_compared_with_what_was_backfilled() -> None:
    prices = at_100()
    assert trade(prices, 104, 1000, backfill=True) == [(Decimal(104), 1000)]
    assert trade(prices, 109, 2000, backfill=True) == [(Decimal(109), 2000)]
    assert prices.value == 100  # nothing is valued at it

    assert trade(prices, 110, 5000) == [(Decimal(110), 5000)]
    assert prices.value == 110


def test_a_jump_from_what_was_backfilled_is_one() -> None:
    prices = at_100()
    trade(prices, 104, 1000, backfill=True)
    trade(prices, 109, 2000, backfill=True)

    assert trade(prices, 100, 5000) == []
    assert prices.unconfirmed_jump == Decimal(9) / 109


def test_a_print_among_what_was_backfilled_waits_as_any_does() -> None:
    prices = at_100()

    assert trade(prices, 120, 1000, backfill=True) == []
    assert trade(prices, 101, 2000, backfill=True) == [(None, 1000), (Decimal(101), 2000)]
    assert trade(prices, 120, 3000, backfill=True) == []
    assert clock(prices, 3000 + LEAST_WAIT_MS) == [(Decimal(120), 3000)]
    assert (prices.confirmed, prices.value) == (Decimal(120), Decimal(100))


def test_a_print_before_an_outage_is_confirmed_by_what_was_backfilled() -> None:
    prices = jumped(110)

    confirmed, other = prices.on_tick(
        builders.trade(BTC, 111, NOON + 1500, backfill=True), MAX_JUMP, STALE_MS
    )

    assert (confirmed.price, other.price) == (110, 111)
    assert confirmed.backfill  # it comes too late to cause anything
    assert (prices.value, prices.last_time) == (Decimal(110), NOON + 1000)
    assert trade(prices, 112, 2000) == [(Decimal(112), 2000)]


def test_a_late_trade_that_was_backfilled_is_compared_with_nothing() -> None:
    prices = jumped(110)

    assert trade(prices, 150, 999, backfill=True) == [(Decimal(150), 999)]

    assert (prices.confirmed, prices.unconfirmed_jump) == (Decimal(100), Decimal("0.1"))
    assert trade(prices, 110, 1000, backfill=True) == [(Decimal(110), 1000), (Decimal(110), 1000)]


def test_a_fair_price_or_quote_of_another_time_confirms_no_backfilled_print() -> None:
    prices = at_100()
    mark(prices, 120, 100_000)
    quote(prices, 120, 121, 100_000)

    assert trade(prices, 120, 100_000 - STALE_MS - 1, backfill=True) == []
