"""Halts: what begins one, what does not end one, and what a reset changes (contract, 6.2)."""

from decimal import Decimal

import pytest

from services.kernel.events import (
    AlertLevel,
    AlertPhase,
    OrderStatus,
    Origin,
    Side,
    TradingState,
    Verdict,
)
from services.kernel.reasons import Reason
from tests import builders
from tests.builders import BTC, DAY_MS, ETH, MIDNIGHT, NOON
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]

CALM = {"MAX_PRICE_JUMP_PCT": "0.30", "STOP_LOSS_PCT": "0.10", "RISK_PER_TRADE_PCT": "0.01"}
"""Large moves without a stop or an anomaly in between."""
TODAY = NOON // DAY_MS


def losing_desk(**fields: object) -> Desk:
    """Long 100 at 100 in an account that had 104,999 this morning: 1 more and the day is over."""
    settings = {**CALM, "MAX_DAILY_DRAWDOWN_PCT": "0.05"}
    opening = builders.account(
        day_start=105_000,
        peak=105_000,
        day=TODAY,
        positions=[builders.opening_position(BTC, 100, 100, stop=1, leverage=1)],
    )
    return Desk(settings, symbols=[BTC, ETH], opening=opening, **fields)  # type: ignore[arg-type]


def account_reasons(desk: Desk) -> list[str]:
    return [change.reason for change in desk.states if change.symbol is None]


def test_a_day_s_loss_at_its_limit_halts_with_a_critical_alert() -> None:
    desk = losing_desk()
    desk.trade("97.51")
    assert desk.states == []

    desk.trade("97.50")  # 99,750 of 105,000: a loss of exactly 5 %

    (change,) = desk.states
    assert (change.previous, change.state) == (TradingState.ACTIVE, TradingState.HALTED)
    assert (change.layer, change.reason) == (1, Reason.DAILY_DRAWDOWN)
    (alert,) = desk.alerts_of("RISK_LIMIT")
    assert (alert.level, alert.layer, alert.symbol) == (AlertLevel.CRITICAL, 1, None)


def test_the_daily_halt_leaves_positions_to_their_stops() -> None:
    desk = losing_desk()
    desk.trade("97")
    assert desk.risk.state.account is TradingState.HALTED
    assert desk.orders == []

    desk.trade("1")
    desk.trade("1")  # a jump counts when the next trade came

    assert desk.orders[-1].origin in (Origin.STOP_LOSS, Origin.LIQUIDATION)


def test_the_emergency_stop_halts_and_closes_positions() -> None:
    desk = losing_desk()
    desk.risk.portfolio.state.peak_equity = Decimal(111_000)

    desk.trade("98.99")

    change = desk.states[0]
    assert (change.state, change.reason) == (TradingState.HALTED, Reason.EQUITY_DRAWDOWN)
    assert desk.orders[-1].origin is Origin.EMERGENCY_STOP
    assert [alert.level for alert in desk.alerts_of("RISK_LIMIT")] == [AlertLevel.CRITICAL]


def test_what_was_lost_over_several_days_is_an_emergency_on_a_good_day_too() -> None:
    opening = builders.account(
        day_start=99_000,
        peak=110_500,
        day=TODAY,
        positions=[builders.opening_position(BTC, 100, 100, stop=1, leverage=1)],
    )
    desk = Desk(CALM, opening=opening)
    desk.trade("94.51")
    assert desk.states == []

    desk.trade("94.50")  # 99,450 of 110,500: a loss of exactly a tenth

    (change,) = desk.states
    assert (change.state, change.layer) == (TradingState.HALTED, 1)
    assert change.reason == Reason.EQUITY_DRAWDOWN
    assert [alert.layer for alert in desk.alerts_of("RISK_LIMIT")] == [1]
    assert desk.orders[-1].origin is Origin.EMERGENCY_STOP


