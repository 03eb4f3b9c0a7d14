"""Back-off: how long to wait before the next attempt, longer each time, never in unison."""

from collections.abc import Callable
from random import Random
from typing import TypeVar

from services.runtime import host
from services.runtime.bus.redis.connection import Unavailable

Result = TypeVar("Result")


class Backoff:
    """Exponential back-off with jitter.

    Args:
        first: Seconds before the second attempt.
        longest: Upper bound in seconds.
        at_once: Whether the first retry does not wait at all.
        random: Jitter; None takes the process's own.
    """

    def __init__(
        self,
        first: float = 0.05,
        longest: float = 2.0,
        *,
        at_once: bool = False,
        random: Random | None = None,
    ) -> None:
        self.attempts = 0
        self._first = first
        self._longest = longest
        self._at_once = at_once
        self._random = random or host.random()

    def next_delay(self) -> float:
        """Seconds until the next attempt: half to whole of a bound that doubles each time."""
        doublings = self.attempts - self._at_once
        self.attempts += 1
        if doublings < 0:
            return 0.0
        bound: float = min(self._longest, self._first * 2 ** min(doublings, 16))
        return bound * self._random.uniform(0.5, 1.0)

    def wait(self, stop: host.Event) -> bool:
        """Wait before the next attempt; True when asked to stop meanwhile."""
        return stop.wait(self.next_delay())

    def reset(self) -> None:
        """It worked: begin with the shortest wait again."""
        self.attempts = 0


def retry(
    action: Callable[[], Result],
    stop: host.Event,
    on_wait: Callable[[Unavailable], None] = lambda _: None,
) -> Result | None:
    """Call until the bus is available.

    Args:
        action: What to call; ``Unavailable`` means again, everything else passes.
        stop: Ends the waiting.
        on_wait: Called with each reason for waiting.

    Returns:
        What ``action`` returned; None when asked to stop first.
    """
    backoff = Backoff()
    while not stop.is_set():
        try:
            return action()
        except Unavailable as reason:
            on_wait(reason)
            backoff.wait(stop)
    return None
