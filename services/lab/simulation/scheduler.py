"""A host whose time is virtual: tasks are greenlets, exactly one runs, and a seed decides which.

A task gives up its turn at every wait and every port call. Whenever nobody is due, time moves to
the next timer at once.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from heapq import heappop, heappush
from itertools import count
from random import Random
from types import TracebackType
from typing import Any, Final

from greenlet import getcurrent, greenlet

START_S: Final = 1_000.0
START_MS: Final = 1_790_000_000_000
MOST_TURNS: Final = 3_000_000
"""Turns after which a simulation is taken for an endless loop."""
WAKE_S: Final = 0.0002
"""Mean seconds from the setting of a flag to the moment at which its waiter runs."""


class Killed(BaseException):
    """The process was killed; raised in its tasks wherever they wait."""


class StuckError(RuntimeError):
    """Nothing will ever happen any more, or far too much did."""


class Process:
    """A group of tasks that are killed and paused together.

    Attributes:
        alive: Whether it runs.
        calls: Port calls so far.
        paused_until: No task runs before that time.
        on_kill: Called when it is killed, before its tasks unwind: takes its connections away.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.calls = 0
        self.paused_until = 0.0
        self.on_kill: list[Callable[[], None]] = []
        self.tasks: set[VirtualTask] = set()


class VirtualTask:
    """One task; it satisfies `host.Task`."""

    def __init__(self, scheduler: "Scheduler", process: Process, name: str) -> None:
        self.process = process
        self.name = name
        self.wanted = 0
        self.ended = False
        self.greenlet: greenlet | None = None
        self._scheduler = scheduler

    def is_alive(self) -> bool:
        """Whether it still runs."""
        return not self.ended

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended."""
        until = None if timeout is None else self._scheduler.now + timeout
        while not self.ended and (until is None or self._scheduler.now < until):
            self._scheduler.sleep(0.01)


class VirtualEvent:
    """A flag of the simulation; it satisfies `host.Event`."""

    def __init__(self, scheduler: "Scheduler") -> None:
        self._scheduler = scheduler
        self._set = False
        self._waiting: list[VirtualTask] = []

    def is_set(self) -> bool:
        """Whether the flag is set."""
        return self._set

    def set(self) -> None:
        """Set the flag; who waits runs a little later."""
        self._set = True
        waiting, self._waiting = self._waiting, []
        for task in waiting:
            self._scheduler.wake(task)

    def clear(self) -> None:
        """Reset the flag."""
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the flag."""
        if not self._set:
            task = self._scheduler.current()
            self._waiting.append(task)
            self._scheduler.wait(timeout)
            if task in self._waiting:
                self._waiting.remove(task)
        elif timeout:
            self._scheduler.alive()
        return self._set


class VirtualLock(AbstractContextManager[None]):
    """A lock that its owner may take again."""

    def __init__(self, scheduler: "Scheduler") -> None:
        self._scheduler = scheduler
        self._owner: VirtualTask | None = None
        self._depth = 0
        self._free = VirtualEvent(scheduler)

    def __enter__(self) -> None:
        task = self._scheduler.current_or_none()
        while self._owner is not None and self._owner is not task:
            self._free.clear()
            self._free.wait()
        self._owner = task
        self._depth += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = None
            self._free.set()


