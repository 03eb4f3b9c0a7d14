"""The writer on real servers: every event once, whatever goes away, and nothing in its way."""

from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest
from msgspec.structs import replace

from services.kernel import codec, topics
from services.kernel.events import Side
from services.kernel.ids import make_id
from services.persistence import chain
from services.persistence.record_store import RecordStore
from services.persistence.recorder import Transaction
from services.runtime import journal, snapshots
from tests.bus_builders import RUN, START_MS, clock, run_ended, run_started, tick
from tests.integration.cdb_db_writer.conftest import Play, RunningWriter, wait_until
from tests.record_builders import alert, decision, funding, order, result, signal
from tests.servers import PostgresServer, RedisServer

pytestmark = pytest.mark.integration

StartWriter = Callable[[], RunningWriter]


def _check_chain(postgres: PostgresServer) -> int:
    """Recompute the whole chain from the tables; returns the number of rows in it."""
    head, ticks_after = chain.GENESIS, 0
    # The cursor first: the writer may have more to say while we look.
    ((upto, last),) = postgres.query("SELECT seq, chain_hash FROM db_writer_cursor")
    rows = postgres.query(
        "SELECT seq, type, body::text, chain_hash FROM events WHERE seq <= %s ORDER BY seq", (upto,)
    )
    for seq, kind, body, chain_hash in rows:
        head = chain.link(head, seq, body.encode())
        assert head == chain_hash, f"chain breaks at {seq}"
        if kind == chain.TICK_BATCH:
            ticks = postgres.query(
                "SELECT body::text FROM market_data WHERE seq > %s AND seq <= %s ORDER BY seq",
                (ticks_after, seq),
            )
            assert f'"sha256":"{chain.digest_ticks(t[0].encode() for t in ticks)}"' in body
            ticks_after = seq
    assert last == head
    return len(rows)


def test_everything_published_is_written_down_as_it_was(
    start_writer: StartWriter, play: Play, postgres_server: PostgresServer
) -> None:
    running = start_writer()
    running.wait_working()

    last = play.publish(run_started(), clock(0), tick(1), signal(2), decision(3), order(4))
    last = play.publish(tick(5), result(6), alert(7), clock(1000))
    running.wait_committed(last)

    recorded = postgres_server.query(
        "SELECT seq, body::text FROM events WHERE type <> 'tick_batch'"
        " UNION ALL SELECT seq, body::text FROM market_data ORDER BY seq"
    )
    published = journal.read_entries(play.bus(topics.WS), topics.TOPICS, 0, last)
    assert recorded == [(entry.seq, entry.body.decode()) for entry in published]
    assert [codec.decode(body.encode()).seq for _, body in recorded] == list(range(1, last + 1))
    assert _check_chain(postgres_server) > 0


def test_rows_show_what_the_events_say(
    start_writer: StartWriter, play: Play, postgres_server: PostgresServer
) -> None:
    running = start_writer()
    running.wait_working()
    due = START_MS + 60_000
    play.publish(run_started(), clock(0), tick(1), signal(2), decision(3), order(4))
    play.publish(funding(5, rate="0.0001", due=due), result(6, price="101"))
    last = play.publish(clock(60_000), run_ended())

    running.wait_committed(last)

    query = postgres_server.query
    assert query("SELECT symbol, price, volume FROM market_data WHERE kind = 'trade'") == [
        ("BTC_USDT", Decimal("65000.1"), Decimal("0.013"))
    ]
    assert query("SELECT direction, indicators->>'pct_change' FROM signals") == [("BUY", "0.012")]
    assert query("SELECT verdict, quantity, layers->0->>'name' FROM risk_decisions") == [
        ("APPROVED", Decimal(2), "exposure")
    ]
    assert query("SELECT run_id, quantity, entry_price FROM positions") == [
        (RUN, Decimal(2), Decimal(101))
    ]
    paid = query("SELECT quantity, funding_rate, amount < 0, settlement_time FROM funding_payments")
    assert [row[:3] for row in paid] == [(Decimal(2), Decimal("0.0001"), True)]
    assert paid[0][3].timestamp() * 1000 == due
    assert query("SELECT run_id, end_reason, settings->>'CDB_SPEED' FROM runs") == [
        (RUN, "test", "60")
    ]


def test_a_restart_loses_nothing_and_doubles_nothing(
    start_writer: StartWriter, play: Play, postgres_server: PostgresServer
) -> None:
    first = start_writer()
    first.wait_working()
    play.publish(run_started(), clock(0))
    last = play.publish_all([tick(n) for n in range(1, 3001)])
    wait_until(lambda: first.writer.committed_seq > 0, "something written")
    first.stop()

    last = play.publish_all([tick(n) for n in range(3001, 6001)])
    second = start_writer()
    second.wait_committed(last)

    (count,) = postgres_server.query("SELECT count(*), count(DISTINCT event_id) FROM market_data")
    assert count == (6001, 6001)
    assert _check_chain(postgres_server) > 0


