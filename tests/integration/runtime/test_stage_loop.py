"""The loop around a stage, with real processes that are killed while they work."""

import json
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

import pytest

from services.kernel.events import AnyEvent, Event, Halt, MarketData, Signal, topics
from services.runtime.bus import journal, recovery
from services.runtime.bus.bus import Bus, Refused
from services.runtime.bus.lockstep import LockStep
from services.runtime.bus.recovery import Known
from services.runtime.bus.redis.names import PROGRESS_CHANNEL
from services.runtime.consumer.stage_loop import StageLoop
from tests.bus_builders import clock, run_started, tick
from tests.deadline import DEADLINE_S, wait_until
from tests.fake_stages import RelayStage, fifo
from tests.servers import RedisServer

pytestmark = pytest.mark.integration


@pytest.fixture
def any_redis(redis_server: RedisServer) -> RedisServer:
    """The real server only: its loops run in threads and processes."""
    return redis_server


BusOf = Callable[[str], Bus]


class Processes:
    """Test processes by name; ``kill`` starts the next instance at once."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._arguments: dict[str, list[str]] = {}
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, service: str, kind: str, **settings: object) -> None:
        address = asdict(self._server.address(service))
        arguments = json.dumps({"address": address, **settings})
        self._arguments[service] = [sys.executable, "-m", "tests.bus_processes", kind, arguments]
        self._spawn(service)

    def kill(self, service: str) -> None:
        process = self.running[service]
        process.kill()
        process.wait(10)
        self._spawn(service)

    def stop(self) -> None:
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)

    def _spawn(self, service: str) -> None:
        self.running[service] = subprocess.Popen(self._arguments[service])


@pytest.fixture
def processes(open_redis: RedisServer) -> Iterator[Processes]:
    made = Processes(open_redis)
    yield made
    made.stop()


def recorded(bus: Bus, of_topics: Iterable[str] = topics.TOPICS) -> list[AnyEvent]:
    return list(journal.read(bus, list(of_topics), 0, bus.head()))


def identity(events: Iterable[Event]) -> list[tuple[str, str | None]]:
    """What tells an output of one past from an output of another."""
    return [(event.event_id, event.correlation_id) for event in events]


def in_lockstep(bus_of: BusOf) -> None:
    bus_of("cdb_paper_runner").publish([run_started(speed="max")])


def expected_lockstep(count: int) -> list[tuple[str, str | None]]:
    wired = [RelayStage(name) for name in topics.STAGE_ORDER]
    return identity(fifo([run_started(speed="max"), *(tick(n) for n in range(count))], wired))


@pytest.mark.chaos
def test_a_source_killed_again_and_again_publishes_every_row_once(
    processes: Processes, bus_of: BusOf
) -> None:
    watcher, chance = bus_of("operator"), random.Random(1)  # noqa: S311 - chaos, no secret
    processes.start("cdb_ws", "source", count=20_000, batch=7)
    for kill in range(1, 9):
        wait_until(lambda kill=kill: watcher.head() >= kill * 2000, "ticks of the next instance")
        processes.kill("cdb_ws")
        threading.Event().wait(chance.random() * 0.05)
    wait_until(lambda: watcher.head() >= 20_000, "all ticks")
    assert processes.running["cdb_ws"].wait(20) == 0
    events = recorded(watcher)
    assert [event.trade_id for event in events] == [str(n) for n in range(20_000)]
    assert [event.topic_seq for event in events] == list(range(1, 20_001))


@pytest.mark.chaos
@pytest.mark.slow
def test_lockstep_gives_the_order_of_one_process_whoever_is_killed(
    processes: Processes, bus_of: BusOf
) -> None:
    # Given a run in lock-step
    in_lockstep(bus_of)
    watcher, count = bus_of("operator"), 1200
    for service in topics.STAGE_ORDER:
        processes.start(service, "stage", snapshot_every_s=0.2)
    processes.start("cdb_ws", "source", count=count, batch=1, in_step=True)
    # When source and stages are killed one after the other, in the middle of their work
    for kill in range(1, 13):
        wait_until(
            lambda kill=kill: (
                watcher.cursor_of("cdb_ws").position is not None
                and int(watcher.cursor_of("cdb_ws").position or 0) >= kill * count // 14
            ),
            "the next ticks",
        )
        processes.kill(("cdb_execution", "cdb_risk", "cdb_core", "cdb_ws")[kill % 4])
    assert processes.running["cdb_ws"].wait(DEADLINE_S) == 0
    # Then every output exists once, at the place the kernel's queue gives it
    assert identity(recorded(watcher)) == expected_lockstep(count)


@pytest.mark.chaos
def test_stages_killed_in_a_flood_publish_every_output_once(
    processes: Processes, bus_of: BusOf
) -> None:
    watcher, count, chance = bus_of("operator"), 12_000, random.Random(2)  # noqa: S311 - chaos, no secret
    processes.start("cdb_core", "stage", snapshot_every_s=0.3)
    processes.start("cdb_ws", "source", count=count, batch=20)
    for _ in range(8):
        threading.Event().wait(0.2 + chance.random() * 0.3)
        processes.kill("cdb_core")
    assert processes.running["cdb_ws"].wait(DEADLINE_S) == 0
    ticks = recorded(watcher, [topics.MARKET_DATA])
    wait_until(lambda: watcher.cursor_of("cdb_core").seq >= ticks[-1].seq, "core")
    stage = RelayStage("cdb_core")
    expected = [output for event in ticks for output in stage.handle(event)]
    assert identity(recorded(watcher, [topics.SIGNALS])) == identity(expected)


@pytest.mark.chaos
@pytest.mark.slow
def test_a_server_killed_in_a_flood_loses_and_repeats_nothing(
    processes: Processes, bus_of: BusOf, open_redis: RedisServer
) -> None:
    watcher, count = bus_of("operator"), 8000
    epoch = bus_of("cdb_db_writer").own_claim().epoch
    processes.start("cdb_core", "stage", snapshot_every_s=0.3)
    processes.start("cdb_ws", "source", count=count, batch=5)
    for kill in range(1, 4):
        wait_until(lambda kill=kill: watcher.head() >= kill * 1500, "the next ticks")
        open_redis.kill()
        watcher.close()
        open_redis.start()
        recovery.restore(open_redis.address("recovery"), Known(epoch=epoch, seq=0))
    assert processes.running["cdb_ws"].wait(DEADLINE_S) == 0
    ticks = recorded(watcher, [topics.MARKET_DATA])
    assert [event.trade_id for event in ticks] == [str(n) for n in range(count)]
    wait_until(lambda: watcher.cursor_of("cdb_core").seq >= ticks[-1].seq, "core")
    stage = RelayStage("cdb_core")
    expected = [output for event in ticks for output in stage.handle(event)]
    assert identity(recorded(watcher, [topics.SIGNALS])) == identity(expected)


@contextmanager
def running(loop: StageLoop) -> Iterator[threading.Event]:
    """The loop in a thread, ended at the end; what it raised is raised here."""
    stop, errors = threading.Event(), []

    def target() -> None:
        try:
            loop.run(stop)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


def loop_for(server: RedisServer, service: str, **settings: object) -> StageLoop:
    return StageLoop(RelayStage(service), Bus(server.address(service), service), **settings)


def test_lockstep_order_is_that_of_the_queue(processes: Processes, bus_of: BusOf) -> None:
    in_lockstep(bus_of)
    for service in topics.STAGE_ORDER:
        processes.start(service, "stage")
    processes.start("cdb_ws", "source", count=600, batch=1, in_step=True)
    assert processes.running["cdb_ws"].wait(DEADLINE_S) == 0
    assert identity(recorded(bus_of("operator"))) == expected_lockstep(600)


def test_a_source_can_wait_for_the_stages_of_any_run(
    open_redis: RedisServer, bus_of: BusOf
) -> None:
    ws, watcher = bus_of("cdb_ws"), bus_of("operator")
    lockstep = LockStep(ws)
    last = ws.publish([tick(n) for n in range(1, 3)]).last_seq
    with running(loop_for(open_redis, "cdb_core")), running(loop_for(open_redis, "cdb_risk")):
        assert not lockstep.wait_idle(0.3), "execution is not there"
        with running(loop_for(open_redis, "cdb_execution")):
            assert lockstep.wait_idle(20.0)
            assert min(watcher.cursor_of(name).seq for name in topics.STAGE_ORDER) >= last
    lockstep.close()


def test_a_restarted_stage_speaks_for_its_predecessors_last_output(
    open_redis: RedisServer, bus_of: BusOf
) -> None:
    # Given core in lock-step, killed after it published a signal and before it could say so
    in_lockstep(bus_of)
    bus_of("cdb_ws").publish([tick(0)])
    for service in ("cdb_execution", "cdb_risk"):
        bus_of(service).publish([], cursor=2)
    published = bus_of("cdb_core").publish(RelayStage("cdb_core").handle(tick(0)), cursor=2)
    listener = open_redis.address("operator").connect("test")
    listener.call("SUBSCRIBE", PROGRESS_CHANNEL)
    # When its successor comes to the end
    loop = loop_for(open_redis, "cdb_core")
    loop.start()
    while loop.step(0.1):
        pass
    # Then the source hears that there is a signal which the others may not have seen yet
    told = [reply[2].decode().split() for reply in listener.receive(5.0)]
    assert {(name, int(up_to)) for name, _, up_to in told} == {("cdb_core", published.last_seq)}
    loop.close()
    listener.close()


def test_it_has_caught_up_once_what_was_there_at_its_start_is_handled(
    open_redis: RedisServer, bus_of: BusOf
) -> None:
    ws = bus_of("cdb_ws")
    last = ws.publish([tick(n) for n in range(2_500)]).last_seq
    loop = loop_for(open_redis, "cdb_core")
    loop.start()
    assert not loop.caught_up
    # However much comes meanwhile
    ws.publish([tick(n) for n in range(2_500, 2_600)])
    handled = 0
    while not loop.caught_up:
        assert handled < last
        handled += loop.step(1.0)
    assert handled >= last
    loop.close()


def test_of_two_instances_the_older_stops(open_redis: RedisServer, bus_of: BusOf) -> None:
    ws, watcher = bus_of("cdb_ws"), bus_of("operator")
    old = loop_for(open_redis, "cdb_core")
    with pytest.raises(Refused, match="FENCED"), running(old):  # noqa: PT012 - raised at its end
        ws.publish([tick(n) for n in range(10)])
        wait_until(lambda: watcher.cursor_of("cdb_core").seq >= 10, "the older one's work")
        with running(loop_for(open_redis, "cdb_core")) as newer:
            ws.publish([tick(n) for n in range(10, 100)])
            wait_until(lambda: watcher.cursor_of("cdb_core").seq >= 100, "the newer one's work")
            newer.set()
    stage = RelayStage("cdb_core")
    expected = [output for n in range(100) for output in stage.handle(tick(n))]
    assert identity(recorded(watcher, ["signals"])) == identity(expected)


def test_messages_from_outside_become_events_of_their_owner(
    open_redis: RedisServer, bus_of: BusOf
) -> None:
    watcher = bus_of("operator")
    bus_of("cdb_paper_runner").publish([run_started()])
    bus_of("cdb_ws").publish([clock(0)])
    loop = loop_for(open_redis, "cdb_risk")
    with running(loop):
        wait_until(lambda: loop.last_clock_ms is not None, "the clock")
        watcher.post("operator", '{"type": "halt", "reason": "lunch"}')
        watcher.post("signals", '{"symbol": "BTCUSDT", "direction": "buy", "price": 1}')
        watcher.post("operator", '{"type": "halt"}')
        watcher.post("risk_decisions", '{"verdict": "APPROVED"}')
        wait_until(lambda: len(recorded(watcher)) >= 4, "halt and alert")
    [halt] = [event for event in recorded(watcher) if isinstance(event, Halt)]
    assert (halt.reason, halt.producer, halt.external) == ("lunch", "cdb_risk", True)
    assert halt.timestamp == clock(0).timestamp
    assert not any(isinstance(event, Signal) for event in recorded(watcher)), "that is core's"
    assert loop.counters["outside_ignored"] == 1
    assert loop.dead_letters.counts == {"MALFORMED": 1, "NOT_FROM_OUTSIDE": 1}
    [alert] = recorded(watcher, ["alerts"])
    assert alert.code == "DEAD_LETTER"
    with open_redis.admin() as admin:
        letters = [fields for _, fields in admin.xrange("cdb:dead:cdb_risk")]
    assert [letter[b"reason"] for letter in letters] == [b"MALFORMED", b"NOT_FROM_OUTSIDE"]
    assert letters[0][b"detail"] == b"reason is missing"


def test_a_forged_event_never_reaches_the_stage(open_redis: RedisServer, bus_of: BusOf) -> None:
    ws, watcher = bus_of("cdb_ws"), bus_of("operator")
    loop = loop_for(open_redis, "cdb_core")
    with running(loop):
        ws.publish([tick(0)])
        wait_until(lambda: loop.cursor >= 1, "the first tick")
        [real] = journal.read_entries(watcher, ["market_data"], 0, 1)
        fake = real.body.replace(b'"trade_id":"0"', b'"trade_id":"3"')
        watcher.post(
            "market_data", fake.replace(b'"seq":1,"topic_seq":1', b'"seq":3,"topic_seq":2')
        )
        wait_until(lambda: loop.dead_letters.total == 1, "the dead letter")
        ws.publish([tick(1)])
        wait_until(lambda: loop.counters["inputs"] == 2, "the second tick")
    assert loop.dead_letters.counts == {"NOT_IN_JOURNAL": 1}
    assert all(isinstance(e, MarketData | Signal) or e.code for e in recorded(watcher))


def test_a_stage_may_only_read_what_its_service_consumes(open_redis: RedisServer) -> None:
    with pytest.raises(ValueError, match="cdb_core does not consume order_results"):
        StageLoop(RelayStage("cdb_execution"), Bus(open_redis.address("cdb_core"), "cdb_core"))