def test_a_day_already_lost_becomes_an_emergency_when_the_loss_goes_on() -> None:
    desk = losing_desk()
    desk.trade("97")
    desk.trade("90")
    desk.trade("44")
    desk.trade("44")  # confirmed: 94,400 of 105,000

    assert account_reasons(desk) == [Reason.DAILY_DRAWDOWN, Reason.EQUITY_DRAWDOWN]
    assert desk.states[-1].previous is TradingState.HALTED
    assert [alert.level for alert in desk.alerts_of("EMERGENCY_STOP")] == [AlertLevel.CRITICAL]
    assert desk.orders[-1].origin in (Origin.EMERGENCY_STOP, Origin.LIQUIDATION)


def test_losses_are_seen_by_the_clock_and_by_a_closing_fill_as_well() -> None:
    desk = losing_desk()
    fill = builders.result(BTC, Side.SELL, 100, 97, desk.now, reduce_only=True)

    desk.feed(fill)

    assert desk.states[-1].reason == Reason.DAILY_DRAWDOWN


def test_a_tighter_limit_in_a_new_run_halts_even_without_positions() -> None:
    opening = builders.account(97_000, day_start=100_000, peak=100_000, day=TODAY)

    desk = Desk({"MAX_DAILY_DRAWDOWN_PCT": "0.03"}, opening=opening)

    assert desk.risk.state.account is TradingState.HALTED


def test_a_halt_refuses_entries_and_cancels_open_ones() -> None:
    desk = Desk()
    desk.trade(100)
    desk.signal(100)

    desk.feed(builders.halt("looks wrong", at=desk.now))

    assert (desk.results[-1].status, desk.results[-1].reason) == (
        *(OrderStatus.CANCELLED, Reason.HALTED),
    )
    assert desk.signal(100).reason == Reason.HALTED
    assert desk.risk.state.pending == {}


def test_neither_midnight_nor_time_ends_a_halt() -> None:
    desk = Desk(now=MIDNIGHT - 2000)
    desk.feed(builders.halt(at=desk.now))

    desk.wait(3 * 86_400, step=3600)
    desk.trade(100)

    assert desk.signal(100).reason == Reason.HALTED


def test_neither_a_restart_nor_a_new_run_ends_a_halt() -> None:
    desk = Desk()
    desk.feed(builders.halt(at=desk.now))
    for stage in (desk.risk, desk.execution):
        stage.restore(stage.snapshot())
    desk.trade(100)
    assert desk.signal(100).reason == Reason.HALTED

    desk.feed(builders.run_ended(desk.now))
    opening = builders.account(halted="OPERATOR: looks wrong")
    desk.feed(builders.run_started(opening=opening, run_id="run-2", at=desk.now))
    desk.feed(builders.instruments(builders.instrument(BTC)))
    desk.wait(1)
    desk.trade(100)

    assert desk.signal(100).reason == Reason.HALTED
    assert desk.execution.state.account is TradingState.HALTED
    assert desk.risk.status()["halt_reason"] == "OPERATOR: looks wrong"


def test_a_reset_rebases_peak_and_day_and_records_old_and_new() -> None:
    desk = losing_desk()
    desk.trade(97)
    equity = desk.equity

    desk.feed(builders.reset("checked the market", at=desk.now))

    release = desk.states[-1]
    assert (release.previous, release.state) == (TradingState.HALTED, TradingState.ACTIVE)
    assert (release.reason, release.message) == (Reason.OPERATOR, "operator: checked the market")
    assert release.values == {
        "equity": equity,
        "previous_peak_equity": 105_000,
        "previous_day_start_equity": 105_000,
    }
    for stage in (desk.risk, desk.execution, desk.portfolio):
        assert stage.portfolio.state.peak_equity == equity == 99_700
        assert stage.portfolio.state.day_start_equity == equity


def test_after_a_reset_trading_goes_on_and_loses_from_the_new_base() -> None:
    desk = losing_desk()
    desk.trade(97)
    desk.feed(builders.reset(at=desk.now))
    desk.trade(100, ETH)
    assert desk.signal(100, symbol=ETH, quantity=1).verdict is Verdict.APPROVED

    desk.trade("50")

    assert account_reasons(desk) == [Reason.DAILY_DRAWDOWN, Reason.OPERATOR]
    desk.trade("47")
    assert account_reasons(desk)[2:] == [Reason.DAILY_DRAWDOWN]


