"""One stack that is broken again and again, its table, and where it is written."""

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.chaos.faults import LONG_S, SHORT_S, Scene
from tests.e2e.chaos.hands import Hands
from tests.e2e.chaos.table import Table
from tests.e2e.chaos.trading import Trading
from tests.e2e.conftest import Site
from tests.e2e.stack import PROJECT, ROOT, Stack, StackError

SETTINGS: Final = {
    "CDB_SOURCE": "synthetic",
    "CDB_SPEED": os.environ.get("CDB_CHAOS_SPEED", "20"),
    "CDB_SEED": "7",
    # Many signals, many entries: there is always something on its way that could be lost.
    "SIGNAL_THRESHOLD_PCT": "0.001",
    "SIGNAL_COOLDOWN_SEC": "5",
    "MAX_TRADES_PER_HOUR": "1000",
    "LOSS_COOLDOWN_SEC": "1800",
    "MAX_CONSECUTIVE_LOSSES": "3",
    "MAX_SIGNAL_AGE_SEC": "60",
    "SNAPSHOT_INTERVAL_SEC": "2",
}
WHOLE: Final = os.environ.get("CDB_CHAOS") == "all"
"""Long outages and every fault; else the short selection."""
TABLE_FILE: Final = Path(os.environ.get("CDB_CHAOS_TABLE", ROOT / "build" / "chaos-table.json"))

_table = Table()


@pytest.fixture(scope="session")
def table() -> Table:
    return _table


@pytest.fixture(scope="module")
def scene(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A stack that trades a generated market, twenty times as fast as the clock."""
    site.clear()
    stack = Stack(f"{PROJECT}chaos", tmp_path_factory.mktemp("chaos"), SETTINGS)
    hands = Hands(stack)
    hands.end()  # what a run that was cut off may have left
    stack.remove()
    try:
        hands.prepare_disk()
        stack.up()
        hands.begin()
        seed = int(os.environ.get("CDB_CHAOS_SEED", "1"))
        yield Scene(stack, hands, LONG_S if WHOLE else SHORT_S, random.Random(seed))  # noqa: S311
    except StackError as error:
        pytest.fail(f"the stack does not come up: {error}")
    finally:
        hands.end()
        stack.remove()


@pytest.fixture(scope="module")
def trading(scene: Scene) -> Trading:
    return Trading(scene.stack)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if not _table.lines:
        return
    terminalreporter.section("chaos")
    for row in _table.text():
        terminalreporter.line(row)
    terminalreporter.line(f"the record at the end: {_table.record}")
    _table.write(TABLE_FILE)
    terminalreporter.line(f"as JSON: {TABLE_FILE}")
