"""An asyncio event loop whose time jumps: a program that only waits takes no time to run.

Whenever nothing is ready, time moves to the next timer at once. What runs in it must not use
threads, sockets or any other clock than the loop's; then a run is as repeatable as its input.
"""

import asyncio
import selectors
import time
from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any, Final, TypeVar

MOST_TURNS_AT_ONE_TIME: Final = 200_000
"""Turns of the loop without any time passing, after which it is taken for an endless loop."""

LIMIT_S: Final = 300.0
START_S: Final = 1_000.0
"""Where a loop's time begins: like a real machine's, neither 0 nor the wall's."""


_Result = TypeVar("_Result")


class StuckError(RuntimeError):
    """Nothing can happen any more, or time does not move; the message says which."""


class _Jump(selectors.BaseSelector):
    """A selector that never waits: it moves the time instead."""

    def __init__(self, limit_s: float) -> None:
        self.now = START_S
        self._limit_s = limit_s
        self._give_up_at = time.thread_time() + limit_s
        self._keys: dict[Any, selectors.SelectorKey] = {}
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise StuckError("every task waits for something that no timer will bring about")
        if timeout > 0:
            self.now += timeout
            self._turns = 0
            if time.thread_time() > self._give_up_at:
                raise StuckError(f"not at its end after {self._limit_s:g} s of processor time")
            return []
        self._turns += 1
        if self._turns > MOST_TURNS_AT_ONE_TIME:
            raise StuckError(f"{MOST_TURNS_AT_ONE_TIME} turns of the loop, and no time has passed")
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        descriptor = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        self._keys[fileobj] = key = selectors.SelectorKey(fileobj, descriptor, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop; ``time()`` is its virtual time in seconds.

    Args:
        limit_s: Seconds of processor time after which it gives up: a busy machine fails no seed.
    """

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self._jump = _Jump(limit_s)
        super().__init__(self._jump)

    def time(self) -> float:
        """Seconds; moves only when nothing is ready to run."""
        return self._jump.now

    def stall(self, seconds: float) -> None:
        """Let time pass in which the process is not run."""
        self._jump.now += seconds

    def run_in_executor(self, *_: object) -> Any:
        """Refused: a thread's time is not this loop's.

        Raises:
            StuckError: Always.
        """
        raise StuckError("a thread was started in virtual time")


def run(program: Coroutine[Any, Any, _Result], limit_s: float = LIMIT_S) -> _Result:
    """Run a program in virtual time to its end.

    Args:
        program: What to run.
        limit_s: Seconds of processor time that it may take.

    Raises:
        StuckError: It waits for ever, time does not move, or the limit is over.
    """
    with asyncio.Runner(loop_factory=partial(VirtualLoop, limit_s)) as runner:
        return runner.run(program)
