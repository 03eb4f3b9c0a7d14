"""Layer 2 and 3 over time: anomalies, retries, quarantine, silence."""

from decimal import Decimal

import pytest

from services.kernel.events import (
    AlertLevel,
    AlertPhase,
    OrderStatus,
    Side,
    TradingState,
    Verdict,
)
from services.kernel.reasons import Reason
from services.kernel.risk.state.symbol_health import SymbolHealth
from services.kernel.settings.model import TradingSettings
from tests import builders
from tests.builders import BTC, ETH, NOON, SOL
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]


def symbol_states(desk: Desk, symbol: str = BTC) -> list[TradingState]:
    return [change.state for change in desk.states if change.symbol == symbol]


@pytest.mark.parametrize(
    ("price", "reason"),
    [("105", None), ("95", None), ("105.01", "PRICE_JUMP"), ("94.99", "PRICE_JUMP")],
)
def test_a_jump_beyond_the_limit_pauses_the_symbol(price: str, reason: str | None) -> None:
    desk = Desk()
    desk.trade(100)

    desk.trade(price)

    assert [change.reason for change in desk.states] == ([reason] if reason else [])
    desk.trade(price)
    assert desk.signal(price).reason == reason


def test_the_alert_names_symbol_layer_and_figure() -> None:
    desk = Desk()
    desk.trade(100)
    desk.trade(110)

    (alert,) = desk.alerts
    assert (alert.level, alert.code, alert.layer, alert.symbol) == (
        *(AlertLevel.WARNING, "CIRCUIT_BREAKER", 2, BTC),
    )
    assert "PRICE_JUMP at price 110" in alert.message


def with_quotes(desk: Desk, count: int = 20) -> Desk:
    """Enough quotes with a spread of 0.02 to know what is normal."""
    for _ in range(count):
        desk.quote("99.99", "100.01")
    return desk


def test_a_spread_beyond_a_multiple_of_its_normal_pauses_the_symbol() -> None:
    desk = with_quotes(Desk())
    desk.trade(100)

    desk.quote("99.95", "100.05")  # five times: as wide as is allowed
    assert desk.states == []
    desk.quote("99.94", "100.07")
    assert desk.states[-1].reason == Reason.SPREAD_ANOMALY
    decision = desk.signal(100)
    assert (decision.reason, decision.layers[1].limit) == (Reason.SPREAD_ANOMALY, 5)
    assert decision.layers[1].value is not None
    assert decision.layers[1].value > 5


def test_with_too_few_quotes_no_spread_is_abnormal() -> None:
    desk = with_quotes(Desk(), 19)

    desk.quote("90", "110")

    assert desk.states == []


def test_a_blow_out_does_not_become_the_new_normal_at_once() -> None:
    desk = with_quotes(Desk())
    for _ in range(5):
        desk.quote("90", "110")

    # Each counts as five times the normal, weighted with 0.02: 0.0002 x 1.08 ** 5.
    market = desk.risk.state.symbol_health(BTC)
    assert market.normal_spread == pytest.approx(Decimal("0.000293866"), abs=Decimal("1E-9"))
    assert market.anomaly is Reason.SPREAD_ANOMALY


@pytest.mark.parametrize(("bid", "ask"), [("0", "0"), ("0", "100"), (None, "100"), ("99", None)])
def test_a_quote_with_a_side_missing_says_nothing_of_the_spread(
    bid: str | None, ask: str | None
) -> None:
    desk = with_quotes(Desk())

    desk.feed(builders.quote(BTC, bid, ask, desk.now))

    assert desk.states == []


def test_a_crossed_book_has_no_spread() -> None:
    market = SymbolHealth()
    market.observe(builders.quote(BTC, 101, 100), TradingSettings.parse({})[0])

    assert market.spread == 0


def test_slippage_seen_on_a_fill_pauses_the_symbol() -> None:
    desk = Desk()
    desk.trade(100)

    desk.feed(builders.result(slippage_bps="200", at=desk.now))
    assert desk.states == []
    desk.feed(builders.result(slippage_bps="200.1", at=desk.now))

    assert desk.states[-1].reason == Reason.SLIPPAGE_SEEN


def test_a_pause_cancels_the_symbol_s_open_entries_and_no_others() -> None:
    desk = Desk(symbols=[BTC, ETH])
    desk.trade(100, BTC)
    desk.trade(100, ETH)
    desk.signal(100, symbol=BTC)
    desk.signal(100, symbol=ETH)

    # Latency keeps the orders open at this tick.
    desk.feed(builders.trade(BTC, 110, desk.now + 20))

    assert [(r.symbol, r.status, r.reason) for r in desk.results] == [
        (BTC, OrderStatus.CANCELLED, Reason.PAUSED)
    ]


