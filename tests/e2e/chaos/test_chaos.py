"""Whatever is killed, frozen, cut or full: trading goes on, and the record proves that it was
right all the time.
"""

import os
import time

import pytest

from tests.e2e.chaos.faults import FAULTS, Fault, Scene, kill_one
from tests.e2e.chaos.inspection import inspect
from tests.e2e.chaos.table import Line, Table
from tests.e2e.chaos.trading import Trading
from tests.e2e.stack import SERVICES

pytestmark = [pytest.mark.e2e, pytest.mark.chaos, pytest.mark.timeout(7200)]

KILLS = int(os.environ.get("CDB_CHAOS_KILLS", "6"))
"""How many times a service is killed, all six together."""
REPEATS = int(os.environ.get("CDB_CHAOS_REPEATS", "1"))
"""How many times each other fault strikes."""


def prove(scene: Scene, table: Table, line: Line) -> None:
    found = inspect(scene.stack)
    table.account(line, found)
    assert found.clean, "\n".join(found.words)
    assert found.ticks > 0
    assert found.decisions > 0, "a stack that decides nothing proves nothing"


def test_it_trades_before(scene: Scene, trading: Trading, table: Table) -> None:
    line = table.line("none")

    line.add(trading.wait("the start", time.monotonic()), trading.waited_for)

    prove(scene, table, line)


def test_services_killed_at_random_moments(scene: Scene, trading: Trading, table: Table) -> None:
    order = [SERVICES[turn % len(SERVICES)] for turn in range(KILLS)]
    scene.chance.shuffle(order)
    for name in order:
        line = table.line(f"{name} SIGKILLed")

        kill_one(scene, name)

        line.add(trading.wait(line.fault, time.monotonic()), trading.waited_for)
    prove(scene, table, table.line(f"{order[-1]} SIGKILLed"))


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, id=fault.title, marks=[] if fault.quick else [pytest.mark.slow])
        for fault in FAULTS
    ],
)
def test_fault(scene: Scene, trading: Trading, table: Table, fault: Fault) -> None:
    line = table.line(fault.reported(scene))
    halts = len(trading.released)
    for _ in range(REPEATS):
        fault.strike(scene)

        line.add(trading.wait(line.fault, time.monotonic()), trading.waited_for)
        line.halts = trading.released[halts:]
    prove(scene, table, line)
    assert bool(line.halts) == fault.loses, f"halted: {line.halts}"
    if not fault.loses:
        assert line.named == 0, "something was lost without a fault that loses"


def test_the_record_is_complete_and_proves_itself(
    scene: Scene, trading: Trading, table: Table
) -> None:
    head = trading.stop_market()

    line = table.line("the market stopped")
    prove(scene, table, line)

    assert table.record["events_upto"] == head
    assert table.record["fills"] > 0, "nothing was ever traded"
