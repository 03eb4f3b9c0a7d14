"""A new run goes on with what was counted, what rests and what pauses, from its first clock."""

from decimal import Decimal
from typing import Any

import pytest

from services.kernel.events import (
    AlertPhase,
    OpeningPause,
    OpeningStreak,
    OrderStatus,
    TradingState,
    Verdict,
)
from services.kernel.reasons import Reason
from services.kernel.risk.stage import RiskStage
from tests import builders
from tests.builders import BTC, ETH, HOUR_MS, NOON
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]


def desk_with(settings: dict[str, str] | None = None, **carried: Any) -> Desk:
    """A run whose time begins at noon, and a first trade of both symbols."""
    desk = Desk(settings, symbols=(BTC, ETH), opening=builders.account(**carried))
    for symbol in (BTC, ETH):
        desk.trade(100, symbol)
    return desk


def refused(desk: Desk, symbol: str = BTC) -> str | None:
    desk.trade(100, symbol)
    return desk.signal(100, symbol=symbol).reason


def test_entries_of_the_run_before_count_until_their_hour_is_over() -> None:
    desk = desk_with({"MAX_TRADES_PER_HOUR": "2"}, entries_ms=(5_000, HOUR_MS))

    assert refused(desk) == Reason.TRADE_FREQUENCY
    desk.wait(4)
    assert refused(desk) == Reason.TRADE_FREQUENCY
    desk.wait(1)
    assert refused(desk) is None
    assert refused(desk, ETH) == Reason.TRADE_FREQUENCY


def test_a_losing_symbol_rests_on_and_the_end_of_its_rest_is_published() -> None:
    streaks = (OpeningStreak(symbol=BTC, losses=3, rest_ms=5_000),)
    desk = desk_with(streaks=streaks)

    assert refused(desk) == Reason.LOSS_COOLDOWN
    assert refused(desk, ETH) is None
    desk.wait(4)
    assert refused(desk) == Reason.LOSS_COOLDOWN
    assert desk.alerts_of("LOSS_COOLDOWN") == []
    desk.wait(1)
    assert refused(desk) is None
    assert [alert.phase for alert in desk.alerts_of("LOSS_COOLDOWN")] == [AlertPhase.CLEARED]


def test_one_more_loss_completes_a_streak_of_the_run_before() -> None:
    position = builders.opening_position(BTC, 1, 100)
    streaks = (OpeningStreak(symbol=BTC, losses=2),)
    desk = desk_with(streaks=streaks, positions=[position])
    assert desk.alerts_of("LOSS_COOLDOWN") == []

    desk.exit_signal(99)
    desk.wait(1)
    desk.trade(99)

    assert desk.results[-1].status is OrderStatus.FILLED
    (alert,) = desk.alerts_of("LOSS_COOLDOWN")
    assert alert.phase is AlertPhase.BEGAN


def paused(retry_ms: int = 5_000, failed_retries: int = 0) -> dict[str, Any]:
    pause = OpeningPause(
        symbol=BTC, reason="SPREAD_ANOMALY", retry_ms=retry_ms, failed_retries=failed_retries
    )
    return {"pauses": (pause,)}


def test_a_symbol_that_an_anomaly_paused_pauses_on_until_its_retry() -> None:
    desk = desk_with(**paused())

    assert refused(desk) == Reason.SPREAD_ANOMALY
    assert refused(desk, ETH) is None
    desk.wait(4)
    assert refused(desk) == Reason.SPREAD_ANOMALY
    assert desk.states == []
    desk.wait(1)

    (change,) = desk.states
    assert (change.previous, change.state) == (TradingState.PAUSED, TradingState.ACTIVE)
    assert [alert.phase for alert in desk.alerts_of("CIRCUIT_BREAKER")] == [AlertPhase.CLEARED]
    assert refused(desk) is None


def test_execution_pauses_it_too() -> None:
    desk = desk_with(**paused())

    assert desk.execution.state.forbids_entries(BTC) is Reason.PAUSED
    desk.wait(5)
    assert desk.execution.state.forbids_entries(BTC) is None


def test_the_retries_that_failed_count_towards_the_quarantine() -> None:
    desk = desk_with(**paused(failed_retries=9))
    desk.trade(50)
    desk.trade(50)

    desk.wait(5)

    assert desk.states[-1].state is TradingState.HALTED
    assert refused(desk) == Reason.QUARANTINED


def test_nothing_ends_before_the_first_clock() -> None:
    stage = RiskStage()
    streaks = (OpeningStreak(symbol=ETH, losses=3, rest_ms=1),)
    opening = builders.account(streaks=streaks, **paused(retry_ms=1))
    stage.handle(builders.run_started(opening=opening))
    restarted = RiskStage()
    restarted.restore(stage.snapshot())

    for risk in (stage, restarted):
        assert risk.state.streak(ETH).in_cooldown(NOON)
        assert risk.state.symbol_health(BTC).state is TradingState.PAUSED
        risk.handle(builders.clock(NOON - 30 * 24 * HOUR_MS))  # a replay: time goes back
        assert risk.state.streak(ETH).in_cooldown(NOON - 30 * 24 * HOUR_MS)
        assert risk.state.symbol_health(BTC).state is TradingState.PAUSED
        risk.handle(builders.clock(NOON - 30 * 24 * HOUR_MS + 1))
        assert not risk.state.streak(ETH).in_cooldown(NOON - 30 * 24 * HOUR_MS + 1)
        assert risk.state.symbol_health(BTC).state is TradingState.ACTIVE


def test_times_are_set_once() -> None:
    desk = desk_with(entries_ms=(5_000,), **paused(retry_ms=30_000))
    desk.wait(10)
    market = desk.risk.state.symbol_health(BTC)

    assert market.retry_at == NOON + 30_000
    assert desk.risk.state.entries_within_the_hour() == 0


def test_exits_pass_whatever_is_carried() -> None:
    desk = desk_with(
        entries_ms=(HOUR_MS,) * 20,
        streaks=(OpeningStreak(symbol=BTC, losses=9, rest_ms=HOUR_MS),),
        positions=[builders.opening_position(BTC, 1, 100)],
        halted="DAILY_DRAWDOWN",
        **paused(),
    )

    decision = desk.exit_signal(100)

    assert (decision.verdict, decision.quantity) == (Verdict.APPROVED, Decimal(1))
