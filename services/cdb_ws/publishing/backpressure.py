"""Measures back-pressure: the lag of the writer, and the memory in use on the bus."""

from collections.abc import Callable
from typing import Final

from services.kernel.events.topics import DB_WRITER
from services.runtime import host
from services.runtime.bus.bus import Bus, Unavailable

LOOK_EVERY_S: Final = 0.25
LOOK_WHILE_HIGH_S: Final = 0.02
MOST_BEHIND: Final = 40_000
"""Maximum lag of the writer, in events, before a recorded market waits."""

LEAST_BEHIND: Final = 20_000
MEMORY_HIGH: Final = 0.80
MEMORY_LOW: Final = 0.75


class Pressure:
    """The last measurement, with hysteresis.

    Args:
        bus: The bus to measure.
        now: A monotonic clock, in seconds.

    Attributes:
        writer_lag: Events that the writer has not taken yet.
        memory: Share (0 to 1) of the bus memory in use.
        writer_behind: Whether the writer is too far behind.
        memory_full: Whether the memory is too full for more ticks.
    """

    def __init__(self, bus: Bus, now: Callable[[], float] = host.monotonic) -> None:
        self.writer_lag = 0
        self.memory = 0.0
        self.writer_behind = False
        self.memory_full = False
        self._bus = bus
        self._now = now
        self._look_at = 0.0

    def look(self) -> None:
        """Measure again if it is time; while the bus is away the last figures stay."""
        now = self._now()
        if now < self._look_at:
            return
        try:
            self.writer_lag = self._bus.heads().behind(self._bus.cursor_of(DB_WRITER).seq)
            self.memory = self._bus.memory_used()
        except Unavailable:
            self._look_at = now + LOOK_EVERY_S
            return
        self.writer_behind = self.writer_lag > (LEAST_BEHIND if self.writer_behind else MOST_BEHIND)
        self.memory_full = self.memory > (MEMORY_LOW if self.memory_full else MEMORY_HIGH)
        self._look_at = now + (LOOK_WHILE_HIGH_S if self.high else LOOK_EVERY_S)

    @property
    def high(self) -> bool:
        """Whether a recorded market has to wait."""
        return self.writer_behind or self.memory_full

    def why(self) -> str:
        """What the market waits for, in words."""
        if self.memory_full:
            return f"the bus's memory is {self.memory:.0%} full"
        return f"cdb_db_writer is {self.writer_lag} events behind"
