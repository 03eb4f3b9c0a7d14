"""Pauses by operators, and conditions that shells see: what forbids entries without a halt."""

import pytest

from services.kernel.events import ConditionName, TradingState, Verdict
from services.kernel.reasons import Reason
from services.kernel.risk.state.symbol_health import SymbolHealth
from tests import builders
from tests.builders import BTC, ETH, SOL
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]


def test_commands_count_only_from_risk_itself() -> None:
    desk = Desk()

    for command in (builders.halt, builders.pause):
        assert desk.feed(command(at=desk.now, producer="cdb_paper_runner")) == []

    assert desk.risk.state.account is TradingState.ACTIVE


def test_a_pause_ends_by_a_resume() -> None:
    desk = Desk()
    desk.trade(100)
    desk.signal(100)

    desk.feed(builders.pause(at=desk.now))
    assert desk.results[-1].reason == Reason.PAUSED
    assert desk.signal(100).reason == Reason.PAUSED
    desk.feed(builders.resume(at=desk.now))

    assert [change.state for change in desk.states] == [TradingState.PAUSED, TradingState.ACTIVE]
    assert desk.signal(100).verdict is Verdict.APPROVED


def test_what_restricts_a_symbol_is_shown() -> None:
    desk = Desk(symbols=[BTC, ETH, SOL])
    for symbol in (BTC, ETH, SOL):
        desk.trade(100, symbol)
    desk.feed(builders.pause(ETH, at=desk.now))
    desk.wait(61)
    desk.trade(100, BTC)
    desk.trade(120, BTC)

    assert desk.risk.status()["restricted"] == {
        BTC: {"state": TradingState.PAUSED, "why": ["PRICE_JUMP"]},
        ETH: {"state": TradingState.PAUSED, "why": ["OPERATOR", "DATA_STALE"]},
        SOL: {"state": TradingState.REDUCE_ONLY, "why": ["DATA_STALE"]},
    }
    assert desk.risk.status()["operator_paused"] is False


def test_each_restriction_of_a_symbol_is_named_and_none_where_there_is_none() -> None:
    market = SymbolHealth()
    assert market.why_restricted == ()

    for name, reason in (
        ("operator_paused", "OPERATOR"),
        ("quarantined", "QUARANTINED"),
        ("stale", "DATA_STALE"),
        ("uncertain", "CONDITION_OPEN"),
    ):
        assert SymbolHealth(**{name: True}).why_restricted == (reason,)
    assert SymbolHealth(quarantined=True, anomaly=Reason.PRICE_JUMP).why_restricted == (
        "QUARANTINED", "PRICE_JUMP",
    )  # fmt: skip


def test_a_doubted_symbol_and_a_paused_account_are_shown() -> None:
    desk = Desk(symbols=[BTC])
    desk.trade(100, BTC)
    assert desk.risk.status()["restricted"] == {}

    desk.feed(builders.condition(ConditionName.DATA_GAP, symbol=BTC, at=desk.now))
    desk.feed(builders.pause(at=desk.now))

    shown = desk.risk.status()
    assert shown["restricted"] == {
        BTC: {"state": TradingState.REDUCE_ONLY, "why": ["CONDITION_OPEN"]}
    }
    assert shown["operator_paused"] is True


def test_a_paused_symbol_leaves_the_others_alone() -> None:
    desk = Desk(symbols=[BTC, ETH])
    desk.trade(100, BTC)
    desk.trade(100, ETH)

    desk.feed(builders.pause(BTC, at=desk.now))

    assert desk.signal(100, symbol=BTC).reason == Reason.PAUSED
    assert desk.signal(100, symbol=ETH).verdict is Verdict.APPROVED
    desk.feed(builders.resume(BTC, at=desk.now))
    assert desk.signal(100, symbol=BTC).verdict is Verdict.APPROVED


@pytest.mark.parametrize("symbol", [None, BTC])
def test_every_pause_and_resume_is_answered(symbol: str | None) -> None:
    desk = Desk()

    for command in (builders.resume, builders.pause, builders.pause, builders.resume):
        before = len(desk.states)
        desk.feed(command(symbol, at=desk.now))
        assert len(desk.states) == before + 1
        assert desk.states[-1].symbol == symbol


