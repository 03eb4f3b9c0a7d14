"""When a lost socket may be opened again: at once, then with back-off, within a budget."""

from collections import deque
from random import Random
from typing import Final

from services.runtime.service.backoff import Backoff

FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 60.0
BUDGET: Final = 20
BUDGET_S: Final = 600.0


class Attempts:
    """The attempts of one socket.

    Args:
        random: Where the jitter comes from.
    """

    def __init__(self, random: Random) -> None:
        self._backoff = Backoff(FIRST_WAIT_S, LONGEST_WAIT_S, at_once=True, random=random)
        self._times: deque[float] = deque(maxlen=BUDGET)

    @property
    def made(self) -> int:
        """Attempts since data came last; a connection alone proves nothing."""
        return self._backoff.attempts

    def next_wait(self, now: float) -> float:
        """Seconds to wait before the next attempt.

        Args:
            now: A clock that never goes back, in seconds.
        """
        wait = self._backoff.next_delay()
        if self.spent(now):
            wait = LONGEST_WAIT_S
        self._times.append(now + wait)
        return wait

    def spent(self, now: float) -> bool:
        """Whether the budget of attempts is used up: one more only after the longest wait."""
        return len(self._times) == BUDGET and now - self._times[0] < BUDGET_S

    def reset(self) -> None:
        """Data came."""
        self._backoff.reset()
