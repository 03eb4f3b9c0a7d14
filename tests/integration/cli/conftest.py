"""The `claire` command in a home of the test's own, and a small market to replay."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.claire_command import MINUTE_MS, START_MS, Claire, commands_in
from tests.recorded_home import Recorded, recorded_in


@pytest.fixture
def claire(tmp_path: Path) -> Iterator[Claire]:
    with commands_in(tmp_path) as commands:
        yield commands


@pytest.fixture
def market(tmp_path: Path) -> Path:
    return market_file(tmp_path)


@pytest.fixture(scope="package")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """One replay of that market, for all who only ask."""
    folder = tmp_path_factory.mktemp("recorded")
    with recorded_in(folder, market_file(folder)) as record:
        yield record


TWO_MOVES = {30: 60.0, 70: -60.0}


def market_file(folder: Path, minutes: int = 120, moves: Mapping[int, float] | None = None) -> Path:
    """Minute bars: calm, but for the moves.

    Args:
        folder: Where the file is written.
        minutes: Number of bars.
        moves: First minute of a move to its step a minute; a move takes five minutes. Up by 3 %
            and down by 3 % where none are given.
    """
    steps = {
        first + later: step for first, step in (moves or TWO_MOVES).items() for later in range(5)
    }
    path = folder / "test-spot_BTCUSDT_klines_1m.csv"
    price = 10_000.0
    lines = ["ts_ms,open,high,low,close,volume"]
    for minute in range(minutes):
        step = steps.get(minute, 0.0)
        # A little noise, so that calm is not silence and exits are reached.
        wiggle = 1.0 if minute % 2 else -1.0
        opened, closed = price, price + step + wiggle
        high, low = max(opened, closed) + 1, min(opened, closed) - 1
        at = START_MS + minute * MINUTE_MS
        lines.append(f"{at},{opened:.1f},{high:.1f},{low:.1f},{closed:.1f},500")
        price = closed
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    return path
