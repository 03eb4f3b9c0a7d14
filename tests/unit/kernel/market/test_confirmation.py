"""What confirms an unconfirmed print, and what voids it."""

from decimal import Decimal

import pytest

from services.kernel.events import MarketDataKind
from services.kernel.market.prices import LEAST_WAIT_MS, PAUSES_KEPT, Prices
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

QUOTE_AGE_MS = 5_000


# The next trade


@pytest.mark.parametrize(
    ("to", "following"),
    [(110, "110"), (110, "104.5"), (110, "115.5"), (110, "130"), (90, "90"), (90, "94.5"),
     (90, "85.5"), (90, "60")],
)  # fmt: skip
def test_a_next_trade_within_the_limit_or_further_the_same_way_confirms(
    to: int, following: str
) -> None:
    prices = jumped(to)

    assert trade(prices, following, 1001)[0] == (Decimal(to), 1000)
    assert prices.confirmed in (Decimal(following), Decimal(to))


@pytest.mark.parametrize(("to", "following"), [(110, "104.49"), (90, "94.51")])
def test_a_next_trade_out_of_reach_of_the_print_does_not_confirm_it(
    to: int, following: str
) -> None:
    assert trade(jumped(to), following, 1001)[0] == (None, 1000)


@pytest.mark.parametrize(("to", "following"), [(110, "104.49"), (110, "100"), (90, "100")])
def test_a_next_trade_that_does_not_confirm_voids_the_print(to: int, following: str) -> None:
    prices = jumped(to)

    counted = trade(prices, following, 1001)

    assert counted == [(None, 1000), (Decimal(following), 1001)]
    assert (prices.last_price, prices.last_time) == (Decimal(following), NOON + 1001)
    assert prices.unconfirmed_jump is None


def test_a_next_trade_far_beyond_the_print_confirms_it_and_waits_itself() -> None:
    prices = jumped(110)

    assert trade(prices, 130, 1001) == [(Decimal(110), 1000)]

    assert prices.value == 110
    assert prices.unconfirmed_jump == Decimal(20) / 110
    assert trade(prices, 131, 1002) == [(Decimal(130), 1001), (Decimal(131), 1002)]


@pytest.mark.parametrize(("following", "jump"), [(80, "0.2"), (107, "0.07")])
def test_what_voids_a_print_is_compared_with_the_last_confirmed_price(
    following: int, jump: str
) -> None:
    prices = jumped(120)

    assert trade(prices, following, 1001) == [(None, 1000)]

    assert prices.unconfirmed_jump == Decimal(jump)
    assert prices.value == 100
    assert trade(prices, 100, 1002) == [(None, 1001), (Decimal(100), 1002)]


def test_a_voided_print_keeps_its_volume() -> None:
    prices = at_100()
    printed = builders.trade(BTC, 110, NOON + 1, 7)
    prices.on_tick(printed, MAX_JUMP, STALE_MS)

    voided, _ = prices.on_tick(builders.trade(BTC, 100, NOON + 2), MAX_JUMP, STALE_MS)

    assert (voided.price, voided.volume, voided.event_id) == (None, 7, printed.event_id)
    assert not voided.backfill


# A quote


@pytest.mark.parametrize(
    ("to", "bid", "ask", "confirms"),
    [(110, "110", "111", True), (110, "115", "116", True), (110, "109.99", "111", False),
     (90, "89", "90", True), (90, "80", "81", True), (90, "89", "90.01", False),
     (110, None, "111", False), (90, "89", None, False)],
)  # fmt: skip
def test_a_quote_at_or_beyond_the_print_confirms_it_at_once(
    to: int, bid: str | None, ask: str | None, confirms: bool
) -> None:
    prices = jumped(to)

    assert quote(prices, bid, ask, 1000) == ([(Decimal(to), 1000)] if confirms else [])
    assert (prices.value == to) == confirms

    known_before = at_100()
    quote(known_before, bid, ask, 1000)
    assert trade(known_before, to, 1000) == ([(Decimal(to), 1000)] if confirms else [])


