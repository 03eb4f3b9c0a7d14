"""One simulation from its start to its judgement."""

import gc
import time
from typing import Final

from msgspec import Struct

from services.kernel.events import topics
from services.lab.simulation.judgement import judge
from services.lab.simulation.plan import Plan, plan_of
from services.lab.simulation.scheduler import START_S, Scheduler, StuckError, describe
from services.lab.simulation.trouble import Trouble
from services.lab.simulation.world import World
from services.persistence.orders import TOPICS
from services.record.reading import RecordError
from services.runtime import host

LIMIT_S: Final = 240.0
"""Virtual seconds within which everything must have come to its end, whatever happened."""
STOP_LIMIT_S: Final = 30.0
SHOWN: Final = 50
LOOK_EVERY_S: Final = 0.1
CALM_S: Final = 2.0
"""Virtual seconds in which nothing may be left to do before the end."""
_RUNS: Final = frozenset({"run_started", "run_ended"})


class Outcome(Struct, frozen=True, kw_only=True):
    """What one seed gave; ``problems`` is empty when everything held."""

    seed: int
    events: int = 0
    fills: int = 0
    faults: dict[str, int] = {}
    lost: int = 0
    doubled: int = 0
    divergences: int = 0
    turns: int = 0
    virtual_seconds: float = 0.0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    happened: tuple[str, ...] = ()
    last_events: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def play(seed: int) -> Outcome:
    """Play a seed with its own plan."""
    return play_plan(plan_of(seed))


def play_plan(plan: Plan) -> Outcome:
    """Play a plan."""
    began, cpu = time.perf_counter(), time.process_time()
    scheduler = Scheduler(plan.seed, plan.latency_s)
    previous = host.install(scheduler)
    gc.disable()
    try:
        world = World(scheduler, plan.settings)
        trouble = Trouble(world, plan)
        problems = _run(world, trouble)
    finally:
        host.install(previous)
        gc.enable()
    problems += world.problems
    problems += [f"{where}: {describe(error)}" for where, error in scheduler.crashes]
    figures = {"events": 0, "lost": 0, "doubled": 0, "divergences": 0, "fills": 0}
    try:
        judged = judge(world.database)
        figures = {name: getattr(judged, name) for name in figures}
        problems += judged.problems
    except RecordError as error:
        problems.append(f"the record cannot be read: {error}")
    tail = sorted(world.database.rows, key=lambda row: row.seq)[-SHOWN:]
    return Outcome(
        seed=plan.seed,
        **figures,
        faults=dict(trouble.counts + world.network.struck),
        turns=scheduler.turns,
        virtual_seconds=round(scheduler.now - START_S, 3),
        seconds=time.perf_counter() - began,
        cpu_seconds=time.process_time() - cpu,
        happened=tuple(trouble.happened),
        last_events=tuple(row.body[:400] for row in tail),
        problems=tuple(problems),
    )


def _run(world: World, trouble: Trouble) -> list[str]:
    for service in topics.SERVICES:
        world.start(service)
    trouble.start()
    end = _End(world)
    try:
        world.scheduler.run(lambda: trouble.over and end.is_reached(), LIMIT_S)
    except StuckError as stuck:
        waits = {
            name: running.shell.lifecycle.waiting_for
            for name, running in world.services.items()
            if running.shell is not None and running.shell.lifecycle.waiting_for is not None
        }
        return [f"trading did not go on: {stuck}; waiting: {waits}"]
    world.stop()
    alive = list(world.services.values())
    try:
        world.scheduler.run(lambda: not any(one.process.tasks for one in alive), STOP_LIMIT_S)
    except StuckError as stuck:
        names = [one.service for one in alive if one.process.tasks]
        return [f"{', '.join(names)} did not stop: {stuck}"]
    return [f"{one.service} ended with exit code {one.exit_code}" for one in alive if one.exit_code]


class _End:
    """Whether the market has ended, and everybody has done with it for a while."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._since = world.scheduler.now
        self._next = 0.0

    def is_reached(self) -> bool:
        """Look again, some times a virtual second."""
        now = self._world.scheduler.now
        if now < self._next:
            return False
        self._next = now + LOOK_EVERY_S
        if not self._is_done():
            self._since = now
        return now - self._since >= CALM_S

    def _is_done(self) -> bool:
        bus, database = self._world.bus, self._world.database
        kinds = [(row.kind, row.seq) for row in database.rows if row.kind in _RUNS]
        if not bus.up or not kinds or kinds[-1][0] != "run_ended":
            return False
        counters = bus.hash(b"cdb:counters")
        if database.cursor.seq < int(counters.get(b"seq", b"0")):
            return False
        heads = {
            name: int(counters.get(f"topic_head:{name}".encode(), b"0"))
            for name in topics.TOPICS
            for topic in topics.TOPICS
        }
        if database.orders_cursor.seq < max(heads[topic] for topic in TOPICS):
            return False
        for name in (*topics.STAGE_ORDER, topics.PAPER_RUNNER):
            cursor = int(bus.hash(f"cdb:cursor:{name}".encode()).get(b"seq", b"0"))
            if cursor < max(heads[topic] for topic in topics.CONSUMES[name]):
                return False
        return all(
            running.shell is not None and running.shell.lifecycle.waiting_for is None
            for running in self._world.services.values()
        )
