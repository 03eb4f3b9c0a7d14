"""The trading states: every way from one to another, for the account and for a symbol."""

from collections.abc import Callable
from itertools import product

import msgspec
import pytest

from services.kernel.events import (
    RUN_BREAKING,
    AlertLevel,
    ConditionName,
    ConditionPhase,
    Event,
    TradingState,
    TradingStateChanged,
)
from services.kernel.reasons import Reason
from services.kernel.risk.state import transitions
from services.kernel.risk.state.transitions import ACCOUNT, SYMBOL, Table, Trigger
from tests import builders
from tests.builders import BTC, ETH
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]

ACTIVE, REDUCE_ONLY = TradingState.ACTIVE, TradingState.REDUCE_ONLY
PAUSED, HALTED = TradingState.PAUSED, TradingState.HALTED
DB, GAP = ConditionName.DATABASE_AWAY, ConditionName.DATA_GAP


def condition(
    name: ConditionName = DB, *, cleared: bool = False, symbol: str | None = None
) -> Event:
    phase = ConditionPhase.CLEARED if cleared else ConditionPhase.BEGAN
    return builders.condition(name, phase, symbol=symbol)


ACCOUNT_INPUTS = {
    Trigger.HALT: builders.halt,
    Trigger.RESET: builders.reset,
    Trigger.PAUSE: builders.pause,
    Trigger.RESUME: builders.resume,
    Trigger.CONDITION_BEGAN: condition,
    Trigger.CONDITION_CLEARED: lambda: condition(cleared=True),
}
WAYS_INTO = {
    ACTIVE: (),
    REDUCE_ONLY: (Trigger.CONDITION_BEGAN,),
    PAUSED: (Trigger.PAUSE,),
    HALTED: (Trigger.HALT,),
}


def account(desk: Desk) -> TradingState:
    return desk.risk.state.account


def told(desk: Desk, symbol: str | None) -> list[TradingStateChanged]:
    return [change for change in desk.states if change.symbol == symbol]


@pytest.mark.parametrize("state", TradingState)
@pytest.mark.parametrize("trigger", ACCOUNT_INPUTS)
def test_every_trigger_in_every_state_of_the_account(state: TradingState, trigger: Trigger) -> None:
    desk = Desk()
    for way in WAYS_INTO[state]:
        desk.feed(ACCOUNT_INPUTS[way]())
    assert account(desk) is state

    desk.feed(ACCOUNT_INPUTS[trigger]())

    assert account(desk) in ACCOUNT[state, trigger]


@pytest.mark.parametrize("table", [ACCOUNT, SYMBOL], ids=["account", "symbol"])
def test_a_halt_is_left_by_a_person_only(table: Table) -> None:
    persons = {Trigger.RESET, Trigger.RESUME}
    for (state, trigger), targets in table.items():
        if state is HALTED and trigger not in persons:
            assert targets == {HALTED}, trigger
        if state is PAUSED and trigger not in {*persons, Trigger.RETRY_PASSED}:
            assert targets <= {PAUSED, HALTED}, trigger


def test_the_account_knows_every_trigger_of_its_own_in_every_state() -> None:
    assert set(ACCOUNT) == set(product(TradingState, ACCOUNT_INPUTS))


@pytest.mark.parametrize("held", list(product((False, True), repeat=3)))
def test_what_holds_asks_for_the_strictest_state_of_the_account(
    held: tuple[bool, bool, bool],
) -> None:
    halted, paused, uncertain = held

    state = transitions.account_state(halted=halted, paused=paused, uncertain=uncertain)

    wanted = HALTED if halted else PAUSED if paused else REDUCE_ONLY if uncertain else ACTIVE
    assert state is wanted


@pytest.mark.parametrize("held", list(product((False, True), repeat=5)))
def test_what_holds_asks_for_the_strictest_state_of_a_symbol(held: tuple[bool, ...]) -> None:
    quarantined, paused, anomalous, stale, uncertain = held

    state = transitions.symbol_state(
        quarantined=quarantined,
        paused=paused,
        anomalous=anomalous,
        stale=stale,
        uncertain=uncertain,
    )

    mild = REDUCE_ONLY if stale or uncertain else ACTIVE
    assert state is (HALTED if quarantined else PAUSED if paused or anomalous else mild)


def test_a_way_that_the_table_does_not_know_is_a_defect() -> None:
    with pytest.raises(ValueError, match="no way from HALTED to ACTIVE by RESUME"):
        transitions.step(ACCOUNT, HALTED, Trigger.RESUME, ACTIVE)
    with pytest.raises(ValueError, match="by QUARANTINE"):
        transitions.step(SYMBOL, ACTIVE, Trigger.QUARANTINE, HALTED)


def test_doubt_allows_exits_only_and_ends_by_itself() -> None:
    desk = Desk()
    desk.enter(100)

    desk.feed(condition())
    refused, left = desk.signal(100), desk.exit_signal(100)
    desk.feed(condition(cleared=True))

    assert refused.reason == Reason.CONDITION_OPEN
    assert left.order_id is not None
    assert [(c.previous, c.state, c.reason, c.layer) for c in told(desk, None)] == [
        (ACTIVE, REDUCE_ONLY, Reason.CONDITION_OPEN, 3),
        (REDUCE_ONLY, ACTIVE, Reason.CONDITION_CLEARED, 3),
    ]


def test_two_doubts_are_one_until_both_are_over() -> None:
    desk = Desk()

    desk.feed(condition())
    desk.feed(condition(ConditionName.LAG))
    desk.feed(condition(cleared=True))
    assert account(desk) is REDUCE_ONLY
    desk.feed(condition(ConditionName.LAG, cleared=True))

    assert account(desk) is ACTIVE
    assert len(told(desk, None)) == 2


