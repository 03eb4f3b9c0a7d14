"""A clock of the time in which this process listened.

Whoever is not run for three seconds, because the machine was busy or asleep, finds every symbol
silent for three seconds. That was no pause of the venue: what came meanwhile waits in the sockets.
"""

from typing import Final

BEAT_S: Final = 0.25
MOST_BETWEEN_BEATS_S: Final = 0.5
"""Of the time since the last beat no more counts: by then the next one was overdue."""


class LoopUptime:
    """Time that stands still while nobody beats.

    Args:
        now: The loop's clock, seconds.
    """

    def __init__(self, now: float = 0.0) -> None:
        self._beat_at = now
        self._uptime = now

    def beat(self, now: float) -> None:
        """The loop runs; to be called every ``BEAT_S`` seconds."""
        self._uptime, self._beat_at = self.time(now), now

    def time(self, now: float) -> float:
        """Seconds on a scale of its own."""
        return self._uptime + min(now - self._beat_at, MOST_BETWEEN_BEATS_S)
