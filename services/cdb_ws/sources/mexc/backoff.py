"""How long to wait before the next attempt to connect."""

from random import Random
from typing import Final

FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 30.0


class Backoff:
    """Immediate first retry, then exponential waits with jitter, until data comes again.

    Args:
        random: Where the jitter comes from.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self.attempts = 0

    def next_wait(self) -> float:
        """Seconds to wait before the next attempt."""
        self.attempts += 1
        if self.attempts == 1:
            return 0.0
        ceiling = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(self.attempts - 2, 16))
        return ceiling * (0.5 + 0.5 * self._random.random())

    def reset(self) -> None:
        """Data came; a connection alone proves nothing."""
        self.attempts = 0
