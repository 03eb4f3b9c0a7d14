"""Recorded files as observations, read again from the description of their formats.

Nothing here imports the program. A bar is a path of points: open, low, high, close when it rises
or stays, else open, high, low, close. Each is at its quarter of the bar, and repeated so that
points are at most 15 s apart. A bar without volume shows nothing.
"""

import csv
import gzip
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from tests.oracles.momentum import Observation

POINTS_APART_MS = 15_000
MINUTE_MS = 60_000
_STEP = re.compile(r"_klines_(\d+)m")


def observations(path: Path) -> Iterator[Observation]:
    """The trades that a file of trades or bars shows, in its order; volumes as they are written."""
    step = _STEP.search(path.name)
    for row in _rows(path):
        if step is not None:
            yield from _bar(row, int(step[1]) * MINUTE_MS)
        elif Decimal(row["qty"]) > 0:
            at, price, volume = int(row["ts_ms"]), Decimal(row["price"]), Decimal(row["qty"])
            yield Observation("trade", at, price, volume)


def _bar(row: dict[str, str], length_ms: int) -> Iterator[Observation]:
    opened, high, low, closed, volume = (
        Decimal(row[name]) for name in ("open", "high", "low", "close", "volume")
    )
    if volume <= 0:
        return
    corners = (opened, low, high, closed) if closed >= opened else (opened, high, low, closed)
    quarter = length_ms // 4
    repeats = -(-quarter // POINTS_APART_MS)
    for number, price in enumerate(corners):
        for repeat in range(repeats):
            at = int(row["ts_ms"]) + number * quarter + repeat * quarter // repeats
            yield Observation("trade", at, price, volume / (4 * repeats))


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file)
