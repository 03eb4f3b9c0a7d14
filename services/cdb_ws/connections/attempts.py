"""Decides when a lost socket is opened again: at once, then with back-off, within a budget."""

from collections import deque
from random import Random
from typing import Final

from services.runtime.service.backoff import Backoff

FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 60.0
BUDGET: Final = 20
BUDGET_S: Final = 600.0


class Attempts:
    """The connection attempts of one socket.

    Args:
        random: Source of the jitter.
    """

    def __init__(self, random: Random) -> None:
        self._backoff = Backoff(FIRST_WAIT_S, LONGEST_WAIT_S, at_once=True, random=random)
        self._times: deque[float] = deque(maxlen=BUDGET)

    @property
    def made(self) -> int:
        """Attempts since the last data; a connection without data proves nothing."""
        return self._backoff.attempts

    def next_wait(self, now: float) -> float:
        """Seconds to wait before the next attempt.

        Args:
            now: A monotonic clock, in seconds.
        """
        wait = self._backoff.next_delay()
        if self.spent(now):
            wait = LONGEST_WAIT_S
        self._times.append(now + wait)
        return wait

    def spent(self, now: float) -> bool:
        """Whether the budget is used up; the next attempt then waits for the longest time."""
        return len(self._times) == BUDGET and now - self._times[0] < BUDGET_S

    def reset(self) -> None:
        """Data arrived."""
        self._backoff.reset()
