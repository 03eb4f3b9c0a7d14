"""Bars as ticks: the path through open, high, low and close that a bar stands for."""

from decimal import ROUND_DOWN, Decimal
from typing import Final, NamedTuple

from services.kernel.events import BarPoint

MAX_POINT_GAP_MS: Final = 15_000
"""Points of a bar are at most this far apart, so that a quiet bar never looks stale."""

_SHARE_STEP: Final = Decimal("0.00000001")


class Bar(NamedTuple):
    """One bar; ``volume`` is of the whole bar."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


class Point(NamedTuple):
    """One tick of a bar: milliseconds after the bar's opening, price, and its part of volume."""

    offset_ms: int
    price: Decimal
    volume: Decimal


def bar_point(index: int) -> BarPoint:
    """What a bar's tick stands for, by its place among the bar's points."""
    return BarPoint.INSIDE if index else BarPoint.OPEN


def points_per_quarter(step_ms: int) -> int:
    """How often a quarter's price is repeated so that no gap is longer than 15 s."""
    quarter = step_ms // 4
    return max(1, -(-quarter // MAX_POINT_GAP_MS))


def points(bar: Bar, step_ms: int) -> tuple[Point, ...]:
    """The ticks that stand for one bar.

    A rising (or flat) bar went open, low, high, close; a falling one open, high, low, close. Each
    price comes at its quarter of the bar and is repeated in between. The volume is split evenly;
    what rounding leaves over goes to the last point, so that the sum is the bar's volume exactly.

    Args:
        bar: A bar whose volume is greater than 0.
        step_ms: Length of the bar in milliseconds, at least 4.
    """
    rising = bar.close >= bar.open
    middle = (bar.low, bar.high) if rising else (bar.high, bar.low)
    path = (bar.open, *middle, bar.close)
    repeats = points_per_quarter(step_ms)
    count = 4 * repeats
    share = (bar.volume / count).quantize(_SHARE_STEP, rounding=ROUND_DOWN).normalize()
    share = Decimal(format(share, "f"))
    last = bar.volume - share * (count - 1)
    quarter = step_ms // 4
    return tuple(
        Point(
            (index // repeats) * quarter + (index % repeats) * quarter // repeats,
            path[index // repeats],
            share if index < count - 1 else last,
        )
        for index in range(count)
    )
