"""The price window: its reference, its holes and its traded value, against a naive one."""

from decimal import Decimal
from itertools import pairwise
from random import Random

import pytest

from services.kernel.strategies.price_window import PriceWindow
from tests.builders import NOON

pytestmark = [pytest.mark.unit, pytest.mark.signal]


class NaiveWindow:
    """All trades, searched from the beginning each time."""

    def __init__(self, length_ms: int, max_hole_ms: int) -> None:
        self.length_ms = length_ms
        self.max_hole_ms = max_hole_ms
        self.trades: list[tuple[int, Decimal, Decimal]] = []

    def add(self, timestamp: int, price: Decimal, volume: Decimal) -> None:
        self.trades.append((timestamp, price, volume))

    def _began(self, now: int) -> int | None:
        """Index of the first trade of the reference's second."""
        latest = (now - self.length_ms) // 1000
        seconds = [at // 1000 for at, _, _ in self.trades if at // 1000 <= latest]
        times = [at // 1000 for at, _, _ in self.trades]
        return times.index(seconds[-1]) if seconds else None

    def reference(self, now: int) -> Decimal | None:
        began = self._began(now)
        if began is None:
            return None
        second = self.trades[began][0] // 1000
        return [price for at, price, _ in self.trades if at // 1000 == second][-1]

    def is_unbroken(self, now: int) -> bool:
        began = self._began(now)
        if began is None:
            return False
        times = [at for at, _, _ in self.trades[began:]]
        return all(after - before <= self.max_hole_ms for before, after in pairwise(times))

    def total(self, now: int) -> Decimal:
        window = self.trades[self._began(now) or 0 :]
        return sum((price * volume for _, price, volume in window), Decimal(0))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("pause_ms", [300, 4000, 40_000])
def test_the_window_is_the_naive_one(seed: int, pause_ms: int) -> None:
    random = Random(seed)  # noqa: S311  repeatable on purpose
    length_ms, hole_ms = 60_000 * random.choice((1, 2, 5)), 60_000
    window = PriceWindow(length_ms=length_ms, max_hole_ms=hole_ms)
    naive = NaiveWindow(length_ms, hole_ms)
    now, price = NOON + random.randrange(1000), Decimal(1000)

    for _ in range(500):
        now += random.randrange(2 * pause_ms)
        price += random.randrange(-3, 4)
        volume = Decimal(random.randrange(1, 9))
        window.add(now, price, volume)
        naive.add(now, price, volume)

        reference = naive.reference(now)
        assert window.reference(now) == reference
        assert reference is None or window.is_unbroken == naive.is_unbroken(now)
        assert window.total == naive.total(now)


def test_a_trade_that_comes_late_counts_by_its_volume_only() -> None:
    window = PriceWindow(length_ms=60_000, max_hole_ms=60_000)
    for second in range(0, 61, 10):
        window.add(NOON + second * 1000, Decimal(100 + second), Decimal(1))
    before = window.total

    window.add(NOON + 5000, Decimal(7), Decimal(1))

    assert window.prices[-1] == 160
    assert window.total == before + 7
    assert window.reference(NOON + 60_999) == 100


def test_the_window_forgets_what_lies_behind_it() -> None:
    window = PriceWindow(length_ms=60_000, max_hole_ms=60_000)

    for second in range(10_000):
        window.add(NOON + second * 1000, Decimal(1), Decimal(1))

    assert len(window.seconds) < 60 + 1024 + 2
    assert window.total == 61  # the minute, with this second and the reference's


def test_an_empty_window_has_no_reference() -> None:
    assert PriceWindow(length_ms=60_000, max_hole_ms=60_000).reference(NOON) is None


def test_volume_without_a_price_is_valued_at_the_newest_one() -> None:
    window = PriceWindow(length_ms=60_000, max_hole_ms=60_000)
    window.add_volume(Decimal(5))
    assert window.total == 0
    window.add(NOON, Decimal(100), Decimal(1))
    window.add(NOON + 10_000, Decimal(101), Decimal(1))

    window.add_volume(Decimal(2))

    assert window.total == 100 + 3 * 101
    window.add(NOON + 70_000, Decimal(100), Decimal(1))
    assert window.total == 3 * 101 + 100
