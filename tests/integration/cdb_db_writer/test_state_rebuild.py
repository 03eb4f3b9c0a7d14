"""Snapshots that nobody can use any more, made again from the record."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from services.cdb_ws.control_subscriber import ControlSubscriber
from services.kernel.events import ConditionName, Event, Side, topics
from services.kernel.market.run_watch import RunWatch
from services.kernel.risk.stage import RiskStage
from services.persistence.order_follower import OrderFollower
from services.persistence.rebuild import rebuild
from services.runtime.bus import journal, snapshots
from services.runtime.bus.bus import Bus
from services.runtime.bus.snapshots import Snapshot
from services.runtime.consumer.stage_loop import StageLoop
from services.runtime.service.backoff import retry
from tests import builders
from tests.bus_builders import START_MS, clock, run_started, tick
from tests.deadline import wait_until
from tests.integration.cdb_db_writer.conftest import (
    Play,
    RunningWriter,
    StartWriter,
)
from tests.record_builders import funding, order, result
from tests.servers import PostgresServer, RedisServer

pytestmark = pytest.mark.integration
OUTPUTS = frozenset({topics.RISK_DECISIONS, topics.ORDERS, topics.ALERTS})


@contextmanager
def risk_at_work(server: RedisServer) -> Iterator[StageLoop]:
    """``cdb_risk``, saving a snapshot as often as it can."""
    stop = threading.Event()
    bus = Bus(server.address(topics.RISK), topics.RISK)
    loop = StageLoop(RiskStage(), bus, snapshot_every_s=0.0)
    thread = threading.Thread(target=loop.run, args=(stop,))
    thread.start()
    try:
        yield loop
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def market(first: int, count: int) -> list[Event]:
    """Clocks and ticks, one of each in a second."""
    return [
        event for n in range(first, first + count) for event in (clock(n * 1000), tick(n * 1000))
    ]


@pytest.fixture
def writer(start_writer: StartWriter, monkeypatch: pytest.MonkeyPatch) -> RunningWriter:
    monkeypatch.setattr("services.cdb_db_writer.writer.SNAPSHOT_COPY_S", 0.0)
    running = start_writer()
    running.wait_working()
    return running


def undisturbed(bus: Bus) -> bytes:
    """Risk's state, had it handled the whole record in one life."""
    stage = RiskStage()
    for event in journal.read(bus, topics.CONSUMES[topics.RISK], 0, bus.head()):
        stage.handle(event)
    return stage.snapshot()


def trimmed(server: RedisServer, upto: int) -> None:
    """The journal begins behind a seq; the test still reads all of it beforehand."""
    with server.admin() as admin:
        for name in topics.SERVICES:
            newest = admin.xrevrange(f"cdb:journal:{name}", count=1)  # always stays
            lowest = min(upto + 1, *(int(entry.split(b"-")[0]) for entry, _ in newest), 2**62)
            admin.xtrim(f"cdb:journal:{name}", minid=f"{lowest}-0", approximate=False)
            admin.hset(f"cdb:cursor:{name}", "trimmed", upto + 1)


def replace_everywhere(
    redis: RedisServer, postgres: PostgresServer, spoilt: Snapshot, *, kept: bool
) -> None:
    """Put a snapshot in the place of the stage's own, and of the copies in PostgreSQL."""
    with redis.admin() as admin:
        admin.hset(f"cdb:snapshot:{spoilt.service}", mapping=spoilt.fields())
    if kept:
        return
    with postgres.connection() as connection:
        connection.execute(
            "UPDATE state_snapshots SET state = %s WHERE service = %s",
            (spoilt.state, spoilt.service),
        )
        for (cursor,) in connection.execute(
            "SELECT cursor FROM state_snapshots WHERE service = %s", (spoilt.service,)
        ).fetchall():
            copy = connection.execute(
                "SELECT epoch, context FROM state_snapshots WHERE service = %s AND cursor = %s",
                (spoilt.service, cursor),
            ).fetchone()
            assert copy is not None
            checksum = Snapshot(spoilt.service, spoilt.state, cursor, *copy).checksum
            connection.execute(
                "UPDATE state_snapshots SET checksum = %s WHERE service = %s AND cursor = %s",
                (checksum, spoilt.service, cursor),
            )


@pytest.mark.parametrize("kept", [True, False], ids=["a copy is kept", "no copy can be read"])
def test_a_stage_whose_snapshot_cannot_be_read_is_what_the_record_makes_of_it(
    writer: RunningWriter,
    play: Play,
    redis_server: RedisServer,
    postgres_server: PostgresServer,
    kept: bool,
) -> None:
    # Given a run in which risk was at work, and whose beginning is in PostgreSQL alone
    play.publish(run_started(), builders.instruments(builders.instrument()))
    last = play.publish(*market(0, 40))
    with risk_at_work(redis_server) as loop:
        wait_until(lambda: loop.cursor >= last, "risk's first life")
    writer.wait_committed(last)
    saved = snapshots.load(play.bus(topics.WS), topics.RISK)
    assert saved is not None
    wait_until(
        lambda: bool(
            postgres_server.query(
                "SELECT 1 FROM state_snapshots WHERE service = %s AND cursor = %s",
                (topics.RISK, saved.cursor),
            )
        ),
        "the copy",
    )
    expected = undisturbed(play.bus(topics.WS))
    trimmed(redis_server, last)
    # When its state is of a layout that nobody knows
    state = saved.state.replace(b'"run_id"', b'"run_name"', 1)
    spoilt = Snapshot(topics.RISK, state, saved.cursor, saved.epoch, saved.context)
    replace_everywhere(redis_server, postgres_server, spoilt, kept=kept)
    with risk_at_work(redis_server) as loop:
        wait_until(lambda: loop.waiting_for is None and loop.counters["restarts"] > 1, "risk")
        # Then it is what it was, and works on
        assert loop.stage.snapshot() == expected
        last = play.publish(*market(40, 5))
        wait_until(lambda: loop.cursor >= last, "what comes next")
    assert writer.writer.status()