def test_postgres_away_is_told_and_nothing_is_lost(
    start_writer: StartWriter, play: Play, postgres_server: PostgresServer
) -> None:
    running = start_writer()
    running.wait_working()
    running.wait_committed(play.publish(run_started(), clock(0), tick(1)))

    postgres_server.stop()
    play.publish(tick(2))
    wait_until(lambda: bool(running.errors), "the writer notices")
    assert "away" in (running.lifecycle.waiting_for or "")
    play.publish_all([tick(n) for n in range(3, 500)])
    postgres_server.start()

    def phases() -> list[str]:
        rows = postgres_server.query(
            "SELECT body->>'phase' FROM events WHERE body->>'name' = 'DATABASE_AWAY' ORDER BY seq"
        )
        return [row[0] for row in rows]

    running.wait_committed(play.bus(topics.WS).head())
    wait_until(lambda: phases() == ["BEGAN", "CLEARED"], "the condition is over")
    assert postgres_server.query(
        "SELECT count(*), count(DISTINCT event_id) FROM market_data WHERE kind = 'trade'"
    ) == [(499, 499)]
    assert running.crashed is None


def test_a_killed_postgres_keeps_what_was_acknowledged(
    start_writer: StartWriter, play: Play, postgres_server: PostgresServer
) -> None:
    running = start_writer()
    running.wait_working()
    play.publish(run_started(), clock(0))
    for start in range(1, 4000, 500):
        last = play.publish_all([tick(n) for n in range(start, start + 500)])
        if start == 2001:
            postgres_server.kill()
            postgres_server.start()
    running.wait_committed(last)

    (count,) = postgres_server.query("SELECT count(*), count(DISTINCT event_id) FROM market_data")
    assert count == (4001, 4001)
    assert _check_chain(postgres_server) > 0


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
    assert _check_chain(postgres_server) > 0


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
    running.wait_committed(play.publish(tick(2)))
    running.stop()
    play.close()
    with redis_server.admin() as admin:
        admin.hset("cdb:counters", "seq", 2)
        admin.delete("cdb:verified")
    # When the bus is opened
    start_writer().wait_working()
    # Then a recorded market is told behind which event it goes on; a live one is not made again
    position = play.bus(topics.WS).own_claim().position
    behind = msgspec.json.encode({"run_id": RUN, "behind": tick(2).event_id}).decode()
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
    monkeypatch.setattr("services.runtime.journal.PAGE", 100)
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


def test_only_one_writer_writes(start_writer: StartWriter, play: Play) -> None:
    first = start_writer()
    first.wait_working()
    second = start_writer()

    wait_until(lambda: bool(second.errors), "the second is refused")
    assert "another cdb_db_writer" in second.errors[0]
    first.wait_committed(play.publish(run_started()))

    first.stop()
    second.wait_working()


def test_what_no_table_can_hold_stops_nobody(
    start_writer: StartWriter, play: Play, redis_server: RedisServer,
    postgres_server: PostgresServer,
) -> None:  # fmt: skip
    running = start_writer()
    running.wait_working()
    too_long = "x" * 20_000 + "".join(make_id(n) for n in range(500))
    last = play.publish(
        run_started(),
        signal(1, signal_id=too_long),
        signal(2, strength=Decimal("1E+200000")),
        signal(3, reason="a\x00b\tc\\d\n"),
        tick(4, symbol="A\x00\tB\\N"),
        signal(5),
    )

    running.wait_committed(last)

    assert postgres_server.query("SELECT count(*) FROM events WHERE type = 'signal'") == [(4,)]
    assert postgres_server.query("SELECT reason FROM signals ORDER BY seq") == [
        ("a\ufffdb\tc\\d\n",),
        ("momentum",),
    ]
    assert postgres_server.query("SELECT symbol FROM market_data") == [("A\ufffd\tB\\N",)]
    with redis_server.admin() as admin:
        assert admin.xlen("cdb:dead:cdb_db_writer") == 2
    assert running.writer.counters["refused"] == 2
    assert _check_chain(postgres_server) > 0


def test_a_second_event_with_the_same_id_is_set_aside(
    start_writer: StartWriter, play: Play, postgres_server: PostgresServer
) -> None:
    running = start_writer()
    running.wait_working()
    last = play.publish(run_started(), signal(1), signal(1, direction=Side.SELL), signal(2))

    running.wait_committed(last)

    assert postgres_server.query("SELECT direction FROM signals ORDER BY seq") == [
        ("BUY",),
        ("BUY",),
    ]
    assert running.writer.counters["refused"] == 1