def test_a_pause_during_a_halt_holds_after_the_reset() -> None:
    desk = Desk()
    desk.feed(builders.halt(at=desk.now))
    desk.feed(builders.pause(at=desk.now))
    assert desk.states[-1].state is TradingState.HALTED

    desk.feed(builders.reset(at=desk.now))

    assert desk.states[-1].state is TradingState.PAUSED


def test_a_resume_does_not_end_a_halt() -> None:
    desk = Desk()
    desk.feed(builders.halt(at=desk.now))

    desk.feed(builders.resume(at=desk.now))

    assert desk.risk.state.account is TradingState.HALTED
    assert desk.states[-1].message == "a halt needs a reset"


def test_a_pause_stays_in_the_next_run() -> None:
    opening = builders.account(paused=True, paused_symbols=(ETH,), quarantined=(SOL,))
    desk = Desk(symbols=[BTC, ETH, SOL], opening=opening)
    for symbol in (BTC, ETH, SOL):
        desk.trade(100, symbol)

    assert desk.signal(100, symbol=BTC).reason == Reason.PAUSED
    desk.feed(builders.resume(at=desk.now))
    assert desk.signal(100, symbol=BTC).verdict is Verdict.APPROVED
    assert desk.signal(100, symbol=ETH).reason == Reason.PAUSED
    assert desk.signal(100, symbol=SOL).reason == Reason.QUARANTINED
    assert desk.execution.state.symbol_states == {
        ETH: TradingState.PAUSED,
        SOL: TradingState.HALTED,
    }


@pytest.mark.parametrize(
    "name",
    [
        ConditionName.DATABASE_AWAY,
        ConditionName.LAG,
        ConditionName.DATA_GAP,
        ConditionName.CLOCK_OFFSET,
    ],
)
def test_while_a_condition_holds_nothing_enters(name: ConditionName) -> None:
    desk = Desk()
    desk.trade(100)
    desk.signal(100)

    desk.feed(builders.condition(name, at=desk.now))
    assert desk.results[-1].reason == Reason.CONDITION_OPEN
    assert desk.signal(100).reason == Reason.CONDITION_OPEN
    assert "not reachable" in desk.decisions[-1].layers[2].detail

    cleared = builders.ConditionPhase.CLEARED
    desk.feed(builders.condition(name, cleared, at=desk.now))
    assert desk.signal(100).verdict is Verdict.APPROVED
    assert desk.risk.state.account is TradingState.ACTIVE


def test_a_condition_of_one_symbol_leaves_the_others_alone() -> None:
    desk = Desk(symbols=[BTC, ETH])
    desk.trade(100, BTC)
    desk.trade(100, ETH)

    desk.feed(builders.condition(ConditionName.DATA_GAP, symbol=BTC, at=desk.now))

    assert desk.signal(100, symbol=BTC).reason == Reason.CONDITION_OPEN
    assert desk.signal(100, symbol=ETH).verdict is Verdict.APPROVED


def test_a_gap_that_begins_again_is_the_same_doubt() -> None:
    desk = Desk()
    desk.trade(100, BTC)
    for bounds in ({}, {"lost_from": desk.now - 2, "lost_to": desk.now - 1}):
        gap = builders.condition(ConditionName.DATA_GAP, symbol=BTC, at=desk.now, **bounds)
        desk.feed(gap)
    assert desk.signal(100, symbol=BTC).reason == Reason.CONDITION_OPEN

    cleared = builders.ConditionPhase.CLEARED
    desk.feed(builders.condition(ConditionName.DATA_GAP, cleared, symbol=BTC, at=desk.now))

    assert desk.signal(100, symbol=BTC).verdict is Verdict.APPROVED


def test_two_services_may_be_in_the_same_doubt_and_both_must_be_over_it() -> None:
    desk = Desk()
    desk.trade(100)
    for producer in ("cdb_db_writer", "cdb_execution"):
        desk.feed(builders.condition(producer=producer, at=desk.now))

    cleared = builders.ConditionPhase.CLEARED
    desk.feed(builders.condition(phase=cleared, producer="cdb_execution", at=desk.now))

    assert desk.signal(100).reason == Reason.CONDITION_OPEN


def test_conditions_that_say_nothing_about_doubt_forbid_nothing() -> None:
    desk = Desk()
    desk.trade(100)

    for name in (ConditionName.SOURCE_ENDED, ConditionName.SETTING_OUT_OF_RANGE):
        desk.feed(builders.condition(name, at=desk.now))

    assert desk.signal(100).verdict is Verdict.APPROVED
