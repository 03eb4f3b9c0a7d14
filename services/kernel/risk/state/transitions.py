"""The trading states, and every way from one to another: two tables, one for each scope.

What is in force (a halt, a pause, a condition, stale data) decides where a trigger leads; the
tables say where it may lead at all. The strictest state in force wins.
"""

from collections.abc import Mapping, Set
from enum import StrEnum

from services.kernel.events import TradingState

ACTIVE, REDUCE_ONLY = TradingState.ACTIVE, TradingState.REDUCE_ONLY
PAUSED, HALTED = TradingState.PAUSED, TradingState.HALTED


class Trigger(StrEnum):
    """What may move a trading state."""

    HALT = "HALT"
    RESET = "RESET"
    PAUSE = "PAUSE"
    RESUME = "RESUME"
    CONDITION_BEGAN = "CONDITION_BEGAN"
    CONDITION_CLEARED = "CONDITION_CLEARED"
    SILENCE = "SILENCE"
    FRESH_DATA = "FRESH_DATA"
    ANOMALY = "ANOMALY"
    RETRY_PASSED = "RETRY_PASSED"
    QUARANTINE = "QUARANTINE"


Targets = Set[TradingState]
Table = Mapping[tuple[TradingState, Trigger], Targets]


ACCOUNT: Table = {
    (ACTIVE, Trigger.HALT): {HALTED},
    (ACTIVE, Trigger.PAUSE): {PAUSED},
    (ACTIVE, Trigger.RESUME): {ACTIVE},
    (ACTIVE, Trigger.RESET): {ACTIVE},
    (ACTIVE, Trigger.CONDITION_BEGAN): {REDUCE_ONLY},
    (ACTIVE, Trigger.CONDITION_CLEARED): {ACTIVE},
    (REDUCE_ONLY, Trigger.HALT): {HALTED},
    (REDUCE_ONLY, Trigger.PAUSE): {PAUSED},
    (REDUCE_ONLY, Trigger.RESUME): {REDUCE_ONLY},
    (REDUCE_ONLY, Trigger.RESET): {REDUCE_ONLY},
    (REDUCE_ONLY, Trigger.CONDITION_BEGAN): {REDUCE_ONLY},
    (REDUCE_ONLY, Trigger.CONDITION_CLEARED): {REDUCE_ONLY, ACTIVE},
    (PAUSED, Trigger.HALT): {HALTED},
    (PAUSED, Trigger.PAUSE): {PAUSED},
    (PAUSED, Trigger.RESUME): {REDUCE_ONLY, ACTIVE},
    (PAUSED, Trigger.RESET): {PAUSED},
    (PAUSED, Trigger.CONDITION_BEGAN): {PAUSED},
    (PAUSED, Trigger.CONDITION_CLEARED): {PAUSED},
    (HALTED, Trigger.HALT): {HALTED},
    (HALTED, Trigger.PAUSE): {HALTED},
    (HALTED, Trigger.RESUME): {HALTED},
    (HALTED, Trigger.RESET): {PAUSED, REDUCE_ONLY, ACTIVE},
    (HALTED, Trigger.CONDITION_BEGAN): {HALTED},
    (HALTED, Trigger.CONDITION_CLEARED): {HALTED},
}
"""The account. HALTED: risk or an operator; PAUSED: an operator; REDUCE_ONLY: a condition
is open (a lag, the database away). Only a reset leaves HALTED; only a resume lifts PAUSED."""

SYMBOL: Table = {
    (ACTIVE, Trigger.PAUSE): {PAUSED},
    (ACTIVE, Trigger.RESUME): {ACTIVE},
    (ACTIVE, Trigger.CONDITION_BEGAN): {REDUCE_ONLY},
    (ACTIVE, Trigger.CONDITION_CLEARED): {ACTIVE},
    (ACTIVE, Trigger.SILENCE): {REDUCE_ONLY},
    (ACTIVE, Trigger.ANOMALY): {PAUSED},
    (REDUCE_ONLY, Trigger.PAUSE): {PAUSED},
    (REDUCE_ONLY, Trigger.RESUME): {REDUCE_ONLY},
    (REDUCE_ONLY, Trigger.CONDITION_BEGAN): {REDUCE_ONLY},
    (REDUCE_ONLY, Trigger.CONDITION_CLEARED): {REDUCE_ONLY, ACTIVE},
    (REDUCE_ONLY, Trigger.SILENCE): {REDUCE_ONLY},
    (REDUCE_ONLY, Trigger.FRESH_DATA): {REDUCE_ONLY, ACTIVE},
    (REDUCE_ONLY, Trigger.ANOMALY): {PAUSED},
    (PAUSED, Trigger.PAUSE): {PAUSED},
    (PAUSED, Trigger.RESUME): {REDUCE_ONLY, ACTIVE},
    (PAUSED, Trigger.CONDITION_BEGAN): {PAUSED},
    (PAUSED, Trigger.CONDITION_CLEARED): {PAUSED},
    (PAUSED, Trigger.SILENCE): {PAUSED},
    (PAUSED, Trigger.FRESH_DATA): {PAUSED},
    (PAUSED, Trigger.ANOMALY): {PAUSED},
    (PAUSED, Trigger.RETRY_PASSED): {PAUSED, REDUCE_ONLY, ACTIVE},
    (PAUSED, Trigger.QUARANTINE): {HALTED},
    (HALTED, Trigger.PAUSE): {HALTED},
    (HALTED, Trigger.RESUME): {REDUCE_ONLY, ACTIVE},
    (HALTED, Trigger.CONDITION_BEGAN): {HALTED},
    (HALTED, Trigger.CONDITION_CLEARED): {HALTED},
    (HALTED, Trigger.SILENCE): {HALTED},
    (HALTED, Trigger.FRESH_DATA): {HALTED},
    (HALTED, Trigger.ANOMALY): {HALTED},
}
"""One symbol. HALTED: quarantined after ten failed retries; PAUSED: an anomaly or an operator;
REDUCE_ONLY: stale, or a condition is open. Only a resume leaves HALTED."""


def account_state(*, halted: bool, paused: bool, uncertain: bool) -> TradingState:
    """The strictest state that what holds asks for."""
    if halted:
        return HALTED
    if paused:
        return PAUSED
    return REDUCE_ONLY if uncertain else ACTIVE


def symbol_state(
    *, quarantined: bool, paused: bool, anomalous: bool, stale: bool, uncertain: bool
) -> TradingState:
    """The strictest state that what holds asks for."""
    if quarantined:
        return HALTED
    if paused or anomalous:
        return PAUSED
    return REDUCE_ONLY if stale or uncertain else ACTIVE


def step(table: Table, state: TradingState, trigger: Trigger, held: TradingState) -> TradingState:
    """Where a trigger leads to from a state.

    Args:
        table: `ACCOUNT` or `SYMBOL`.
        state: Before.
        trigger: What happened.
        held: The strictest state that what holds now asks for.

    Raises:
        ValueError: The table knows no such way: a defect, and nothing that input can cause.
    """
    if held not in table.get((state, trigger), ()):
        raise ValueError(f"no way from {state} to {held} by {trigger}; see the transition tables")
    return held
