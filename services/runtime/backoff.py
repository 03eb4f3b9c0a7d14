"""Back-off: how long to wait before the next attempt, longer each time, never in unison."""

import random
import threading
from collections.abc import Callable
from typing import TypeVar

from services.runtime.connection import Unavailable

Result = TypeVar("Result")


class Backoff:
    """Exponential back-off with jitter.

    Args:
        first: Seconds before the second attempt.
        longest: Upper bound in seconds.
    """

    def __init__(self, first: float = 0.05, longest: float = 2.0) -> None:
        self.attempts = 0
        self._first = first
        self._longest = longest

    def next_delay(self) -> float:
        """Seconds until the next attempt: half to whole of a bound that doubles each time."""
        bound: float = min(self._longest, self._first * 2 ** min(self.attempts, 16))
        self.attempts += 1
        return bound * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret

    def wait(self, stop: threading.Event) -> bool:
        """Wait before the next attempt; True when asked to stop meanwhile."""
        return stop.wait(self.next_delay())

    def reset(self) -> None:
        """It worked: begin with the shortest wait again."""
        self.attempts = 0


def retry(
    action: Callable[[], Result],
    stop: threading.Event,
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