def test_after_a_minute_without_a_new_anomaly_the_symbol_trades_again() -> None:
    desk = Desk()
    desk.trade(100)
    desk.trade(110)

    desk.wait(59)
    desk.trade(110)
    assert symbol_states(desk) == [TradingState.PAUSED]
    assert [alert.phase for alert in desk.alerts] == [AlertPhase.BEGAN]
    desk.wait(1)

    assert symbol_states(desk) == [TradingState.PAUSED, TradingState.ACTIVE]
    assert desk.states[-1].reason == Reason.RETRY_PASSED
    assert [alert.phase for alert in desk.alerts] == [AlertPhase.BEGAN, AlertPhase.CLEARED]
    desk.trade(110)
    assert desk.signal(110).verdict is Verdict.APPROVED


def test_a_retry_fails_while_the_last_quote_is_still_abnormal() -> None:
    desk = with_quotes(Desk())
    desk.quote("99", "101")

    desk.wait(50)
    desk.trade(100)
    desk.wait(11)

    assert desk.risk.state.symbol_health(BTC).failed_retries == 1
    desk.quote("99.99", "100.01")
    desk.wait(60)
    assert symbol_states(desk)[-1] is TradingState.ACTIVE


@pytest.mark.parametrize(("spread", "passes"), [("0.0005", True), ("0.00050001", False)])
def test_a_retry_passes_up_to_the_multiple_that_is_allowed(spread: str, passes: bool) -> None:
    market = SymbolHealth(
        spread=Decimal(spread), compared_with=Decimal("0.0001"), spread_samples=21
    )
    market.pause(Reason.SPREAD_ANOMALY, NOON)

    assert not market.retry(NOON + 59_999, Decimal(5))
    assert market.retry(NOON + 60_000, Decimal(5)) == passes

    assert market.pauses == (not passes)
    assert market.failed_retries == (0 if passes else 1)


def jump_every_half_minute(desk: Desk, minutes: int) -> None:
    price = 100
    for _ in range(minutes * 2):
        price = 220 - price  # 100, 120, 100, ...
        desk.trade(price)
        desk.wait(30)


def test_ten_failed_retries_quarantine_the_symbol_until_a_person_releases_it() -> None:
    desk = Desk()
    desk.trade(100)

    jump_every_half_minute(desk, 9)
    assert desk.risk.state.symbol_health(BTC).failed_retries == 9
    jump_every_half_minute(desk, 1)
    assert symbol_states(desk) == [TradingState.PAUSED, TradingState.HALTED]
    assert [alert.level for alert in desk.alerts_of("QUARANTINED")] == [AlertLevel.WARNING]
    desk.wait(3600, step=30)
    desk.trade(100)
    assert desk.signal(100).reason == Reason.QUARANTINED

    desk.feed(builders.resume(BTC, at=desk.now))
    assert symbol_states(desk)[-1] in (TradingState.ACTIVE, TradingState.REDUCE_ONLY)
    desk.trade(100)
    assert desk.signal(100).verdict is Verdict.APPROVED
    for code in ("QUARANTINED", "CIRCUIT_BREAKER"):
        assert desk.alerts_of(code)[-1].phase is AlertPhase.CLEARED


def test_a_quiet_minute_begins_the_count_of_retries_anew() -> None:
    desk = Desk()
    desk.trade(100)
    jump_every_half_minute(desk, 5)
    desk.wait(30)
    desk.trade(100)
    desk.wait(30)
    assert symbol_states(desk)[-1] is TradingState.ACTIVE

    desk.trade(300)

    assert desk.risk.state.symbol_health(BTC).failed_retries == 0


def test_a_resume_releases_an_anomaly_at_once() -> None:
    desk = Desk()
    desk.trade(100)
    desk.trade(110)
    desk.trade(110)

    desk.feed(builders.resume(BTC, at=desk.now))

    assert desk.signal(110).verdict is Verdict.APPROVED


