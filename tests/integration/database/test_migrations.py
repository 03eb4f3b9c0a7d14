"""The schema: applied once, by any process, and guarded against roles that must not write."""

import threading
from pathlib import Path

import psycopg
import pytest

from services.runtime.database import migrations
from services.runtime.database.connections import (
    DatabaseAddress,
    DatabaseAwayError,
    DatabaseRefusedError,
    connect,
)
from tests.servers import PostgresServer

pytestmark = pytest.mark.integration

EVENT = (
    "INSERT INTO events VALUES (1, 'control', 1, 'e1', 'halt', 'cdb_risk', 'r1', now(), NULL, NULL,"
    " 1, false, '{}', decode(repeat('00', 32), 'hex'))"
)


def _columns(server: PostgresServer) -> list[tuple[object, ...]]:
    return server.query(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'public' ORDER BY 1, 2"
    )


def test_an_empty_database_gets_the_whole_schema(empty_postgres: PostgresServer) -> None:
    done = migrations.migrate(empty_postgres.address)

    assert [m.version for m in done] == list(range(1, len(done) + 1))
    tables = {row[0] for row in _columns(empty_postgres)}
    assert {
        "events", "market_data", "signals", "risk_decisions", "orders", "trades", "positions",
        "funding_payments", "portfolio_snapshots", "alerts", "state_snapshots", "runs",
    } <= tables  # fmt: skip


def test_a_second_run_changes_nothing(postgres_server: PostgresServer) -> None:
    before = _columns(postgres_server)

    assert migrations.migrate(postgres_server.address) == []
    assert _columns(postgres_server) == before


def test_several_at_once_apply_each_migration_once(empty_postgres: PostgresServer) -> None:
    applied: list[int] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            applied.extend(m.version for m in migrations.migrate(empty_postgres.address))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert errors == []
    assert sorted(applied) == [m.version for m in migrations.load()]


def test_grafana_s_role_cannot_take_every_connection(postgres_server: PostgresServer) -> None:
    ((most,),) = postgres_server.query("SELECT current_setting('max_connections')::integer")
    limit = migrations.CONNECTION_LIMITS["claire_grafana"]
    opened = []
    try:
        while len(opened) < limit:
            opened.append(connect(postgres_server.role("claire_grafana"), application="test"))
        with pytest.raises(DatabaseAwayError, match="too many connections for role"):
            connect(postgres_server.role("claire_grafana"), application="test")
        assert limit < most / 2
        assert postgres_server.query("SELECT 1") == [(1,)]
    finally:
        for connection in opened:
            connection.close()


def test_a_changed_file_is_refused(postgres_server: PostgresServer, tmp_path: Path) -> None:
    for path in migrations.FOLDER.glob("*.sql"):
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "0001_journal.sql").write_text("SELECT 1;")

    with pytest.raises(migrations.MigrationError, match=r"0001_journal was changed"):
        migrations.migrate(postgres_server.address, folder=tmp_path)


def test_line_ends_do_not_count_as_a_change(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    for path in migrations.FOLDER.glob("*.sql"):
        text = path.read_text().replace("\n", "\r\n")
        (tmp_path / path.name).write_bytes(text.encode())

    assert migrations.migrate(postgres_server.address, folder=tmp_path) == []


def test_a_failing_migration_leaves_nothing_behind(
    empty_postgres: PostgresServer, tmp_path: Path
) -> None:
    (tmp_path / "0001_half.sql").write_text("CREATE TABLE half (i int); SELECT 1 / 0;")

    with pytest.raises(DatabaseRefusedError, match="division by zero"):
        migrations.migrate(empty_postgres.address, folder=tmp_path)
    assert "half" not in {row[0] for row in _columns(empty_postgres)}


def test_a_service_learns_that_the_schema_is_missing(empty_postgres: PostgresServer) -> None:
    with (
        connect(empty_postgres.address, application="test") as connection,
        pytest.raises(DatabaseRefusedError, match="claire db migrate"),
    ):
        migrations.require_current(connection)


def test_a_service_accepts_the_current_schema(postgres_server: PostgresServer) -> None:
    with connect(postgres_server.role("cdb_execution"), application="test") as connection:
        migrations.require_current(connection)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE events SET body = '{\"a\":1}'",
        "DELETE FROM events",
        "TRUNCATE events",
    ],
)
def test_the_record_cannot_be_changed_even_by_its_owner(
    postgres_server: PostgresServer, change: str
) -> None:
    with postgres_server.connection() as connection:
        connection.execute(EVENT)
        with pytest.raises(psycopg.errors.RestrictViolation, match="append-only"):
            connection.execute(change.encode())


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("cdb_execution", EVENT),
        ("cdb_execution", "INSERT INTO runs (run_id) VALUES ('x')"),
        ("cdb_db_writer", "INSERT INTO orders (order_id) VALUES ('x')"),
        ("cdb_db_writer", "DELETE FROM events"),
        ("cdb_db_writer", "TRUNCATE market_data"),
        ("cdb_db_writer", "CREATE TABLE mine (i int)"),
        ("cdb_paper_runner", "INSERT INTO runs (run_id) VALUES ('x')"),
        ("claire_grafana", "DELETE FROM alerts"),
        ("cdb_console", EVENT),
        ("cdb_console", "DELETE FROM alerts"),
        ("claire_grafana", "SELECT ensure_market_data_day('2026-01-01')"),
    ],
)
def test_a_role_cannot_write_what_is_not_its_own(
    postgres_server: PostgresServer, role: str, statement: str
) -> None:
    with (
        connect(postgres_server.role(role), application="test") as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


def test_the_writer_makes_partitions_that_it_does_not_own(postgres_server: PostgresServer) -> None:
    with connect(postgres_server.role("cdb_db_writer"), application="test") as connection:
        for _ in range(2):
            connection.execute("SELECT ensure_market_data_day('2026-01-31')")
        connection.execute(
            "INSERT INTO market_data (seq, topic_seq, event_id, run_id, timestamp, kind, backfill,"
            " body) VALUES (1, 1, 'e', 'r', '2026-01-31T23:59:59.999Z', 'clock', false, '{}')"
        )
        connection.commit()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DROP TABLE market_data_20260131")

    assert postgres_server.query("SELECT count(*) FROM market_data_20260131") == [(1,)]
    with postgres_server.connection() as owner, pytest.raises(psycopg.errors.RestrictViolation):
        owner.execute("DELETE FROM market_data")


def test_the_server_gives_up_a_client_that_vanished_and_with_it_the_writers_lock(
    postgres_server: PostgresServer,
) -> None:
    with connect(postgres_server.role("cdb_db_writer"), application="test") as connection:
        idle, interval, count = (
            int(value[0])
            for name in ("idle", "interval", "count")
            if (value := connection.execute(f"SHOW tcp_keepalives_{name}").fetchone())
        )
    assert 0 < idle + interval * count <= 10


def test_a_wrong_password_is_refused_with_a_remedy(postgres_server: PostgresServer) -> None:
    address = postgres_server.address.as_user("cdb_execution", "wrong")

    with pytest.raises(DatabaseRefusedError, match=r"authentication failed.*check user, pass"):
        connect(address, application="test")
    assert "wrong" not in repr(address)


def test_a_role_without_a_password_cannot_log_in(empty_postgres: PostgresServer) -> None:
    address: DatabaseAddress = empty_postgres.address.as_user("cdb_nobody", "x")

    with pytest.raises(DatabaseRefusedError):
        connect(address, application="test")
