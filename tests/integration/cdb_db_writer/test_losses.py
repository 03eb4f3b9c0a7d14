"""A Redis that restarted or lost something: what is put back, and what nobody does twice."""

import pytest
from msgspec.structs import replace

from services.kernel.events import topics
from services.kernel.events.ids import make_id
from services.persistence.record_store import RecordStore
from services.persistence.recorder import Transaction
from services.runtime.bus import journal, recovery, snapshots
from tests.bus_builders import RUN, clock, run_ended, run_started, tick
from tests.deadline import wait_until
from tests.integration.cdb_db_writer.conftest import Play, StartWriter, check_chain
from tests.record_builders import alert
from tests.servers import PostgresServer, RedisServer

pytestmark = pytest.mark.integration


def test_redis_restarted_is_opened_again(
    start_writer: StartWriter, play: Play, redis_server: RedisServer
) -> None:
    running = start_writer()
    running.wait_working()
    running.wait_committed(play.publish(run_started(), clock(0)))

    redis_server.kill()
    redis_server.start()

    wait_until(lambda: bool(running.errors), "the writer notices")
    running.wait_working()
    play.close()
    running.wait_committed(play.publish(tick(1)))


def test_a_redis_that_lost_everything_gets_back_what_was_written(
    start_writer: StartWriter, play: Play, redis_server: RedisServer,
    postgres_server: PostgresServer,
) -> None:  # fmt: skip
    running = start_writer()
    running.wait_working()
    last = play.publish(run_started(), clock(0), tick(1), tick(2))
    running.wait_committed(last)

    running.stop()
    with redis_server.admin() as admin:
        admin.flushall()
    again = start_writer()
    again.wait_working()

    play.close()
    again.wait_committed(last + 1)
    bus = play.bus(topics.WS)
    assert [e.seq for e in journal.read(bus, topics.TOPICS, 0, last)] == [1, 2, 3, 4]
    rows = postgres_server.query(
        "SELECT seq, body->>'lost_from' FROM events WHERE type='recovered'"
    )
    assert [row[1] for row in rows] == [str(last + 1)]
    again.wait_committed(play.publish(tick(3)))
    assert check_chain(postgres_server) > 0


