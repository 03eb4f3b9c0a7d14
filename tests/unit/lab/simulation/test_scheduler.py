"""The virtual host: one task at a time, in an order that the seed alone decides."""

from collections.abc import Iterator

import pytest

from services.lab.simulation.scheduler import Process, Scheduler, StuckError
from services.runtime import host

pytestmark = pytest.mark.unit


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    made = Scheduler(1, 0.001)
    before = host.install(made)
    yield made
    host.install(before)


def _turns(seed: int) -> list[str]:
    scheduler, seen = Scheduler(seed, 0.001), list[str]()
    process = Process("p")

    def work(name: str) -> None:
        for _ in range(20):
            scheduler.call()
            seen.append(name)

    for name in "abc":
        scheduler.spawn(process, work, name, name=name)
    scheduler.run(lambda: len(seen) == 60, 10)
    return seen


def test_a_seed_decides_every_turn() -> None:
    assert _turns(1) == _turns(1)
    assert _turns(1) != _turns(2)


def test_time_jumps_to_the_next_timer(scheduler: Scheduler) -> None:
    woken: list[float] = []

    def work() -> None:
        host.sleep(3600)
        woken.append(host.monotonic())

    began = scheduler.now
    scheduler.spawn(Process("p"), work, name="work")
    scheduler.run(lambda: bool(woken), 4000)
    assert 3600 <= woken[0] - began < 3601


def test_a_kill_takes_connections_away_before_finally_blocks_run(scheduler: Scheduler) -> None:
    seen: list[str] = []
    process, ended = Process("p"), Process("q")
    process.on_kill.append(lambda: seen.append("connections gone"))

    def work() -> None:
        try:
            host.event().wait()
        finally:
            seen.append("finally")
            host.sleep(1)
            seen.append("never")

    def killer() -> None:
        host.sleep(1)
        scheduler.kill(process)

    scheduler.spawn(process, work, name="work")
    scheduler.spawn(ended, killer, name="killer")
    scheduler.run(lambda: not process.tasks and not ended.tasks, 10)
    assert seen == ["connections gone", "finally"]


def test_a_paused_process_does_nothing_and_goes_on(scheduler: Scheduler) -> None:
    process, times = Process("p"), list[float]()

    def work() -> None:
        host.sleep(1)
        times.append(host.monotonic())

    scheduler.spawn(process, work, name="work")
    scheduler.pause(process, 50)
    began = scheduler.now
    scheduler.run(lambda: bool(times), 100)
    assert times[0] - began >= 50


def test_a_lock_keeps_other_tasks_out(scheduler: Scheduler) -> None:
    lock, inside, most = host.lock(), [0], [0]
    process = Process("p")

    def work() -> None:
        with lock, lock:
            inside[0] += 1
            most[0] = max(most)
            most.append(inside[0])
            host.sleep(0.1)
            inside[0] -= 1

    for name in "abc":
        scheduler.spawn(process, work, name=name)
    scheduler.run(lambda: not process.tasks, 10)
    assert max(most) == 1


def test_waiting_for_nothing_is_reported(scheduler: Scheduler) -> None:
    scheduler.spawn(Process("p"), lambda: host.event().wait(), name="work")
    with pytest.raises(StuckError, match="no timer"):
        scheduler.run(lambda: False, 10)
