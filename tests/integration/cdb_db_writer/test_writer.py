"""The writer on real servers: every event once, whatever goes away, and nothing in its way."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from services.kernel.events import SCHEMA_VERSION, Side, codec, topics
from services.kernel.events.ids import make_id
from services.persistence.rebuild import rebuild
from services.runtime.bus import journal
from tests.bus_builders import RUN, START_MS, clock, run_ended, run_started, tick
from tests.deadline import wait_until
from tests.integration.cdb_db_writer.conftest import Play, StartWriter, check_chain
from tests.record_builders import alert, decision, funding, order, result, signal
from tests.servers import PostgresServer, RedisServer, needs_signals

pytestmark = pytest.mark.integration


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
    assert check_chain(postgres_server) > 0


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
    assert check_chain(postgres_server) > 0


def test_postgres_away_is_waited_for_and_nothing_is_lost(
    start_writer: StartWriter, play: Play, postgres_server: PostgresServer
) -> None:
    running = start_writer()
    running.wait_working()
    running.wait_committed(play.publish(run_started(), clock(0), tick(1)))

    postgres_server.stop()
    play.publish(tick(2))
    wait_until(lambda: "away" in (running.lifecycle.waiting_for or ""), "the writer waits")
    assert not running.writer.connected
    play.publish_all([tick(n) for n in range(3, 500)])
    postgres_server.start()

    running.wait_committed(play.bus(topics.WS).head())
    assert postgres_server.query(
        "SELECT count(*), count(DISTINCT event_id) FROM market_data WHERE kind = 'trade'"
    ) == [(499, 499)]
    assert postgres_server.query("SELECT count(*) FROM events WHERE type = 'condition'") == [(0,)]
    assert running.crashed is None


@needs_signals
def test_a_frozen_postgres_is_noticed_and_nothing_is_lost(
    start_writer: StartWriter, play: Play, postgres_server: PostgresServer
) -> None:
    running = start_writer()
    running.wait_working()
    running.wait_committed(play.publish(run_started(), clock(0), tick(1)))

    with postgres_server.frozen():
        last = play.publish_all([tick(n) for n in range(2, 500)])
        wait_until(lambda: bool(running.errors), "the writer notices")
        assert "does not answer" in running.errors[0]

    running.wait_committed(last)
    assert postgres_server.query(
        "SELECT count(*), count(DISTINCT event_id) FROM market_data WHERE kind = 'trade'"
    ) == [(499, 499)]
    assert running.crashed is None


def test_a_writer_works_only_once_it_can_write(
    start_writer: StartWriter, play: Play, postgres_server: PostgresServer
) -> None:
    first = start_writer()
    first.wait_working()
    first.wait_committed(play.publish(run_started(), clock(0)))
    first.stop()

    with postgres_server.connection() as connection:
        database = postgres_server.database
        connection.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
        second = start_writer()
        wait_until(lambda: len(second.errors) > 2, "it tries again and again")
        assert second.lifecycle.waiting_for is not None
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(f"ALTER DATABASE {database} RESET default_transaction_read_only")
    second.wait_working()


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
    assert check_chain(postgres_server) > 0


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
    assert check_chain(postgres_server) > 0
    # The record has them all, so it is whole, and the tables can be made again from it.
    assert running.writer.health().ok
    running.stop()
    rebuild(postgres_server.address, keep=True)
    assert postgres_server.query("SELECT count(*) FROM signals") == [(2,)]


def test_an_event_that_the_record_cannot_take_breaks_the_run_until_another_begins(
    start_writer: StartWriter, play: Play, postgres_server: PostgresServer
) -> None:
    running = start_writer()
    running.wait_working()
    last = play.publish(run_started(), signal(1), signal(1, direction=Side.SELL), signal(2))
    last = play.publish(signal(2, direction=Side.SELL), signal(3))

    # It is passed over, and what was published of it before that is on the record itself.
    running.wait_committed(last + 1)
    assert postgres_server.query("SELECT direction FROM signals ORDER BY seq") == [("BUY",)] * 3
    assert running.writer.counters["refused"] == 2
    rows = postgres_server.query(
        "SELECT seq, body->>'name', body->>'phase', body->>'detail' FROM events"
        " WHERE type = 'condition'"
    )
    [(seq, name, phase, detail)] = rows
    assert (seq, name, phase) == (last + 1, "RECORD_BROKEN", "BEGAN")
    assert detail.startswith(f"event 3, {signal(1).event_id} of cdb_core on signals, is UNSTORABLE")
    # Everything stays red, whoever restarts,
    wait_until(lambda: not running.writer.health().ok, "red")
    running.stop()
    again = start_writer()
    again.wait_working()
    assert again.writer.health().reasons == (
        f'RECORD_BROKEN: {detail}; claire reset --reason "..." begins a new run with this account',
    )
    # until another run begins
    again.wait_committed(play.publish(replace(run_started(), event_id="2", run_id="another run")))
    assert again.writer.health().ok
    assert check_chain(postgres_server) > 0
    again.stop()
    assert all(table.identical for table in rebuild(postgres_server.address, keep=True))


def test_a_real_event_that_cannot_be_read_breaks_the_run(
    start_writer: StartWriter, play: Play
) -> None:
    running = start_writer()
    running.wait_working()
    play.publish(run_started(), signal(1))
    core = play.bus(topics.CORE)
    publication = core._prepare([signal(2)], (), None, None, None)
    newer = codec.encode(signal(2))[:-1].replace(
        b'"schema_version":%d' % SCHEMA_VERSION, b'"schema_version":99'
    )
    publication.commands[0][-1] = newer
    core._settle(publication)

    wait_until(lambda: not running.writer.health().ok, "red")
    [reason] = running.writer.health().reasons
    assert reason.startswith("RECORD_BROKEN: event 3 is NEWER_SCHEMA; claire reset")
