"""How far the record has come is said aloud, so that nobody can cut its end off unnoticed."""

import pytest

from services.kernel.events import RecordHead, codec, topics
from services.proof.validation.findings import Rule
from services.proof.validation.validation import Head, validate
from services.record.database import DatabaseRecord
from services.runtime.bus import journal
from services.runtime.database.connections import connect
from tests.bus_builders import clock, run_started, tick
from tests.deadline import wait_until
from tests.integration.cdb_db_writer.conftest import Play, StartWriter
from tests.servers import PostgresServer

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def as_often_as_it_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.cdb_db_writer.alert_publisher.HEAD_EVERY_S", 0.0)


def heads_in(postgres: PostgresServer) -> list[RecordHead]:
    rows = postgres.query("SELECT body::text FROM events WHERE type = 'record_head' ORDER BY seq")
    heads = [codec.decode(row[0].encode()) for row in rows]
    assert all(isinstance(head, RecordHead) for head in heads)
    return heads  # type: ignore[return-value]


def test_the_head_is_published_and_is_what_the_chain_was_there(
    start_writer: StartWriter, play: Play, postgres_server: PostgresServer
) -> None:
    running = start_writer()
    running.wait_working()
    play.publish(run_started(), clock(0), *(tick(n) for n in range(1, 200)))
    wait_until(lambda: len(heads_in(postgres_server)) == 1, "a head is published and recorded")

    # Given a market that goes on
    last = play.publish(clock(60_000), *(tick(n) for n in range(200, 300)))
    running.wait_committed(last)
    wait_until(lambda: len(heads_in(postgres_server)) == 2, "the next head")

    # Then each says where the record stood, on the bus as in the table
    heads = heads_in(postgres_server)
    for head in heads:
        ((chain_hash,),) = postgres_server.query(
            "SELECT encode(chain_hash, 'hex') FROM events WHERE seq <= %s"
            " ORDER BY seq DESC LIMIT 1",
            (head.committed_seq,),
        )
        assert head.chain_hash == chain_hash
        assert (head.producer, head.causation_id) == (topics.DB_WRITER, None)
    assert heads[0].committed_seq < heads[0].seq <= heads[1].committed_seq
    bus = play.bus(topics.WS)
    told = journal.read(bus, topics.TOPICS, 0, bus.head())
    assert [event for event in told if isinstance(event, RecordHead)] == heads


def test_a_record_at_rest_says_nothing_new(
    start_writer: StartWriter, play: Play, postgres_server: PostgresServer
) -> None:
    running = start_writer()
    running.wait_working()
    play.publish(run_started(), clock(0), tick(1))
    wait_until(lambda: len(heads_in(postgres_server)) == 1, "a head is published and recorded")
    head = play.bus(topics.WS).head()
    looks = running.writer._second_at

    wait_until(lambda: running.writer._second_at > looks + 2, "it has looked again, twice")

    assert play.bus(topics.WS).head() == head


def test_a_record_whose_end_was_cut_off_does_not_contain_its_last_head(
    start_writer: StartWriter, play: Play, postgres_server: PostgresServer
) -> None:
    running = start_writer()
    running.wait_working()
    running.wait_committed(play.publish(run_started(), clock(0), tick(1), clock(1000)))
    wait_until(lambda: len(heads_in(postgres_server)) == 1, "a head is published and recorded")
    wait_until(lambda: running.writer.committed_seq >= play.bus(topics.WS).head(), "all written")
    running.stop()
    (head,) = heads_in(postgres_server)
    noted = Head(head.committed_seq, head.chain_hash)

    def broken() -> set[Rule]:
        with connect(postgres_server.address, application="test") as connection:
            record = DatabaseRecord(connection)
            found = validate(record, record.whole(), head=noted).findings
            record.close()
        return set(found.by_rule)

    assert broken() == set()
    with postgres_server.connection() as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("DELETE FROM events WHERE seq > 1")
        connection.execute("DELETE FROM market_data WHERE seq > 1")
        connection.execute(
            "UPDATE db_writer_cursor SET seq = 1,"
            " chain_hash = (SELECT chain_hash FROM events WHERE seq = 1)"
        )
    assert Rule.HEADS in broken()
