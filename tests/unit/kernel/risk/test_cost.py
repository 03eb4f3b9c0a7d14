"""What an entry may cost until it is closed again: fees, spread and impact against its stop."""

from decimal import Decimal
from typing import Any

import pytest

from services.kernel.events import (
    AlertLevel,
    AlertPhase,
    LayerResult,
    LayerVerdict,
    OrderType,
    Side,
    TradingState,
    Verdict,
)
from services.kernel.instruments.contracts import generic_instrument
from services.kernel.market.order_book import Book
from services.kernel.reasons import Reason
from services.kernel.risk.checks.cost import RoundTripCost, round_trip_cost
from services.kernel.risk.checks.layers import assess
from services.kernel.risk.state.traded_volume import TradedVolume
from tests import builders
from tests.builders import BTC, NOON
from tests.unit.kernel.candidates import candidate, layer, market, settings
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]
FEES = Decimal("0.0016")


def cost(book: Book | None = None, **fields: Any) -> RoundTripCost:
    """Of an entry of 100 into a market of 400 a minute."""
    given = {
        "side": Side.BUY,
        "quantity": Decimal(100),
        "limited": False,
        "base": Decimal(100),
        "minute_volume": Decimal(400),
        "now": NOON,
    } | fields
    contract = given.pop("instrument", builders.instrument())
    return round_trip_cost(settings(), contract, book or Book(), **given)


def quoted(bid: str, ask: str, **levels: Any) -> Book:
    return Book(bid=Decimal(bid), ask=Decimal(ask), time=NOON, **levels)