def test_a_lost_redis_gets_the_snapshots_back(
    start_writer: StartWriter, play: Play, redis_server: RedisServer,
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("services.cdb_db_writer.writer.SNAPSHOT_COPY_S", 0.0)
    running = start_writer()
    running.wait_working()
    last = play.publish(run_started(), clock(0), tick(1))
    others = [name for name in topics.SERVICES if name != topics.DB_WRITER]
    for service in others:
        play.bus(service).publish([], cursor=2)
        snapshots.save(play.bus(service), b"state of " + service.encode(), 2)
    running.wait_committed(last)

    def kept() -> int:
        return int(postgres_server.query("SELECT count(*) FROM state_snapshots")[0][0])

    wait_until(lambda: kept() == len(others), "snapshots copied")
    running.stop()
    play.close()
    with redis_server.admin() as admin:
        admin.flushall()
    start_writer().wait_working()

    bus = play.bus(topics.WS)
    for service in others:
        snapshot = snapshots.load(bus, service)
        assert snapshot is not None
        assert (snapshot.state, snapshot.cursor) == (b"state of " + service.encode(), 2)
    assert [e.seq for e in journal.read(bus, topics.TOPICS, 2, last)] == [3]


def test_a_snapshot_is_kept_once_the_record_has_what_its_stage_had_published(
    start_writer: StartWriter, play: Play, postgres_server: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("services.cdb_db_writer.writer.SNAPSHOT_COPY_S", 0.0)
    running = start_writer()
    running.wait_working()
    last = play.publish(run_started(), clock(0), tick(1))
    running.wait_committed(last)

    def kept() -> list[tuple[object, ...]]:
        return postgres_server.query("SELECT cursor FROM state_snapshots")

    # Given outputs of which the writer has not heard
    looks: list[int] = []

    def head() -> int:
        looks.append(last + 1 + len(looks))
        return looks[-1]

    with monkeypatch.context() as ahead:
        ahead.setattr(running.writer.bus, "head", head)
        play.bus(topics.RISK).publish([], cursor=2)
        snapshots.save(play.bus(topics.RISK), b"state", 2)
        wait_until(lambda: len(looks) > 2, "two looks at the snapshots")
        assert kept() == []

    wait_until(lambda: kept() == [(2,)], "the snapshot is kept")


@pytest.mark.chaos
@pytest.mark.parametrize("source", ["synthetic", "mexc"])
def test_a_recorded_market_goes_on_behind_its_last_recorded_event(
    start_writer: StartWriter, play: Play, redis_server: RedisServer, source: str
) -> None:
    # Given a market whose position on the bus is older than what was written down
    running = start_writer()
    running.wait_working()
    play.publish(run_started(source=source), clock(0))
    play.bus(topics.WS).publish([tick(1)], position="old")
    before = redis_server.memory()
    running.wait_committed(play.publish(tick(2)))
    running.stop()
    play.close()
    redis_server.go_back(before)
    with redis_server.admin() as admin:
        admin.delete("cdb:verified")
    # When the bus is opened
    start_writer().wait_working()
    # Then a recorded market is told behind which event it goes on; a live one is not made again
    position = play.bus(topics.WS).own_claim().position
    behind = recovery.place_behind(RUN, tick(2).event_id)
    assert position == ("old" if source == "mexc" else behind)


@pytest.mark.chaos
def test_who_answered_an_input_does_not_answer_it_again(
    start_writer: StartWriter, play: Play, redis_server: RedisServer
) -> None:
    # Given an orchestrator without a kept snapshot, and its answer to a clock
    running = start_writer()
    running.wait_working()
    cause = play.publish(run_started(), clock(0))
    answer = replace(run_ended(), causation_id=clock(0).event_id)
    running.wait_committed(play.publish(answer))
    running.stop()
    play.close()
    # When Redis loses everything
    with redis_server.admin() as admin:
        admin.flushall()
    start_writer().wait_working()
    # Then it goes on behind that clock
    assert play.bus(topics.PAPER_RUNNER).own_claim().cursor == cause


@pytest.mark.chaos
def test_no_transaction_tears_the_outputs_of_one_input_apart(
    start_writer: StartWriter, play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.cdb_db_writer.writer.BATCH_EVENTS", 2)
    commits: list[int] = []
    commit = RecordStore.commit

    def noting(store: RecordStore, transaction: Transaction) -> None:
        commit(store, transaction)
        commits.append(transaction.after.seq)

    monkeypatch.setattr(RecordStore, "commit", noting)
    running = start_writer()
    running.wait_working()
    last = play.publish(run_started(), clock(0))
    for step in range(5):
        cause = make_id("input", step)
        last = play.publish_all(
            [replace(alert(10 * step + n), causation_id=cause) for n in range(3)]
        )
    running.wait_committed(last)
    assert set(commits) & set(range(3, last + 1)) <= {2 + 3 * step for step in range(1, 6)}


@pytest.mark.chaos
def test_what_was_received_and_not_written_moves_no_cursor(
    start_writer: StartWriter, play: Play, postgres_server: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    # Given a writer that notes each commit, and reads the journal in small pages
    monkeypatch.setattr("services.cdb_db_writer.writer.LINGER_S", 0.0)
    monkeypatch.setattr("services.runtime.bus.journal.PAGE", 100)
    commits: list[Transaction] = []
    commit = RecordStore.commit

    def noting(store: RecordStore, transaction: Transaction) -> None:
        commit(store, transaction)
        commits.append(transaction)

    monkeypatch.setattr(RecordStore, "commit", noting)
    running = start_writer()
    running.wait_working()
    running.wait_committed(play.publish(run_started(), clock(0)))
    # When it receives much and can write nothing of it
    postgres_server.kill()
    last = play.publish_all([tick(n) for n in range(1, 501)])
    wait_until(lambda: bool(running.errors), "the writer notices")
    postgres_server.start()
    running.wait_committed(last)
    # Then no commit claims an event that it does not hold
    for done in commits:
        rows = done.event_rows[: -1 if done.ticks else None]
        assert done.after.seq - done.before.seq == done.ticks + len(rows)
