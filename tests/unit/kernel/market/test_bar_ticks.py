"""Bars as ticks (contract, 5.6)."""

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.market.bar_ticks import Bar, points

pytestmark = pytest.mark.unit
MINUTE_MS = 60_000


def bar(open_: str, high: str, low: str, close: str, volume: str) -> Bar:
    return Bar(*map(Decimal, (open_, high, low, close, volume)))


def test_a_rising_bar_went_down_first() -> None:
    made = points(bar("10", "12", "9", "11", "8"), MINUTE_MS)
    assert [(p.offset_ms, str(p.price), str(p.volume)) for p in made] == [
        (0, "10", "2"), (15_000, "9", "2"), (30_000, "12", "2"), (45_000, "11", "2"),
    ]  # fmt: skip


def test_a_falling_bar_went_up_first() -> None:
    made = points(bar("10", "12", "8", "9", "8"), MINUTE_MS)
    assert [str(p.price) for p in made] == ["10", "12", "8", "9"]


def test_prices_of_a_longer_bar_are_repeated_every_fifteen_seconds() -> None:
    made = points(bar("10", "12", "8", "9", "12"), 3 * MINUTE_MS)
    assert [p.offset_ms for p in made] == list(range(0, 180_000, 15_000))
    assert [str(p.price) for p in made] == ["10"] * 3 + ["12"] * 3 + ["8"] * 3 + ["9"] * 3


@given(
    volume=st.decimals("0.00000001", "1e12", places=8),
    minutes=st.sampled_from([1, 3, 5, 15, 60, 240, 1440]),
)
def test_volume_is_kept_and_no_gap_is_longer_than_fifteen_seconds(
    volume: Decimal, minutes: int
) -> None:
    step_ms = minutes * MINUTE_MS
    made = points(bar("10", "12", "8", "9", str(volume)), step_ms)
    assert sum(point.volume for point in made) == volume
    assert all(point.volume >= 0 for point in made)
    offsets = [point.offset_ms for point in made] + [step_ms]
    gaps = [later - earlier for earlier, later in pairwise(offsets)]
    assert min(gaps) > 0
    assert max(gaps) <= 15_000
