"""Paces a recorded market: a multiple of its own time, lock-step, or as fast as possible."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, Protocol

from services.cdb_ws.sources.recorded import Step
from services.kernel.events import Clock
from services.runtime import host
from services.runtime.bus.lockstep import LockStep

BATCH_STEPS: Final = 500
LONGEST_WAIT_S: Final = 0.1
SHORTEST_WAIT_S: Final = 0.01
LATE_S: Final = 5.0
"""With a larger delay, event time is not caught up: it continues from here at its pace."""


class Pace(Protocol):
    """Decides which steps are published together, and when the next may be."""

    def batches(self, steps: Iterator[Step]) -> Iterator[list[Step]]:
        """The steps in batches that are published together; an empty batch means waiting."""

    def settled(self) -> bool:
        """Whether the next batch may be published; if not, ask again."""


class TimedPace:
    """``speed`` times as fast as the market was; steps that are due are published together.

    Steps before the first clock (contract details, history) are due at once.

    Args:
        speed: Event time over wall time, greater than 0.
        wait: Waits for some seconds, and may do other work meanwhile.
        now: A monotonic clock, in seconds.
    """

    def __init__(
        self,
        speed: float,
        wait: Callable[[float], object],
        now: Callable[[], float] = host.monotonic,
    ) -> None:
        self._ms_per_s = speed * 1000
        self._wait = wait
        self._now = now
        self._origin: tuple[float, int] | None = None

    def batches(self, steps: Iterator[Step]) -> Iterator[list[Step]]:
        """The steps that are due together; an empty batch after each wait."""
        due: list[Step] = []
        for step in steps:
            while (left := self._seconds_until(step)) > 0:
                if due:
                    yield due
                    due = []
                else:
                    self._wait(min(max(left, SHORTEST_WAIT_S), LONGEST_WAIT_S))
                    yield []
            due.append(step)
            if len(due) >= BATCH_STEPS:
                yield due
                due = []
        if due:
            yield due

    def settled(self) -> bool:
        """Always true: only time limits the pace."""
        return True

    def _seconds_until(self, step: Step) -> float:
        timestamp = step[1].timestamp
        if self._origin is None:
            if not isinstance(step[1], Clock):
                return 0.0
            self._origin = (self._now(), timestamp)
        began, first = self._origin
        left = began + (timestamp - first) / self._ms_per_s - self._now()
        if left < -LATE_S:
            self._origin = (self._now(), timestamp)
        return left


class LockStepPace:
    """One step at a time; the next when execution, risk and core have handled the last.

    Steps before the first clock only fill windows, and are published in batches.

    Args:
        lockstep: Reports when all stages are idle.
        patience: Seconds for which one question waits.
    """

    def __init__(self, lockstep: LockStep, patience: float = 0.2) -> None:
        self._lockstep = lockstep
        self._patience = patience
        self._published = False

    def batches(self, steps: Iterator[Step]) -> Iterator[list[Step]]:
        """Batches before the first clock, single steps from there on."""
        before: list[Step] = []
        for step in steps:
            if isinstance(step[1], Clock):
                if before:
                    self._published = True
                    yield before
                self._published = True
                yield [step]
                break
            before.append(step)
            if len(before) >= BATCH_STEPS:
                self._published = True
                yield before
                before = []
        else:
            if before:
                yield before
        for step in steps:
            self._published = True
            yield [step]

    def settled(self) -> bool:
        """Whether all stages are idle."""
        if self._published and not self._lockstep.wait_idle(self._patience):
            return False
        self._published = False
        return True


class FloodPace:
    """As fast as possible, for benchmarks; only the writer's backlog limits it."""

    def batches(self, steps: Iterator[Step]) -> Iterator[list[Step]]:
        """Batches of several hundred steps."""
        while batch := list(islice(steps, BATCH_STEPS)):
            yield batch

    def settled(self) -> bool:
        """Always true."""
        return True