def test_a_reset_ends_the_alert_of_the_halt() -> None:
    desk = losing_desk()
    desk.trade(97)
    desk.feed(builders.reset(at=desk.now))

    assert [alert.phase for alert in desk.alerts_of("RISK_LIMIT")] == [
        *(AlertPhase.BEGAN, AlertPhase.CLEARED),
    ]


def test_a_reset_when_nothing_is_halted_changes_nothing_but_answers() -> None:
    desk = losing_desk()
    before = (desk.risk.snapshot(), desk.portfolio.snapshot())

    led_to = desk.feed(builders.reset(at=desk.now))

    (answer,) = led_to
    assert answer == desk.states[-1]
    assert desk.states[-1].previous is desk.states[-1].state is TradingState.ACTIVE
    assert desk.states[-1].message == "nothing is halted, nothing changed"
    assert (desk.risk.snapshot(), desk.portfolio.snapshot()) == before


def test_a_loss_from_before_the_reset_does_not_halt_while_the_reset_is_on_its_way() -> None:
    desk = losing_desk()
    desk.trade(97)
    risk = desk.risk

    (release,) = [
        event
        for event in risk.handle(builders.reset(at=desk.now))
        if getattr(event, "state", None) is TradingState.ACTIVE
    ]
    before_it_is_read = risk.handle(builders.trade(BTC, "96.9", desk.now))
    an_older_answer = builders.trading_state(TradingState.ACTIVE)
    risk.handle(an_older_answer)
    still_before = risk.handle(builders.trade(BTC, "96.8", desk.now))
    risk.handle(release)
    afterwards = risk.handle(builders.trade(BTC, "96.7", desk.now))

    assert before_it_is_read == still_before == afterwards == []
    assert risk.state.account is TradingState.ACTIVE


def test_a_second_halt_command_is_answered_and_changes_nothing() -> None:
    desk = Desk()
    desk.feed(builders.halt("first", at=desk.now))

    desk.feed(builders.halt("second", at=desk.now))

    assert [change.state for change in desk.states] == [TradingState.HALTED] * 2
    assert desk.states[-1].message == "already halted: OPERATOR: operator: first"
    assert len(desk.alerts_of("OPERATOR_HALT")) == 1


def test_an_operator_s_halt_beside_risk_s_own_is_told_as_well() -> None:
    desk = losing_desk()
    desk.trade(97)

    desk.feed(builders.halt("mine", at=desk.now))

    assert [alert.code for alert in desk.alerts] == ["RISK_LIMIT", "OPERATOR_HALT"]
    shown = desk.risk.status()
    assert shown["halt_reason"] == (
        "DAILY_DRAWDOWN: equity is 5.05% below the day's start: no more entries"
    )
    assert shown["further_halts"] == ["OPERATOR: operator: mine"]


def test_a_release_forgets_every_cause_of_the_halt() -> None:
    desk = losing_desk()
    desk.trade(97)
    desk.feed(builders.halt("mine", at=desk.now))

    desk.feed(builders.reset(at=desk.now))

    shown = desk.risk.status()
    assert (shown["halt_reason"], shown["further_halts"]) == (None, [])


def test_exposure_far_above_its_limit_halts() -> None:
    position = builders.opening_position(BTC, 1600, 50, stop=45)
    desk = Desk(CALM, opening=builders.account(positions=[position]))
    assert desk.states == []

    desk.trade("50.1")
    desk.wait(1)

    change = desk.states[-1]
    assert (change.layer, change.reason) == (4, Reason.EXPOSURE_EXCESSIVE)
    assert desk.alerts[-1].level is AlertLevel.CRITICAL


def test_a_lost_record_halts_until_a_person_looked() -> None:
    desk = Desk()
    desk.trade(100)

    desk.feed(builders.recovered(desk.now))

    assert desk.states[-1].reason == Reason.RECORD_LOST
    assert desk.alerts[-1].message == "events 10 to 20 may be lost"
    assert desk.signal(100).reason == Reason.HALTED
    desk.feed(builders.reset(at=desk.now))
    assert desk.signal(100).verdict is Verdict.APPROVED
