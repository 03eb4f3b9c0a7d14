"""Without a fresh book a fill takes what the last minute traded and we have not taken yet."""

from decimal import Decimal

import pytest

from services.kernel.events import (
    AlertPhase,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
    Verdict,
)
from services.kernel.matching.minute_volume import COMPACT_AFTER, MinuteVolume
from services.kernel.reasons import Reason
from tests import builders
from tests.builders import BTC, NOON
from tests.unit.kernel.desk import Desk
from tests.unit.kernel.portfolio.broker import CANCELLED, Exchange, fills_of, status_of

pytestmark = [pytest.mark.unit, pytest.mark.risk]

BUY, SELL = Side.BUY, Side.SELL


def quantities(results: list) -> list[Decimal]:  # type: ignore[type-arg]
    return [filled for filled, _, _ in fills_of(results)]


# The last minute


def test_the_last_coin_of_a_fill_is_taken_from_the_second_before() -> None:
    volume = MinuteVolume()
    volume.add(NOON, Decimal(2))
    volume.add(NOON + 1000, Decimal(2))

    volume.consume(Decimal(3))

    assert volume.untaken == [1, 0]


def test_a_minute_is_the_sixty_seconds_up_to_now() -> None:
    volume = MinuteVolume()
    for second in (0, 15, 30, 45, 60):
        volume.add(NOON + second * 1000, Decimal(2))

    assert volume.total(NOON + 60_000) == 8
    assert volume.total(NOON + 59_999) == 10  # the newest second counts from its tick on
    assert volume.total(NOON + 119_999) == 2
    assert volume.total(NOON + 120_000) == 0


def test_a_late_trade_counts_in_the_newest_second() -> None:
    volume = MinuteVolume()
    volume.add(NOON, Decimal(2))
    volume.add(NOON - 50_000, Decimal(3))

    assert (volume.total(NOON + 59_999), volume.remaining(NOON)) == (5, 5)


def test_what_is_taken_is_gone_the_newest_first_and_the_total_stays() -> None:
    volume = MinuteVolume()
    for second in range(3):
        volume.add(NOON + second * 1000, Decimal(10))

    volume.consume(Decimal(15))

    assert volume.untaken == [10, 5, 0]
    assert (volume.remaining(NOON + 2000), volume.total(NOON + 2000)) == (15, 30)
    volume.consume(Decimal(100))
    assert volume.remaining(NOON + 2000) == 0


def test_old_seconds_are_forgotten() -> None:
    volume = MinuteVolume()
    for second in range(1000):
        volume.add(NOON + second * 1000, Decimal(1))

    assert len(volume.seconds) == len(volume.traded) == len(volume.untaken) <= COMPACT_AFTER
    assert volume.total(NOON + 999_000) == 60


# Fills


def test_a_market_order_takes_it_and_the_rest_waits_for_more() -> None:
    exchange = Exchange()
    exchange.stage.state.markets.clear()
    exchange.prints(100, 3)
    exchange.order(quantity=10)

    first = exchange.prints(100, 2)
    second = exchange.prints(100, 4)
    last = exchange.prints(100, 9)

    assert quantities(first + second + last) == [5, 4, 1]
    assert [r.status for r in last] == [OrderStatus.FILLED]
    assert first[0].status is OrderStatus.PARTIALLY_FILLED
    assert first[0].fill["minute_volume"] == 5


def test_two_orders_do_not_take_the_same_volume() -> None:
    exchange = Exchange()
    exchange.stage.state.markets.clear()
    exchange.holds(-10)
    exchange.order(quantity=4, reduce_only=True)
    exchange.order(quantity=4, reduce_only=True)

    assert quantities(exchange.prints(100, 6)) == [4, 2]


def test_impact_needs_no_cap_because_no_fill_is_larger_than_the_minute() -> None:
    exchange = Exchange({"SIM_IMPACT_PCT": "0.01"})
    exchange.stage.state.markets.clear()
    exchange.holds(1000)
    exchange.order(SELL, 1000, reduce_only=True)

    (result,) = exchange.prints(100, "0.001")

    assert (result.filled_quantity, result.filled_price) == (Decimal("0.001"), 99)


