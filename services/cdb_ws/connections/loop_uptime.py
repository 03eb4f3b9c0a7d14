"""Measures the time in which the event loop ran.

If the process was not scheduled for three seconds, every symbol seems to be silent for three
seconds. That is no pause of the venue: the data waits in the sockets.
"""

from typing import Final

BEAT_S: Final = 0.25
MOST_BETWEEN_BEATS_S: Final = 0.5
"""At most this much of the time since the last beat counts; the next beat is overdue by then."""


class LoopUptime:
    """Time that stops while the loop does not run.

    Args:
        now: The loop's clock, seconds.
    """

    def __init__(self, now: float = 0.0) -> None:
        self._beat_at = now
        self._uptime = now

    def beat(self, now: float) -> None:
        """The loop runs; call this every ``BEAT_S`` seconds."""
        self._uptime, self._beat_at = self.time(now), now

    def time(self, now: float) -> float:
        """Seconds of uptime; the origin has no meaning."""
        return self._uptime + min(now - self._beat_at, MOST_BETWEEN_BEATS_S)