def test_three_symbols_at_once_halt_the_account() -> None:
    desk = Desk(symbols=[BTC, ETH, SOL])
    for symbol in (BTC, ETH, SOL):
        desk.trade(100, symbol)
    desk.trade(110, BTC)
    desk.trade(110, ETH)
    assert desk.risk.state.account is TradingState.ACTIVE

    desk.trade(110, SOL)

    halt = desk.states[-1]
    assert (halt.symbol, halt.state, halt.layer) == (None, TradingState.HALTED, 2)
    assert halt.reason == Reason.ANOMALIES_IN_SEVERAL_SYMBOLS
    assert desk.alerts[-1].level is AlertLevel.CRITICAL
    assert "3 symbols at once: BTC_USDT, ETH_USDT, SOL_USDT" in desk.alerts[-1].message


def test_symbols_that_recovered_or_wait_for_release_are_not_at_once() -> None:
    desk = Desk(symbols=[BTC, ETH, SOL])
    for symbol in (BTC, ETH, SOL):
        desk.trade(100, symbol)
    desk.trade(110, BTC)
    desk.risk.state.symbol_health(BTC).quarantined = True
    desk.trade(110, ETH)

    desk.trade(110, SOL)

    assert desk.risk.state.account is TradingState.ACTIVE


# Silence


def test_a_silent_symbol_is_stale_and_comes_back_by_itself() -> None:
    desk = Desk(symbols=[BTC, ETH])
    desk.trade(100, BTC)

    desk.wait(60)
    assert desk.states == []
    desk.wait(1)
    assert symbol_states(desk) == [TradingState.REDUCE_ONLY]
    assert desk.signal(100).reason == Reason.DATA_STALE
    desk.trade(100, BTC)

    assert symbol_states(desk) == [TradingState.REDUCE_ONLY, TradingState.ACTIVE]
    assert [(a.code, a.phase, a.layer) for a in desk.alerts] == [
        ("DATA_STALE", AlertPhase.BEGAN, 3),
        ("DATA_STALE", AlertPhase.CLEARED, 3),
    ]
    assert desk.signal(100).verdict is Verdict.APPROVED


def test_becoming_stale_cancels_open_entries() -> None:
    desk = Desk({"ORDER_EXPIRY_SEC": "3600"})
    desk.trade(100)
    desk.signal(100)

    desk.wait(61)

    assert (desk.results[-1].status, desk.results[-1].reason) == (
        *(OrderStatus.CANCELLED, Reason.DATA_STALE),
    )


def test_quotes_are_data_too_and_backfill_is_not() -> None:
    desk = Desk()
    desk.trade(100)
    desk.wait(50)
    desk.quote("99.9", "100.1")
    desk.wait(20)
    assert desk.states == []

    desk.wait(41)
    desk.feed(builders.trade(BTC, 100, desk.now, backfill=True))

    assert symbol_states(desk) == [TradingState.REDUCE_ONLY]


def test_a_symbol_that_never_spoke_is_not_stale_but_cannot_be_traded() -> None:
    desk = Desk()
    desk.wait(300, step=30)

    assert desk.states == []
    assert desk.signal(100).reason == Reason.NO_MARKET_DATA


def test_a_late_tick_does_not_make_the_data_older() -> None:
    market = SymbolHealth()
    settings = TradingSettings.parse({})[0]

    market.observe(builders.trade(at=NOON), settings)
    market.observe(builders.trade(at=NOON - 4000), settings)

    assert market.seen_at == NOON


def test_a_paused_symbol_that_falls_silent_is_stale_when_the_pause_is_over() -> None:
    desk = Desk({"DATA_STALE_TIMEOUT_SEC": "10"})
    desk.trade(100)
    desk.trade(110)

    desk.wait(120)

    assert symbol_states(desk) == [TradingState.PAUSED, TradingState.REDUCE_ONLY]


def test_an_entry_s_slippage_rejects_it_and_pauses_its_symbol() -> None:
    desk = Desk()
    desk.trade(100)
    desk.signal(100)
    desk.wait(1)

    desk.trade("102.5")

    assert (desk.results[-1].status, desk.results[-1].reason) == (
        *(OrderStatus.REJECTED, Reason.SLIPPAGE_EXCEEDED),
    )
    assert desk.position() == 0
    assert symbol_states(desk) == [TradingState.PAUSED]
    assert [alert.code for alert in desk.alerts] == ["SLIPPAGE", "CIRCUIT_BREAKER"]


def test_a_better_price_is_no_slippage() -> None:
    desk = Desk()
    desk.trade(100)
    desk.signal(100)
    desk.wait(1)

    desk.trade("98.5")

    assert desk.results[-1].status is OrderStatus.FILLED
    assert desk.results[-1].slippage_bps < 0
    assert desk.results[-1].side is Side.BUY