def test_where_nothing_was_traded_the_quoted_size_is_taken_once() -> None:
    exchange = Exchange()
    exchange.stage.state.markets.clear()
    exchange.order(quantity=10)

    def quoted(size: int | None) -> list[Decimal]:
        exchange.now += 100
        told = None if size is None else Decimal(size)
        tick = builders.quote(BTC, 99, 100, exchange.now, ask_size=told, bid_size=Decimal(50))
        return quantities(exchange.feed(tick))

    assert quoted(None) == []
    assert quoted(3) == [3]
    exchange.stage.state.markets[BTC].book.time += 1
    assert quoted(4) == [4]


def test_a_limit_order_waits_for_volume_and_rests_for_its_price() -> None:
    exchange = Exchange()
    exchange.stage.state.markets.clear()
    exchange.order(quantity=10, price=101, order_type=OrderType.LIMIT)

    taken = exchange.prints(100, 4) + exchange.prints(100, 3)
    rests = exchange.prints(102, 9)
    through = exchange.prints(100, 9)

    assert [fill[1:] for fill in fills_of(taken)] == [(100, "taker")] * 2
    assert rests == []
    assert fills_of(through) == [(3, 101, "maker")]


def test_fok_needs_all_of_it() -> None:
    exchange = Exchange()
    exchange.stage.state.markets.clear()
    exchange.order(quantity=10, time_in_force=TimeInForce.FOK)

    assert status_of(exchange.prints(100, 9)) == [(CANCELLED, Reason.NOT_FILLED_AT_ONCE)]
    exchange.order(quantity=10, time_in_force=TimeInForce.FOK)
    assert quantities(exchange.prints(100, 1)) == [10]


def test_an_order_that_waits_is_alerted_after_the_stale_timeout_and_cleared_when_it_ends() -> None:
    exchange = Exchange({"DATA_STALE_TIMEOUT_SEC": "60"})
    exchange.stage.state.markets.clear()
    exchange.holds(10)
    exchange.order(SELL, 10, reduce_only=True)
    exchange.prints(100, 4)

    began = exchange.now - 100
    exchange.feed(builders.clock(began + 60_000))
    assert exchange.alerts == []
    exchange.feed(builders.clock(began + 60_001))
    exchange.now = began + 61_000
    exchange.prints(100, 6)

    assert [(alert.code, alert.phase) for alert in exchange.alerts] == [
        ("ORDER_UNFILLED", AlertPhase.BEGAN),
        ("ORDER_UNFILLED", AlertPhase.CLEARED),
    ]
    assert "6 of 10 not filled after 60 s" in exchange.alerts[0].message


# Sizing


def test_an_entry_is_trimmed_to_its_share_of_the_window_without_an_alert() -> None:
    desk = Desk()
    desk.trade(100, volume=500)

    decision = desk.signal(100)

    assert (decision.verdict, decision.quantity) == (Verdict.TRIMMED, 50)
    assert decision.binding_limit == "5 volume_share"
    assert decision.sizing["traded"] == 500
    assert desk.alerts == []


def test_backfill_counts_and_what_is_older_than_the_window_does_not() -> None:
    desk = Desk()
    desk.feed(builders.trade(BTC, 100, NOON - 899_000, 300, backfill=True))
    desk.feed(builders.trade(BTC, 100, NOON - 900_000, 7000, backfill=True))
    desk.trade(100, volume=200)

    assert desk.signal(100).quantity == 50


def test_where_nothing_tradable_is_left_it_is_refused_without_an_alert() -> None:
    desk = Desk({"MAX_COST_SHARE": "1"})
    desk.trade(100, volume="0.1")

    decision = desk.signal(100)

    assert (decision.verdict, decision.reason) == (Verdict.REJECTED, Reason.VOLUME_LIMIT)
    assert decision.layers[4].value == Decimal("0.5")  # the smallest order of 0.05
    assert desk.alerts == []


def test_an_inverse_contract_is_compared_in_its_unit() -> None:
    contract = builders.instrument(inverse=True, lot_size=Decimal(1))
    desk = Desk(contracts=[contract])
    desk.trade(100, volume=500)  # coins: worth 50,000

    assert desk.signal(100).quantity == 5_000


def test_what_only_closes_is_not_limited() -> None:
    desk = Desk()
    desk.enter(100, quantity=90)
    desk.wait(1000, step=15)
    desk.trade(100, volume=20)

    decision = desk.signal(100, SELL)

    assert decision.quantity == 92  # 90 that are open, and a tenth of 20