def test_doubt_about_one_symbol_is_that_symbols_only() -> None:
    desk = Desk(symbols=(BTC, ETH))
    desk.trade(100, BTC)
    desk.trade(100, ETH)

    desk.feed(condition(GAP, symbol=BTC))

    assert account(desk) is ACTIVE
    assert desk.signal(100, symbol=BTC).reason == Reason.CONDITION_OPEN
    assert desk.signal(100, symbol=ETH).reason is None
    assert [(c.state, c.reason) for c in told(desk, BTC)] == [(REDUCE_ONLY, Reason.CONDITION_OPEN)]
    desk.feed(condition(GAP, cleared=True, symbol=BTC))
    assert told(desk, BTC)[-1].state is ACTIVE


@pytest.mark.parametrize(
    ("before", "after"),
    [((), ACTIVE), ((condition,), REDUCE_ONLY), ((builders.pause, condition), PAUSED)],
)
def test_a_reset_leads_to_what_still_holds(before: tuple[object, ...], after: TradingState) -> None:
    desk = Desk()
    for make in before:
        desk.feed(make())  # type: ignore[operator]
    desk.feed(builders.halt())

    desk.feed(builders.reset())

    assert account(desk) is after


def test_a_resume_leads_to_reduce_only_while_something_is_in_doubt() -> None:
    desk = Desk()
    desk.feed(builders.pause())
    desk.feed(condition())
    assert account(desk) is PAUSED

    desk.feed(builders.resume())

    assert account(desk) is REDUCE_ONLY


def test_a_silent_symbol_in_doubt_needs_both_to_end() -> None:
    desk = Desk()
    desk.trade(100)
    desk.feed(condition(GAP, symbol=BTC))
    desk.wait(61)
    desk.trade(100)
    assert desk.risk.state.symbol_health(BTC).state is REDUCE_ONLY

    desk.feed(condition(GAP, cleared=True, symbol=BTC))

    assert desk.risk.state.symbol_health(BTC).state is ACTIVE


@pytest.mark.parametrize(
    ("old", "new"), [("STALE", REDUCE_ONLY), ("QUARANTINED", HALTED), ("PAUSED", PAUSED)]
)
def test_states_in_older_records_are_read_by_their_present_names(
    old: str, new: TradingState
) -> None:
    assert msgspec.json.decode(f'"{old}"', type=TradingState) is new


def test_a_state_that_never_was_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="Invalid enum value"):
        msgspec.json.decode('"ASLEEP"', type=TradingState)


def test_every_change_says_who_why_and_in_which_layer() -> None:
    desk = Desk()
    desk.trade(100)

    desk.feed(builders.pause())
    desk.feed(builders.resume())
    desk.feed(builders.pause(BTC))
    desk.feed(builders.pause(BTC))
    desk.feed(builders.resume(BTC))
    desk.feed(builders.resume())
    desk.feed(builders.reset())
    desk.feed(condition(GAP, symbol=BTC))
    desk.feed(condition())

    assert [(c.symbol, c.previous, c.state, c.layer, c.reason, c.message) for c in desk.states] == [
        (None, ACTIVE, PAUSED, None, "OPERATOR", "operator: news"),
        (None, PAUSED, ACTIVE, None, "OPERATOR", "operator: over"),
        (BTC, ACTIVE, PAUSED, None, "OPERATOR", "operator: news"),
        (BTC, PAUSED, PAUSED, None, "OPERATOR", "operator: news"),
        (BTC, PAUSED, ACTIVE, None, "OPERATOR", "operator: over"),
        (None, ACTIVE, ACTIVE, None, "OPERATOR", "nothing was paused"),
        (None, ACTIVE, ACTIVE, None, "OPERATOR", "nothing is halted, nothing changed"),
        (BTC, ACTIVE, REDUCE_ONLY, 3, "CONDITION_OPEN", "DATA_GAP: not reachable"),
        (None, ACTIVE, REDUCE_ONLY, 3, "CONDITION_OPEN", "DATABASE_AWAY: not reachable"),
    ]


def test_a_lost_record_halts_with_its_bounds() -> None:
    desk = Desk()

    desk.feed(builders.recovered())

    (change,) = desk.states
    assert (change.layer, change.reason) == (3, Reason.RECORD_LOST)
    assert change.message == "events 10 to 20 may be lost"
    (alert,) = desk.alerts
    assert (alert.code, alert.layer, alert.level) == ("RECORD_LOST", 3, AlertLevel.CRITICAL)


@pytest.mark.parametrize("name", sorted(RUN_BREAKING))
def test_what_breaks_a_run_halts_and_stays_in_doubt_after_the_reset(name: ConditionName) -> None:
    desk = Desk()

    desk.feed(condition(name))
    desk.feed(builders.reset())

    first = desk.states[0]
    assert (first.state, first.layer, first.reason) == (HALTED, 3, Reason(name))
    assert first.message == "not reachable"
    assert desk.alerts[0].code == name
    assert desk.alerts[0].level is AlertLevel.CRITICAL
    assert account(desk) is REDUCE_ONLY


def test_a_resume_does_not_end_a_halt_and_says_what_does() -> None:
    desk = Desk()
    desk.feed(builders.halt())

    desk.feed(builders.resume())

    assert desk.states[-1].message == "a halt needs a reset"
    assert account(desk) is HALTED


@pytest.mark.parametrize("make", [builders.halt, builders.reset, builders.pause, builders.resume])
def test_the_state_can_be_kept_after_every_command(make: Callable[[], Event]) -> None:
    desk = Desk()
    desk.feed(builders.halt())
    desk.feed(make())
    before = desk.risk.snapshot()

    desk.risk.restore(before)

    assert desk.risk.snapshot() == before
