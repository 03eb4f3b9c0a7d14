"""Places clock events between the ticks of a recorded market."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

SECOND_MS: Final = 1_000
SILENCE_MS: Final = 15_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS

Timed = tuple[int, Any]
"""A timestamp in milliseconds, and what happened; ``None`` is a clock."""


class ClockRule:
    """Decides when a clock event is published.

    A clock comes before the first tick of each second that has one, every 15 s without ticks, at
    00:00 UTC and at every funding time. Clocks are strictly increasing, and no tick comes before
    the clock of its second.

    Args:
        funding_interval_hours: Hours between settlements, of all contracts in the market. The
        settlements lie at whole multiples of them since 00:00 UTC.
    """

    def __init__(self, funding_interval_hours: Iterable[int] = (8,)) -> None:
        intervals = {hours * HOUR_MS for hours in funding_interval_hours if hours > 0}
        self._intervals = tuple(sorted(intervals | {DAY_MS}))

    def next_boundary(self, after: int) -> int:
        """The first midnight or funding time later than ``after``."""
        return min((after // interval + 1) * interval for interval in self._intervals)

    def between(self, last: int, until: int) -> Iterator[int]:
        """The clocks after the clock ``last`` and before ``until``, in a time without ticks."""
        boundary = self.next_boundary(last)
        while True:
            due = min(last + SILENCE_MS, boundary)
            if due >= until:
                return
            yield due
            last = due
            if due == boundary:
                boundary = self.next_boundary(due)

    def insert(self, ticks: Iterable[Timed], last: int | None = None) -> Iterator[Timed]:
        """Insert the clocks between the ticks.

        Args:
            ticks: Ticks in the order of time.
            last: Timestamp of the clock before them, if there was one.
        """
        for tick in ticks:
            timestamp = tick[0]
            if last is None or timestamp >= last + SECOND_MS:
                second = timestamp - timestamp % SECOND_MS
                if last is not None:
                    for due in self.between(last, second):
                        yield due, None
                yield second, None
                last = second
            yield tick
