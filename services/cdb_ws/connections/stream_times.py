"""The times of one live stream: which ticks are refused or backfilled, and whose clock is wrong."""

from collections import deque
from statistics import median_low
from typing import Final

from msgspec.structs import replace

from services.kernel.events import MarketData
from services.runtime.intake import event_time
from services.runtime.intake.event_time import MOST_AHEAD_MS, OLDEST_BACKFILL_MS, Verdict

WINDOW: Final = 9
"""Ticks whose times decide together whether the stream's clock can be used."""

LEAST: Final = 3
"""Fewer ticks decide nothing."""


class StreamTimes:
    """Judges the ticks of one channel of one symbol by the time of the venue.

    While most of the last ticks fail, the stream's own clock is wrong: ticks are then judged by
    their usual distance from the present, and published with their time of receipt.

    Args:
        behind_ms: The stale timeout: older ticks are backfill.

    Attributes:
        wrong: Whether most of the last ticks failed.
        shift_ms: The usual distance of the stream's times from the venue's; 0 unless ``wrong``.
    """

    def __init__(self, behind_ms: int = event_time.STALE_MS) -> None:
        self.wrong = False
        self.shift_ms = 0
        self._behind_ms = behind_ms
        self._failing = 0
        self._distances: deque[int] = deque(maxlen=WINDOW)

    def judge(self, timestamp: int, venue_ms: int) -> Verdict:
        """Take the time of one tick as it comes.

        Args:
            timestamp: As the venue sent it, Unix milliseconds.
            venue_ms: The present time of the venue.
        """
        distance = timestamp - venue_ms
        distances = self._distances
        if len(distances) == WINDOW and self._fails(distances[0]):
            self._failing -= 1
        distances.append(distance)
        failing = self._fails(distance)
        if failing:
            self._failing += 1
        elif not self.wrong:  # nearly always
            return Verdict.IN_TIME
        self._decide()
        return event_time.judge(timestamp, venue_ms + self.shift_ms, self._behind_ms)

    def latest(self, venue_ms: int) -> int:
        """The latest time that is accepted at a present time of the venue."""
        return venue_ms + self.shift_ms + MOST_AHEAD_MS

    def earliest(self, venue_ms: int) -> int:
        """The earliest time that is accepted, as backfill."""
        return venue_ms + self.shift_ms - OLDEST_BACKFILL_MS

    def published(
        self, tick: MarketData, received_ms: int, venue_ms: int, *, clock_off: bool
    ) -> MarketData:
        """A tick as it is published: too old ones as backfill.

        Args:
            tick: With the venue's time.
            received_ms: When it was received, on this machine's clock.
            venue_ms: The present time of the venue.
            clock_off: Whether the venue's clock and this machine's differ too much.
        """
        present = venue_ms + self.shift_ms if self._fails(tick.timestamp - venue_ms) else venue_ms
        backfill = tick.backfill or tick.timestamp < present - self._behind_ms
        if not (clock_off or self.wrong):
            return replace(tick, backfill=True) if backfill and not tick.backfill else tick
        timestamp = received_ms
        if backfill:
            timestamp = min(received_ms, received_ms + tick.timestamp - present)
        return replace(tick, timestamp=timestamp, backfill=backfill)

    def _fails(self, distance: int) -> bool:
        return distance > MOST_AHEAD_MS or distance < -self._behind_ms

    def _decide(self) -> None:
        known = len(self._distances)
        self.wrong = known >= LEAST and self._failing * 2 > known
        self.shift_ms = median_low(self._distances) if self.wrong else 0
