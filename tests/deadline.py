"""All waiting in tests: until something is so, or a generous deadline says that it never is."""

import time
from collections.abc import Callable
from typing import TypeVar

DEADLINE_S = 60.0
"""Ends what hangs. It says nothing of how long a thing may take: machines may be busy."""
_LOOK_EVERY_S = 0.02

_Found = TypeVar("_Found")


class Deadline:
    """A moment by which something has to have happened."""

    def __init__(self, seconds: float = DEADLINE_S) -> None:
        self.seconds = seconds
        self._until = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        """Seconds until then; 0.0 from then on."""
        return max(0.0, self._until - time.monotonic())

    def require(self, what: str | Callable[[], object]) -> None:
        """Fail, naming what did not happen, if it has passed."""
        if not self.left_s:
            named = what if isinstance(what, str) else what()
            raise AssertionError(f"not within {self.seconds:g} s: {named}")


def wait_until(
    look: Callable[[], _Found],
    what: str | Callable[[], object],
    seconds: float = DEADLINE_S,
    every: float = _LOOK_EVERY_S,
) -> _Found:
    """The first true answer of ``look``.

    Args:
        look: Asked again and again; its own errors end the wait.
        what: What is waited for, to be named when it does not come; called only then.
        seconds: The deadline.
        every: Seconds between two looks.
    """
    deadline = Deadline(seconds)
    while not (found := look()):
        deadline.require(what)
        time.sleep(every)
    return found