class Scheduler:
    """The virtual host.

    Args:
        seed: Decides every interleaving.
        latency_s: Mean seconds that half a port call takes.

    Attributes:
        now: Virtual seconds.
        on_call: Called at every port call with the process, before its turn is given up.
    """

    def __init__(self, seed: int, latency_s: float) -> None:
        self.now = START_S
        self.turns = 0
        self.random = Random(f"jitter {seed}")  # noqa: S311 - a simulation repeats
        self.crashes: list[tuple[str, BaseException]] = []
        self.on_call: Callable[[Process], None] = lambda _: None
        self._chance = Random(f"turns {seed}")  # noqa: S311
        self._latency_s = latency_s
        self._heap: list[tuple[float, int, VirtualTask, int]] = []
        self._order = count()
        self._tasks: dict[greenlet, VirtualTask] = {}
        self._hub: greenlet = getcurrent()
        self._tokens = count(1)

    # -- the host's port ----------------------------------------------------------------------

    def monotonic(self) -> float:
        """Virtual seconds."""
        return self.now

    def wall_ms(self) -> int:
        """Virtual Unix time in milliseconds."""
        return START_MS + int((self.now - START_S) * 1000)

    def sleep(self, seconds: float) -> None:
        """Give up the turn for some time."""
        self.wait(max(0.0, seconds))

    def event(self) -> VirtualEvent:
        """A new flag, not set."""
        return VirtualEvent(self)

    def lock(self) -> VirtualLock:
        """A new lock."""
        return VirtualLock(self)

    def start(self, target: Callable[..., object], *args: object, name: str) -> VirtualTask:
        """Run a task beside the current one, in the same process."""
        return self.spawn(self.current().process, target, *args, name=name)

    def token(self) -> str:
        """A text that nobody else has."""
        return f"{next(self._tokens):016x}"

    # -- tasks --------------------------------------------------------------------------------

    def spawn(
        self, process: Process, target: Callable[..., object], *args: object, name: str
    ) -> VirtualTask:
        """Start a task in a process."""
        task = VirtualTask(self, process, name)

        def body() -> None:
            try:
                target(*args)
            except Killed:
                pass
            except Exception as error:
                self.crashes.append((f"{process.name}/{name}", error))
            finally:
                task.ended = True
                process.tasks.discard(task)
                if task.greenlet is not None:
                    self._tasks.pop(task.greenlet, None)

        task.greenlet = greenlet(body, self._hub)
        self._tasks[task.greenlet] = task
        process.tasks.add(task)
        self.wake(task)
        return task

    def current_or_none(self) -> VirtualTask | None:
        """The task that runs; None outside of all of them."""
        return self._tasks.get(getcurrent())

    def current(self) -> VirtualTask:
        """The task that runs."""
        return self._tasks[getcurrent()]

    def alive(self) -> None:
        """Raise `Killed` in a task whose process is dead."""
        task = self._tasks.get(getcurrent())
        if task is not None and not task.process.alive:
            raise Killed

    def wake(self, task: VirtualTask) -> None:
        """Let a task run soon."""
        self._due(task, self.now + self._chance.expovariate(1 / WAKE_S))

    def wait(self, timeout: float | None) -> None:
        """Give up the turn until woken, or until a time has passed."""
        task = self._tasks.get(getcurrent())
        if task is None:
            raise StuckError("something outside of all tasks waits")
        if not task.process.alive:
            raise Killed
        task.wanted += 1
        if timeout is not None:
            self._due(task, self.now + timeout)
        self._hub.switch()
        if not task.process.alive:
            raise Killed

    def call(self) -> None:
        """A port call begins or ends: another task may run now."""
        task = self._tasks.get(getcurrent())
        if task is None:
            return
        if not task.process.alive:
            raise Killed
        task.process.calls += 1
        self.on_call(task.process)
        if self._chance.random() < 0.5:
            self.wait(self._chance.expovariate(1 / self._latency_s))
        elif not task.process.alive:
            raise Killed

    def kill(self, process: Process) -> None:
        """Kill a process: its connections are gone before any ``finally`` block of it runs."""
        process.alive = False
        for take_away in process.on_kill:
            take_away()
        # In the order of their creation: a set has none.
        for task in sorted(process.tasks, key=lambda task: task.name):
            task.wanted += 1
            self._due(task, self.now)

    def pause(self, process: Process, seconds: float) -> None:
        """Let no task of a process run for some time."""
        process.paused_until = self.now + seconds

    def run(self, until: Callable[[], bool], limit_s: float) -> None:
        """Run until something holds.

        Raises:
            StuckError: Not within ``limit_s`` virtual seconds.
        """
        self._hub = getcurrent()
        give_up_at = self.now + limit_s
        heap, tasks = self._heap, self._tasks
        while not until():
            if not heap:
                raise StuckError("every task waits for something that no timer will bring about")
            at, _, task, wanted = heappop(heap)
            if wanted != task.wanted or task.ended:
                continue
            if at < task.process.paused_until and task.process.alive:
                heappush(heap, (task.process.paused_until, next(self._order), task, wanted))
                continue
            self.now = max(self.now, at)
            self.turns += 1
            if self.turns > MOST_TURNS:
                raise StuckError(f"{MOST_TURNS} turns, at {self.now - START_S:.3f} s")
            if self.now > give_up_at:
                raise StuckError(f"not there after {limit_s:g} virtual seconds")
            task.wanted += 1
            found = task.greenlet
            if found is not None and found in tasks:
                if task.process.alive or found:
                    found.switch()
                else:
                    self._never_began(task)

    def _never_began(self, task: VirtualTask) -> None:
        task.ended = True
        task.process.tasks.discard(task)
        if task.greenlet is not None:
            self._tasks.pop(task.greenlet, None)

    def _due(self, task: VirtualTask, at: float) -> None:
        heappush(self._heap, (at, next(self._order), task, task.wanted))


def describe(error: BaseException) -> str:
    """An exception and where it came from, in one line."""
    trace: Any = error.__traceback__
    place = ""
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f"{code.co_filename.rpartition('services/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__}: {error} ({place})"
