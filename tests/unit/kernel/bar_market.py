"""A market of bars drawn from one seed: rising, falling, jumping between its bars, pausing."""

from collections.abc import Iterator
from decimal import Decimal
from random import Random

from services.kernel.events import Event
from services.kernel.market.bar_ticks import Bar, bar_point, points
from tests import builders
from tests.builders import BTC, MINUTE_MS, NOON

CENT = Decimal("0.01")


def bar_events(seed: int, settings: dict[str, str], bars: int = 120) -> Iterator[Event]:
    """A run over ``bars`` minutes: clocks, and the ticks that stand for each bar."""
    random = Random(seed)  # noqa: S311  repeatable on purpose
    yield builders.run_started(settings, at=NOON)
    yield builders.instruments(builders.instrument(BTC), at=NOON)
    price, opened_at = Decimal(100), NOON
    for _ in range(bars):
        bar = _bar(random, price)
        price = bar.close
        for index, point in enumerate(points(bar, MINUTE_MS)):
            at = opened_at + point.offset_ms
            yield builders.clock(at)
            yield builders.trade(BTC, point.price, at, point.volume, bar=bar_point(index))
        opened_at += MINUTE_MS * (1 if random.random() < 0.97 else 3)
    yield builders.run_ended(opened_at)


def _bar(random: Random, before: Decimal) -> Bar:
    jumps = random.random() < 0.1
    opening = _moved(random, before, 400 if jumps else 10)
    close = _moved(random, opening, 100)
    high = max(opening, close) + abs(_moved(random, opening, 60) - opening)
    low = min(opening, close) - abs(_moved(random, opening, 60) - opening)
    return Bar(opening, high, max(low, CENT), close, Decimal(random.randrange(1, 4000)))


def _moved(random: Random, price: Decimal, most: int) -> Decimal:
    """The price moved by at most ``most`` basis points."""
    move = Decimal(random.randrange(-most, most + 1)) / 10_000
    return max((price * (1 + move)).quantize(CENT), CENT)