def test_a_book_is_a_quote_too() -> None:
    prices = jumped(110)
    book = builders.tick(
        MarketDataKind.DEPTH, BTC, NOON + 1500, bids=((Decimal(110), Decimal(1)),), asks=()
    )

    assert take(prices, book) == [(Decimal(110), 1000)]


@pytest.mark.parametrize(("age_ms", "confirms"), [(QUOTE_AGE_MS, True), (QUOTE_AGE_MS + 1, False)])
def test_an_old_quote_confirms_nothing(age_ms: int, confirms: bool) -> None:
    prices = at_100()
    quote(prices, 110, 111)

    assert (trade(prices, 110, age_ms) != []) == confirms


def test_other_observations_confirm_nothing() -> None:
    prices = jumped(110)

    assert take(prices, builders.funding(BTC, at=NOON + 1500)) == []
    assert mark(prices, 110, 1500) == []


# Time


def test_a_print_counts_when_it_stood_for_three_seconds() -> None:
    prices = jumped(110)

    assert clock(prices, 1000 + LEAST_WAIT_MS - 1) == []
    assert (prices.value, prices.unconfirmed_jump) == (Decimal(100), Decimal("0.1"))
    assert clock(prices, 1000 + LEAST_WAIT_MS) == [(Decimal(110), 1000)]
    assert (prices.value, prices.unconfirmed_jump) == (Decimal(110), None)
    assert (prices.last_time, clock(prices, 10_000)) == (NOON + 1000, [])


@pytest.mark.parametrize(("after_ms", "stood"), [(LEAST_WAIT_MS - 1, False), (LEAST_WAIT_MS, True)])
def test_any_observation_tells_the_time(after_ms: int, stood: bool) -> None:
    prices = jumped(110)

    assert quote(prices, 99, 101, 1000 + after_ms) == ([(Decimal(110), 1000)] if stood else [])


def test_a_trade_after_that_time_is_compared_with_the_print() -> None:
    prices = jumped(110)

    assert trade(prices, 100, 1000 + LEAST_WAIT_MS) == [(Decimal(110), 1000)]

    assert prices.value == 110
    assert prices.unconfirmed_jump == Decimal(10) / 110


def print_after(pauses: list[int]) -> tuple[Prices, int]:
    """A print after trades with these pauses between them, the last one before the print."""
    prices, at = at_100(), 0
    for pause in pauses[:-1]:
        at += pause
        trade(prices, 100, at)
    at += pauses[-1]
    assert trade(prices, 110, at) == []
    return prices, at


@pytest.mark.parametrize(
    ("pauses", "wait_ms"),
    [
        ([5_000] * 3, 15_000),
        ([1_000, 2_000, 9_000], 6_000),
        ([2_000, 4_000], 9_000),
        ([1_001, 2_000], 4_502),
        ([1_000] * 3, LEAST_WAIT_MS),
        ([1_001] * 3, 3_003),
        ([19_999] * 3, 59_997),
        ([20_001] * 3, STALE_MS),
        ([40_000] * 8 + [2_000] * 8, 6_000),
        ([2_000] * 8 + [4_000] * PAUSES_KEPT, 12_000),
        ([0] * 8 + [9_000] * 7, LEAST_WAIT_MS),
        ([0] * 7 + [9_000] * 8, 27_000),
    ],
)
def test_a_print_waits_for_three_usual_pauses_at_most_for_the_stale_timeout(
    pauses: list[int], wait_ms: int
) -> None:
    prices, at = print_after(pauses)

    assert clock(prices, at + wait_ms - 1) == []
    assert clock(prices, at + wait_ms) == [(Decimal(110), at)]


def test_a_late_trade_is_no_pause() -> None:
    prices, at = print_after([5_000] * 3)
    trade(prices, 100, at + 1)  # voids it
    trade(prices, 100, at - 4_000)
    trade(prices, 100, at - 4_000, backfill=True)
    trade(prices, 110, at + 5_001)

    assert prices.pauses == [5_000, 5_000, 5_000, 1, 5_000]