def traded(volume: int) -> TradedVolume:
    """So much in the second that now begins."""
    return TradedVolume(parts={NOON // 1000: Decimal(volume)})


# What it costs


def test_without_quotes_the_spread_is_the_configured_one_and_impact_follows_the_volume() -> None:
    found = cost()
    assert (found.fees, found.spread) == (FEES, Decimal("0.0004"))
    assert found.impact == 2 * Decimal("0.0005") * Decimal("0.5")  # sqrt(100 / 400)
    assert found.total == Decimal("0.0025")


def test_a_fresh_quote_gives_the_spread_and_an_old_one_does_not() -> None:
    book = quoted("99", "101")
    assert cost(book).spread == Decimal("0.02")
    assert cost(book, now=NOON + 5_000).spread == Decimal("0.02")
    assert cost(book, now=NOON + 5_001).spread == Decimal("0.0004")
    assert cost(book).impact == cost().impact


@pytest.mark.parametrize("side", Side)
def test_known_levels_give_the_impact_of_entry_and_exit(side: Side) -> None:
    book = quoted(
        "100", "110", depth_time=NOON,
        bids=((Decimal(100), Decimal(50)), (Decimal(90), Decimal(500))),
        asks=((Decimal(110), Decimal(75)), (Decimal(121), Decimal(500))),
    )  # fmt: skip
    # Sold at 95 on average, bought at 112.75.
    assert cost(book, side=side).impact == Decimal("0.05") + Decimal("0.025")


def test_a_side_without_levels_costs_what_its_volume_says() -> None:
    book = quoted("100", "110", depth_time=NOON, asks=((Decimal(110), Decimal(500)),))
    assert cost(book).impact == Decimal("0.00025")


def test_an_entry_with_a_limit_pays_spread_and_impact_once() -> None:
    book = quoted("100", "110", depth_time=NOON,
        bids=((Decimal(100), Decimal(50)), (Decimal(90), Decimal(500))),
        asks=((Decimal(110), Decimal(75)), (Decimal(121), Decimal(500))),
    )  # fmt: skip
    limited = cost(book, limited=True)
    assert (limited.fees, limited.impact) == (FEES, Decimal("0.05"))
    assert limited.spread * 2 == cost(book).spread
    assert cost(book, limited=True, side=Side.SELL).impact == Decimal("0.025")


def test_an_inverse_contract_walks_its_levels_in_coins() -> None:
    contract = generic_instrument("XBT_USD", Decimal("0.5"), inverse=True)
    asks = ((Decimal(100), Decimal(5)), (Decimal(125), Decimal(50)))
    book = quoted("100", "100", depth_time=NOON, asks=asks, bids=((Decimal(100), Decimal(90)),))
    found = cost(book, instrument=contract, quantity=Decimal(1000), base=Decimal(10))
    assert round(found.impact, 6) == Decimal("0.111111")


# The layer


def costly(**fields: Any) -> LayerResult:
    return layer(2, **fields)


def test_2_the_cost_may_be_as_large_a_share_of_the_stop_as_allowed() -> None:
    # 0.0016 + 0.0004 + 2 x 0.0005 x sqrt(100 / 100) over 0.02
    given = {"health": market(traded=traded(1500)), "now": NOON}
    exact = costly(settings=settings(MAX_COST_SHARE="0.15"), **given)
    assert exact.verdict is LayerVerdict.NOT_APPLICABLE
    assert exact.detail == (
        "no quotes to compare; fees 0.0016, spread 0.0004 and impact 0.0010 of entry and exit over"
        " 0.0200 to the stop: 0.1500, at most 0.15"
    )
    above = costly(settings=settings(MAX_COST_SHARE="0.1499"), **given)
    assert (above.verdict, above.value, above.limit) == (
        *(LayerVerdict.FAIL, Decimal("0.15"), Decimal("0.1499")),
    )
    assert (above.unit, above.headroom) == ("fraction", Decimal("-0.0001"))
    assert above.detail == (
        "fees 0.0016, spread 0.0004 and impact 0.0010 of entry and exit over 0.0200 to the stop"
    )


def test_2_volume_is_that_of_the_look_back_window_a_minute() -> None:
    window = settings(MAX_COST_SHARE="0.05", LOOKBACK_MINUTES="1")
    found = costly(settings=window, health=market(traded=traded(100)))
    assert found.value == Decimal("0.15")
    assert costly(settings=window, health=market(traded=traded(400))).value == Decimal("0.125")


@pytest.mark.parametrize("share", ["0.05", "1"])
def test_2_a_nearer_stop_makes_the_same_cost_a_larger_share(share: str) -> None:
    given = {"settings": settings(MAX_COST_SHARE=share), "health": market(traded=traded(1500))}
    assert costly(stop_loss_price="99.71", **given).verdict is LayerVerdict.FAIL
    passes = costly(stop_loss_price="94", **given).verdict is not LayerVerdict.FAIL
    assert passes
    assert (costly(stop_loss_price="99.70", **given).verdict is LayerVerdict.FAIL) == (share != "1")


def test_2_what_only_closes_a_position_may_cost_anything() -> None:
    dear = {"settings": settings(MAX_COST_SHARE="0.05")}
    for held, verdict in (("0", False), ("100", False), ("-99", False), ("-100", True)):
        found = costly(position=held, **dear)
        assert (found.verdict is not LayerVerdict.FAIL) == verdict
    for held, verdict in (("-1", False), ("99", False), ("100", True), ("101", True)):
        sold = costly(position=held, side=Side.SELL, stop_loss_price="102", **dear)
        assert (sold.verdict is not LayerVerdict.FAIL) == verdict


def test_2_nothing_is_reckoned_where_layers_3_and_6_refuse_anyway() -> None:
    dear = settings(MAX_COST_SHARE="0.05")
    for fields in (
        {"health": market(seen_at=None)},
        {"contract_known": False},
        {"stop_loss_price": "100"},
        {"stop_loss_price": "101"},
    ):
        found = costly(settings=dear, **fields)
        assert found.detail == "no quotes to compare"


def test_2_an_anomaly_is_told_before_the_cost() -> None:
    dear = settings(MAX_COST_SHARE="0.05")
    paused = market(anomaly=Reason.PRICE_JUMP)
    assert assess(candidate(settings=dear, health=paused)).reason is Reason.PRICE_JUMP
    assert assess(candidate(settings=dear)).reason is Reason.COST_TOO_HIGH


# The decision


def test_an_entry_that_is_too_dear_is_blocked_alone_and_told_as_information() -> None:
    desk = Desk()
    desk.trade(100)
    desk.quote("99.8", "100.2")  # 0.4 % of spread: 0.0016 + 0.004 + impact over 0.02

    refused = desk.signal(100)

    assert (refused.verdict, refused.reason) == (Verdict.REJECTED, Reason.COST_TOO_HIGH)
    assert [other.verdict for other in refused.layers if other.layer > 2] == [LayerVerdict.PASS] * 5
    (alert,) = desk.alerts_of("COST_TOO_HIGH")
    assert (alert.level, alert.layer, alert.symbol) == (AlertLevel.INFO, 2, BTC)
    assert desk.states == []
    assert desk.risk.state.symbol_health(BTC).state is TradingState.ACTIVE

    desk.quote("99.99", "100.01")
    assert desk.signal(100).verdict is Verdict.APPROVED
    phases = [told.phase for told in desk.alerts_of("COST_TOO_HIGH")]
    assert phases == [AlertPhase.BEGAN, AlertPhase.CLEARED]


def test_in_a_market_that_pauses_the_alert_on_its_cost_stays_as_it_is() -> None:
    desk = Desk()
    desk.trade(100)
    desk.quote("99.8", "100.2")
    desk.signal(100)
    desk.trade(110)

    assert desk.signal(110).reason in (Reason.PRICE_UNCONFIRMED, Reason.PRICE_JUMP)

    assert [told.phase for told in desk.alerts_of("COST_TOO_HIGH")] == [AlertPhase.BEGAN]


def test_the_size_that_was_trimmed_is_what_costs() -> None:
    asked = Desk({"RISK_PER_TRADE_PCT": "0.02", "MAX_COST_SHARE": "0.16"})
    asked.trade(100, volume=1500)

    decision = asked.signal(100)

    # 1,000 were asked for; the 100 that are left move a market of 100 a minute by 0.05 %.
    assert (decision.verdict, decision.quantity) == (Verdict.TRIMMED, 100)


def test_a_limit_entry_pays_the_spread_once() -> None:
    desk = Desk({"MAX_COST_SHARE": "0.20"})
    desk.trade(100, volume=1500)
    desk.quote("99.9", "100.1")

    assert desk.signal(100).reason == Reason.COST_TOO_HIGH
    stop = desk.signal(100, order_type=OrderType.STOP, trigger_price=101)
    assert stop.reason == Reason.COST_TOO_HIGH
    limited = desk.signal(100, order_type=OrderType.LIMIT, limit_price=100)
    assert limited.verdict is Verdict.APPROVED


def test_exits_pass_whatever_they_cost() -> None:
    desk = Desk()
    desk.enter(100)
    desk.quote(90, 110)

    assert desk.exit_signal(100).verdict is Verdict.APPROVED


# The volume


def test_volume_is_that_of_the_window_and_no_second_more() -> None:
    volume = TradedVolume()
    for second in range(300):
        volume.add(NOON + second * 1000 + 500, Decimal(2), 2)

    now = NOON + 200_000
    assert volume.within(now, 2) == (119 + 100) * 2  # those after now are late clocks' and count
    assert volume.within(NOON + 300_000, 2) == 119 * 2
    assert volume.within(NOON + 299_999, 2) == 120 * 2
    assert volume.within(NOON + 419_999, 2) == 0


def test_a_long_window_is_counted_in_longer_parts_and_never_too_much() -> None:
    volume = TradedVolume()
    for minute in range(3 * 1440):
        volume.add(NOON + minute * 60_000, Decimal(1), 1440)

    assert len(volume.parts) <= 1801
    assert 1437 <= volume.within(NOON + 3 * 1440 * 60_000, 1440) <= 1440


def test_late_and_backfilled_volume_counts_where_it_was_traded() -> None:
    desk = Desk({"LOOKBACK_MINUTES": "2"})
    desk.trade(100, volume=5)
    for ago, amount in ((90_000, 7), (150_000, 11)):
        desk.feed(builders.trade(BTC, 100, NOON - ago, amount, backfill=True))

    assert desk.risk.state.symbol_health(BTC).traded.within(NOON, 2) == 5 + 7


def test_old_volume_is_forgotten() -> None:
    volume = TradedVolume()
    for second in range(5000):
        volume.add(NOON + second * 1000, Decimal(1), 3)
        volume.add(NOON, Decimal(1), 3)

    assert len(volume.parts) <= 1801
    assert volume.within(NOON + 4_999_000, 3) == 180


def test_quotes_and_other_symbols_are_no_volume() -> None:
    desk = Desk()
    desk.quote(99, 101)
    desk.trade(100, "ETH_USDT")

    assert desk.risk.state.symbol_health(BTC).traded.parts == {}
