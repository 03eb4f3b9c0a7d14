"""Layer 2 in figures: what is told of an anomaly, and what the normal spread is."""

from decimal import Decimal

import pytest

from services.kernel.events import AlertLevel, MarketData, MarketDataKind, TradingState
from services.kernel.reasons import Reason
from services.kernel.risk.state.symbol_health import SymbolHealth
from services.kernel.settings.model import TradingSettings
from tests import builders
from tests.builders import BTC, ETH, NOON, SOL
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]


def test_a_jump_is_told_with_its_size_its_limit_and_its_reason() -> None:
    desk = Desk()
    desk.trade(100)
    desk.trade(106)
    desk.wait(1)
    desk.trade("106.1")

    layer = desk.signal("106.1").layers[1]

    assert (layer.value, layer.limit, layer.unit) == (Decimal("0.06"), Decimal("0.05"), "fraction")
    assert layer.detail == "pauses for PRICE_JUMP, 0 retries failed"
    (change,) = desk.states
    assert (change.layer, change.reason) == (2, Reason.PRICE_JUMP)
    assert desk.alerts[0].context == {"reason": "PRICE_JUMP"}


def test_slippage_that_was_seen_is_told_with_its_size_and_its_limit() -> None:
    desk = Desk({"MAX_SLIPPAGE_PCT": "0.01", "SIM_IMPACT_PCT": "0"})
    desk.enter(100)
    desk.exit_signal(100)
    desk.wait(1)
    desk.trade("98.5")

    layer = desk.signal("98.5").layers[1]

    slipped = desk.results[-1].slippage_bps
    assert slipped is not None
    assert layer.value == slipped / 10_000
    assert (layer.limit, layer.unit) == (Decimal("0.01"), "fraction")
    assert layer.detail == "pauses for SLIPPAGE_SEEN, 0 retries failed"


@pytest.mark.parametrize("price", ["0", None])
def test_a_trade_without_a_price_is_compared_with_nothing(price: str | None) -> None:
    market, settings = SymbolHealth(), TradingSettings.parse({})[0]
    market.observe(builders.trade(BTC, 100), settings)
    unpriced = None if price is None else Decimal(price)

    seen = market.observe(
        builders.tick(MarketDataKind.TRADE, BTC, NOON + 9, price=unpriced), settings
    )

    assert (seen, market.last_trade, market.seen_at) == (None, 100, NOON + 9)


def test_a_price_below_one_jumps_as_any_other() -> None:
    desk = Desk()
    desk.trade("0.50")

    desk.trade("0.53")

    assert desk.states[-1].reason == Reason.PRICE_JUMP
    assert desk.signal("0.53").layers[1].value == Decimal("0.06")


def test_a_side_that_is_no_longer_quoted_is_unknown_and_a_tick_without_quotes_changes_none() -> (
    None
):
    market, settings = SymbolHealth(), TradingSettings.parse({})[0]

    def quoted(tick: MarketData) -> tuple[Decimal | None, Decimal | None]:
        market.observe(tick, settings)
        return market.book.bid, market.book.ask

    assert quoted(builders.quote(BTC, 99, 101)) == (99, 101)
    assert quoted(builders.mark(BTC, 50)) == (99, 101)
    assert quoted(builders.quote(BTC, None, 102)) == (None, 102)
    assert quoted(builders.quote(BTC, 98, None)) == (98, None)


def test_three_at_once_halt_with_one_alert_of_their_own() -> None:
    desk = Desk(symbols=(BTC, ETH, SOL))
    for symbol in (BTC, ETH, SOL):
        desk.trade(100, symbol)
        desk.trade(110, symbol)

    halted = desk.states[-1]
    assert (halted.symbol, halted.layer) == (None, 2)
    assert halted.reason == Reason.ANOMALIES_IN_SEVERAL_SYMBOLS
    critical = [alert for alert in desk.alerts if alert.level is AlertLevel.CRITICAL]
    assert [(alert.code, alert.symbol, alert.layer) for alert in critical] == [
        ("CIRCUIT_BREAKER", None, 2)
    ]
    assert critical[0].context == {"reason": "ANOMALIES_IN_SEVERAL_SYMBOLS"}


def test_retry_and_quarantine_are_layer_2() -> None:
    desk = Desk()
    desk.trade(100)
    desk.trade(110)
    desk.wait(121)
    assert [(c.layer, c.reason) for c in desk.states if c.state is TradingState.ACTIVE] == [
        (2, Reason.RETRY_PASSED)
    ]
    for number in range(90):
        desk.trade(110 if number % 2 else 121)
        desk.wait(10)

    assert [(c.layer, c.reason) for c in desk.states if c.state is TradingState.HALTED] == [
        (2, Reason.QUARANTINED)
    ]
    desk.feed(builders.resume(BTC, at=desk.now))
    market = desk.risk.state.symbol_health(BTC)
    assert (market.failed_retries, market.quarantined, market.operator_paused) == (0, False, False)


def test_the_normal_spread_is_an_average_that_a_blow_out_moves_by_its_limit_only() -> None:
    desk = Desk({"MAX_SPREAD_MULTIPLIER": "5"})
    desk.quote("99.9", "100.1")
    desk.quote("99.8", "100.2")
    market = desk.risk.state.symbol_health(BTC)
    # 0.2 / 100, and then a fiftieth of the way to 0.4 / 100
    assert market.normal_spread == Decimal("0.002") + Decimal("0.002") / 50
    for _ in range(20):
        desk.quote("99.9", "100.1")
    before = market.normal_spread

    desk.quote("90", "110")

    assert before is not None
    assert (market.spread, market.compared_with) == (Decimal("0.2"), before)
    assert market.spread_multiple == Decimal("0.2") / before
    moved = before + (before * 5 - before) / 50
    assert market.normal_spread == moved.quantize(Decimal("1E-12"))


def test_a_spread_of_exactly_its_limit_passes() -> None:
    desk = Desk({"MAX_SPREAD_MULTIPLIER": "2"})
    for _ in range(25):
        desk.quote("99.5", "100.5")

    desk.quote("99", "101")

    assert desk.risk.state.symbol_health(BTC).spread_multiple == 2
    assert desk.states == []


def test_the_next_trade_is_compared_with_the_newest_backfilled_one() -> None:
    desk = Desk()
    desk.trade(100)
    desk.now += 10_000
    market = desk.risk.state.symbol_health(BTC)

    desk.feed(builders.trade(BTC, "0.5", desk.now - 5_000, backfill=True))
    assert market.last_trade == Decimal("0.5")
    desk.feed(builders.trade(BTC, 109, desk.now - 5_000, backfill=True))
    assert market.last_trade == 109
    desk.feed(builders.trade(BTC, 50, desk.now - 6_000, backfill=True))
    desk.feed(builders.trade(BTC, 0, desk.now, backfill=True))
    desk.feed(builders.quote(BTC, 49, 51, desk.now, price=Decimal(50), backfill=True))
    desk.feed(builders.quote(BTC, 49, 51, desk.now, backfill=True))

    assert market.last_trade == 109
    desk.trade(110)
    assert desk.states == []