def test_a_source_whose_snapshot_is_lost_knows_its_run_again(
    writer: RunningWriter, play: Play, redis_server: RedisServer
) -> None:
    # Given a run with a gap in the data, whose beginning is in PostgreSQL alone
    gap = builders.condition(ConditionName.DATA_GAP, producer=topics.WS, symbol="BTC_USDT")
    last = play.publish(run_started(), clock(0), gap, clock(1000))
    writer.wait_committed(last)
    trimmed(redis_server, last)
    play.close()
    with redis_server.admin() as admin:
        admin.hset(f"cdb:snapshot:{topics.WS}", mapping={"state": b"{}", "cursor": 3})
    bus, watch = Bus(redis_server.address(topics.WS), topics.WS), RunWatch()
    control = ControlSubscriber(watch, bus, lambda *_: None)
    retry(control.start, threading.Event())
    assert watch.open_run is not None
    assert watch.open_run.run_id == run_started().run_id
    assert watch.open.gaps == {"BTC_USDT"}
    assert control.context.clock_ms == clock(1000).timestamp
    control.close()


@contextmanager
def tables_followed(redis: RedisServer, postgres: PostgresServer) -> Iterator[OrderFollower]:
    """``cdb_execution``'s tables, as far as the record has come."""
    stop = threading.Event()
    bus = Bus(redis.address(topics.EXECUTION), topics.EXECUTION)
    follower = OrderFollower(postgres.role(topics.EXECUTION), bus)
    thread = threading.Thread(target=follower.run, args=(stop,))
    thread.start()
    try:
        yield follower
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()
        bus.close()


def test_folds_that_cannot_be_read_are_made_again_from_the_record(
    start_writer: StartWriter,
    play: Play,
    redis_server: RedisServer,
    postgres_server: PostgresServer,
) -> None:
    # Given an open position that has paid funding
    running = start_writer()
    running.wait_working()
    due = START_MS + 60_000
    play.publish(run_started(), clock(0), tick(1), order(1), result(1, price="100"))
    last = play.publish(funding(5, rate="0.0001", due=due), clock(60_000))
    running.wait_committed(last)
    with tables_followed(redis_server, postgres_server) as follower:
        wait_until(lambda: follower.committed_seq >= last, "the order's row")
    running.stop()
    # When the folds behind the tables are of a layout that nobody knows
    with postgres_server.connection() as connection:
        connection.execute("UPDATE db_writer_cursor SET state = '{}'")
        connection.execute("UPDATE execution_cursor SET state = '{}'")
    again = start_writer()
    again.wait_working()
    last = play.publish(order(3, side=Side.SELL), result(3, side=Side.SELL, price="120"))
    again.wait_committed(last)
    with tables_followed(redis_server, postgres_server) as follower:
        wait_until(lambda: follower.committed_seq >= last, "the trade's row")
    # Then the tables are what the whole record makes
    ((funding_paid, gross),) = postgres_server.query("SELECT funding, gross_profit FROM trades")
    assert funding_paid < 0 < gross
    assert all(table.identical for table in rebuild(postgres_server.address, keep=False))


def test_a_damaged_copy_of_a_snapshot_is_passed_over(
    writer: RunningWriter, play: Play, postgres_server: PostgresServer
) -> None:
    last = play.publish(run_started(), clock(0), clock(1000))
    writer.wait_committed(last)
    bus = play.bus(topics.RISK)
    for cursor in (1, 2, 3):
        bus.publish([], cursor=cursor)
        snapshots.save(bus, b"state %d" % cursor, cursor)
        wait_until(
            lambda cursor=cursor: (
                (cursor,)  # type: ignore[misc]
                in postgres_server.query("SELECT cursor FROM state_snapshots")
            ),
            "the copy",
        )
    with postgres_server.connection() as connection:
        connection.execute("UPDATE state_snapshots SET state = 'damaged' WHERE cursor = 3")
    [newest] = writer.writer.store.snapshots()
    assert (newest.cursor, newest.state) == (2, b"state 2")


def test_what_cannot_be_made_again_turns_the_writer_red(
    writer: RunningWriter, play: Play, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(_: RiskStage, event: Event) -> list[Event]:
        raise ValueError(f"no way to handle {type(event).__name__}")

    last = play.publish(run_started(), clock(0))
    writer.wait_committed(last)
    trimmed(redis_server, last)
    monkeypatch.setattr(RiskStage, "handle", breaks)
    with risk_at_work(redis_server) as loop:
        wait_until(lambda: not writer.writer.health().ok, "red")
        [reason] = writer.writer.health().reasons
        assert reason == ("the state of cdb_risk cannot be made again: no way to handle RunStarted")
        assert loop.waiting_for is not None
        assert "waiting for cdb_db_writer" in loop.waiting_for
