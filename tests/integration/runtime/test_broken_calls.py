"""A lock-step run whose connections to Redis break at every single call, one after the other."""

import threading
from collections.abc import Callable, Iterator

import pytest

from services.kernel.events import Event, topics
from services.runtime.bus import journal
from services.runtime.bus.bus import Bus
from services.runtime.bus.lockstep import LockStep
from services.runtime.consumer.stage_loop import StageLoop
from services.runtime.service.backoff import retry
from tests.breaking_connection import Breaks
from tests.bus_builders import run_started, tick
from tests.fake_stages import RelayStage, fifo
from tests.servers import RedisServer

pytestmark = [pytest.mark.integration, pytest.mark.chaos, pytest.mark.slow]
BusOf = Callable[[str], Bus]
DEADLINE_S = 60.0
EVERY_STAGE_ANSWERS = 60
"""Ticks whose number is a multiple of it cause outputs in all three stages."""
FEWEST_CALLS = 12
"""A tick makes each service call Redis at least so often."""


class LockStepRun:
    """The three stages in threads, and a source that publishes one tick after the other."""

    def __init__(self, server: RedisServer, breaks: Breaks) -> None:
        self.published: list[Event] = []
        self.errors: list[BaseException] = []
        self._breaks = breaks
        self._stop = threading.Event()
        self._source = Bus(server.address(topics.WS), topics.WS)
        self._lockstep = LockStep(self._source)
        retry(self._source.claim, self._stop)
        self._threads = [
            threading.Thread(target=self._run, args=(server, name)) for name in topics.STAGE_ORDER
        ]
        for thread in self._threads:
            thread.start()

    def broken_tick(self, service: str, *calls: int, after: bool) -> bool:
        """Publish the next tick while calls break; returns once all that it causes is published.

        Returns:
            Whether all those calls were made, and broken.
        """
        self.settle()
        self._breaks.arm(service, *calls, after=after)
        event = tick(len(self.published) * EVERY_STAGE_ANSWERS)
        self.published.append(event)
        position = str(len(self.published))
        retry(lambda: self._source.publish([event], position=position), self._stop)
        self.settle()
        return self._breaks.disarm()

    def settle(self) -> None:
        """Wait until everything that was published has been handled."""
        ended = threading.Timer(DEADLINE_S, self._stop.set)
        ended.start()
        while not retry(lambda: self._lockstep.wait_idle(1.0), self._stop):
            assert not self._stop.is_set(), f"not settled within {DEADLINE_S:g} s; {self.errors}"
        ended.cancel()

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)
        self._lockstep.close()
        self._source.close()

    def _run(self, server: RedisServer, service: str) -> None:
        loop = StageLoop(RelayStage(service), Bus(server.address(service), service))
        try:
            loop.run(self._stop)
        except BaseException as error:
            self.errors.append(error)


@pytest.fixture
def run(
    open_redis: RedisServer, bus_of: BusOf, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LockStepRun]:
    bus_of("cdb_paper_runner").publish([run_started(speed="max")])
    breaks = Breaks()
    breaks.install(monkeypatch)
    made = LockStepRun(open_redis, breaks)
    yield made
    made.close()
    assert not made.errors


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("service", [*topics.STAGE_ORDER, topics.WS])
def test_a_run_whose_redis_dies_at_every_call_records_what_the_undisturbed_one_does(
    run: LockStepRun, bus_of: BusOf, service: str, after: bool
) -> None:
    call, broken = 0, True
    while broken or call <= FEWEST_CALLS:
        call += 1
        broken = run.broken_tick(service, call, after=after)
    assert_undisturbed(run, bus_of)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_run_whose_redis_dies_again_at_every_call_of_the_recovery_records_the_same(
    run: LockStepRun, bus_of: BusOf, after: bool
) -> None:
    call, broken = 0, True
    while broken or call <= FEWEST_CALLS:
        call += 1
        broken = run.broken_tick(topics.RISK, 4, call, after=after)
    assert_undisturbed(run, bus_of)


def assert_undisturbed(run: LockStepRun, bus_of: BusOf) -> None:
    """The record is that of the kernel's queue: the same inputs, outputs, and places."""
    stages = [RelayStage(name) for name in topics.STAGE_ORDER]
    undisturbed = fifo([run_started(speed="max"), *run.published], stages)
    watcher = bus_of("operator")
    recorded = list(journal.read(watcher, topics.TOPICS, 0, watcher.head()))
    assert [(e.event_id, e.correlation_id) for e in recorded] == [
        (e.event_id, e.correlation_id) for e in undisturbed
    ]
    assert [e.seq for e in recorded] == list(range(1, len(undisturbed) + 1))
