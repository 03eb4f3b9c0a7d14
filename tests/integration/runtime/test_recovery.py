"""Opening the bus, and what happens when Redis has less than PostgreSQL knows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest

from services.cdb_ws.publishing.backpressure import Pressure
from services.kernel.events import AnyEvent, Recovered, topics
from services.runtime.bus import journal, recovery, snapshots
from services.runtime.bus.bus import Bus, Refused, Unavailable
from services.runtime.bus.recovery import LOST_MARGIN, Known, TailEvent
from services.runtime.bus.subscription import Subscription
from services.runtime.consumer.stage_loop import StageLoop
from tests.bus_builders import RUN, clock, run_started, tick
from tests.deadline import Deadline
from tests.fake_stages import RelayStage
from tests.servers import RedisServer

pytestmark = pytest.mark.integration
BusOf = Callable[[str], Bus]


def restore(server: RedisServer, known: Known) -> recovery.Opened:
    return recovery.restore(server.address("recovery"), known)


@contextmanager
def core(server: RedisServer, upto: int) -> Iterator[StageLoop]:
    """A core that has done its work up to a seq."""
    loop = StageLoop(RelayStage("cdb_core"), Bus(server.address("cdb_core"), "cdb_core"))
    try:
        loop.start()
        deadline = Deadline()
        while loop.cursor < upto:
            deadline.require(lambda: f"core is at {loop.cursor}, not at {upto}")
            loop.step(0.1)
        yield loop
    finally:
        loop.close()


@dataclass(frozen=True)
class Recorded:
    """A run as PostgreSQL would know it, and all its events."""

    known: Known
    events: list[AnyEvent]


def record_a_run(server: RedisServer, bus_of: BusOf) -> Recorded:
    """Sixty ticks and what core makes of them, with a snapshot of core after fifty."""
    ws = bus_of("cdb_ws")
    bus_of("cdb_paper_runner").publish([run_started()])
    with core(server, ws.publish([tick(n) for n in range(50)]).last_seq) as loop:
        loop.save_snapshot()
    snapshot = snapshots.load(ws, "cdb_core")
    assert snapshot is not None
    ws.publish([tick(n) for n in range(50, 60)])
    with core(server, ws.publish([clock(60)]).last_seq):
        pass
    entries = journal.read_entries(ws, topics.TOPICS, snapshot.cursor, ws.head())
    known = Known(
        epoch=ws.own_claim().epoch,
        seq=ws.head(),
        run_id=RUN,
        clock_ms=clock(60).timestamp,
        topic_seqs=ws.heads().topic_seqs,
        tail=[TailEvent(entry.seq, entry.producer, entry.body) for entry in entries],
        snapshots=[snapshot],
        positions={"cdb_ws": "60"},
    )
    return Recorded(known, list(journal.read(ws, topics.TOPICS, 0, ws.head())))


def test_an_empty_system_gets_an_epoch_and_no_event(redis_server: RedisServer) -> None:
    assert not recovery.is_open(redis_server.address("recovery"))
    opened = restore(redis_server, Known())
    assert recovery.is_open(redis_server.address("recovery"))
    bus = Bus(redis_server.address("cdb_ws"), "cdb_ws")
    assert bus.claim().epoch == opened.epoch
    assert bus.head() == 0
    bus.close()


def test_a_redis_that_has_everything_is_opened_as_it_is(
    open_redis: RedisServer, bus_of: BusOf
) -> None:
    ws = bus_of("cdb_ws")
    ws.publish([tick(0), tick(1)])
    epoch = ws.own_claim().epoch
    assert restore(open_redis, Known(epoch=epoch, seq=1)) == recovery.Opened(epoch)
    assert ws.publish([tick(2)]).first_seq == 3


def test_an_empty_database_takes_the_epoch_that_is_there(
    open_redis: RedisServer, bus_of: BusOf
) -> None:
    ws = bus_of("cdb_ws")
    ws.publish([tick(0)])
    assert restore(open_redis, Known()).epoch == ws.own_claim().epoch
    assert ws.head() == 1


@pytest.mark.chaos
def test_what_redis_lost_is_put_back_and_said(open_redis: RedisServer, bus_of: BusOf) -> None:
    # Given a run that PostgreSQL knows
    recorded = record_a_run(open_redis, bus_of)
    known, ws = recorded.known, bus_of("cdb_ws")
    # When Redis comes back empty
    with open_redis.admin() as admin:
        admin.flushall()
    ws.close()
    with pytest.raises(Unavailable, match="waiting for cdb_db_writer"):
        ws.publish([tick(60)])
    opened = restore(open_redis, known)
    # Then who was running before publishes no more
    with pytest.raises(Refused) as refused:
        ws.publish([tick(60)])
    assert refused.value.reason in {"EPOCH", "FENCED"}
    # And the loss is on the record, after every seq that may have been seen
    watcher = bus_of("operator")
    [recovered] = journal.read(watcher, ["control"], known.seq, watcher.head())
    assert isinstance(recovered, Recovered)
    assert (recovered.lost_from, recovered.lost_to) == (opened.lost_from, opened.lost_to)
    assert opened.lost_from == known.seq + 1
    assert recovered.seq == known.seq + LOST_MARGIN + 1
    # And work goes on: nothing known is published again, nothing is left out
    again = bus_of("cdb_ws")
    assert again.own_claim().position == "60"
    with core(open_redis, again.publish([tick(n) for n in range(60, 70)]).last_seq):
        pass
    new = journal.read(watcher, topics.TOPICS, known.seq, watcher.head())
    everything = [*recorded.events, *new]
    signals = [event.causation_id for event in everything if event.TOPIC == topics.SIGNALS]
    assert signals == [tick(n).event_id for n in range(0, 70, 3)]
    ticks = [event for event in everything if event.TOPIC == topics.MARKET_DATA]
    assert [event.topic_seq for event in ticks] == list(range(1, 71))


def test_seqs_that_a_recovery_left_out_count_as_no_lag(
    open_redis: RedisServer, bus_of: BusOf
) -> None:
    # Given a Redis that came back empty, was put right, and came back empty again
    recorded = record_a_run(open_redis, bus_of)
    known, tail = recorded.known, list(recorded.known.tail)
    for _ in range(2):
        with open_redis.admin() as admin:
            admin.flushall()
        opened = restore(open_redis, replace(known, tail=tail))
        assert opened.lost_to is not None
        watcher = bus_of("operator")
        entries = journal.read_entries(watcher, topics.TOPICS, known.seq, watcher.head())
        tail += [TailEvent(entry.seq, entry.producer, entry.body) for entry in entries]
        known = replace(known, epoch=opened.epoch, seq=opened.lost_to + 1)
        watcher.close()
    ws = bus_of("cdb_ws")
    ws.publish([tick(n) for n in range(60, 65)])
    # When somebody begins behind an old snapshot, and somebody behind the last event written down
    snapshot_cursor = tail[0].seq - 1
    old = Subscription(ws, topics.TOPICS, snapshot_cursor)
    new = Subscription(ws, topics.TOPICS, recorded.known.seq)
    # Then each is behind by what there is to read, and by nothing else
    assert old.lag() == len(list(journal.read(ws, topics.TOPICS, snapshot_cursor, ws.head())))
    assert new.lag() == 2 + 5, "two recoveries, five ticks"
    old.close()
    new.close()
    # And cdb_ws does not wait for a writer who has nothing left to write
    bus_of("cdb_db_writer").publish([], cursor=ws.head() - 5)
    pressure = Pressure(ws)
    pressure.look()
    assert pressure.writer_lag == 5


def test_a_recovery_that_was_interrupted_is_done_again(
    open_redis: RedisServer, bus_of: BusOf
) -> None:
    bus_of("cdb_ws").publish([tick(0)])
    with open_redis.admin() as admin:
        admin.delete("cdb:verified", "cdb:epoch")
    first = restore(open_redis, Known(epoch="old", seq=100, run_id=RUN))
    assert first.lost_from == 101
    second = restore(open_redis, Known(epoch="old", seq=100, run_id=RUN))
    assert second == recovery.Opened(first.epoch), "it was complete already"
