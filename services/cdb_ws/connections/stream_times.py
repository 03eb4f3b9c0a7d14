"""Judges the times of one live stream: which ticks are refused, and whether its clock is wrong."""

from collections import deque
from statistics import median_low
from typing import Final

from msgspec.structs import replace

from services.kernel.events import MarketData
from services.runtime.intake import event_time
from services.runtime.intake.event_time import MOST_AHEAD_MS, OLDEST_BACKFILL_MS, Verdict

WINDOW: Final = 9
"""Number of last ticks that decide together whether the clock of the stream is usable."""

LEAST: Final = 3
"""With fewer ticks nothing is decided."""


class StreamTimes:
    """Judges the ticks of one channel of one symbol by the venue's time.

    While most of the last ticks fail, the clock of the stream is wrong. Ticks are then judged by
    their median distance from the present, too, and published with their time of receipt. A tick
    that is in time by either clock is accepted: the stream's may be right again.

    Args:
        behind_ms: The stale timeout; older ticks are backfill.

    Attributes:
        wrong: Whether most of the last ticks failed.
        shift_ms: Median distance of the stream's times from the venue's; 0 unless ``wrong``.
        failing: How many of the last ticks failed.
    """

    def __init__(self, behind_ms: int = event_time.STALE_MS) -> None:
        self.wrong = False
        self.shift_ms = 0
        self._behind_ms = behind_ms
        self.failing = 0
        self._distances: deque[int] = deque(maxlen=WINDOW)

    def judge(self, timestamp: int, venue_ms: int) -> Verdict:
        """Judge the time of one tick.

        Args:
            timestamp: As sent by the venue, Unix milliseconds.
            venue_ms: The venue's present time.
        """
        distance = timestamp - venue_ms
        distances = self._distances
        if len(distances) == WINDOW and self._fails(distances[0]):
            self.failing -= 1
        distances.append(distance)
        failing = self._fails(distance)
        if failing:
            self.failing += 1
        elif not self.wrong:  # nearly always
            return Verdict.IN_TIME
        self._decide()
        if timestamp > self.latest(venue_ms):
            return Verdict.AHEAD
        behind = timestamp < venue_ms + min(self.shift_ms, 0) - self._behind_ms
        return Verdict.BEHIND if behind else Verdict.IN_TIME

    def latest(self, venue_ms: int) -> int:
        """The latest accepted time."""
        return venue_ms + max(self.shift_ms, 0) + MOST_AHEAD_MS

    def earliest(self, venue_ms: int) -> int:
        """The earliest accepted time, as backfill."""
        return venue_ms + min(self.shift_ms, 0) - OLDEST_BACKFILL_MS

    def published(
        self, tick: MarketData, received_ms: int, venue_ms: int, *, clock_off: bool
    ) -> MarketData:
        """A tick as it is published; old ones become backfill.

        Args:
            tick: With the venue's time.
            received_ms: Time of receipt on this machine's clock.
            venue_ms: The venue's present time.
            clock_off: Whether the clocks of venue and machine differ too much.
        """
        present = self.present(tick.timestamp, venue_ms)
        backfill = tick.backfill or tick.timestamp < present - self._behind_ms
        if not (clock_off or self.wrong):
            return replace(tick, backfill=True) if backfill and not tick.backfill else tick
        timestamp = received_ms
        if backfill:
            timestamp = min(received_ms, received_ms + tick.timestamp - present)
        return replace(tick, timestamp=timestamp, venue_time=tick.timestamp, backfill=backfill)

    def present(self, timestamp: int, venue_ms: int) -> int:
        """The present on the clock that gave a time: the venue's, or the wrong one of the stream.

        Args:
            timestamp: As sent by the venue.
            venue_ms: The venue's present time.
        """
        return venue_ms + self.shift_ms if self._fails(timestamp - venue_ms) else venue_ms

    def _fails(self, distance: int) -> bool:
        return distance > MOST_AHEAD_MS or distance < -self._behind_ms

    def _decide(self) -> None:
        known = len(self._distances)
        self.wrong = known >= LEAST and self.failing * 2 > known
        self.shift_ms = median_low(self._distances) if self.wrong else 0
