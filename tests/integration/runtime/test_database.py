"""Connections to a real PostgreSQL: what they may do, and how long they wait."""

import threading
from collections.abc import Callable

import pytest

from services.runtime.database.connections import (
    DatabaseAwayError,
    connect,
    connect_to_read,
    translated,
)
from tests.servers import PostgresServer, needs_signals

pytestmark = pytest.mark.integration


def test_a_connection_that_reads_cannot_write_as_whoever_it_is(
    postgres_server: PostgresServer,
) -> None:
    owner = postgres_server.address
    with (
        connect_to_read(owner, application="test") as connection,
        pytest.raises(DatabaseAwayError, match="read-only transaction"),
        translated(owner),
    ):
        connection.execute("DELETE FROM runs")


DEADLINE_S = 60.0


def outcome(action: Callable[[], object]) -> BaseException | None:
    """What an action raises; fails when it does not end."""
    raised: list[BaseException | None] = []

    def run() -> None:
        try:
            action()
        except BaseException as error:
            raised.append(error)
        else:
            raised.append(None)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(DEADLINE_S)
    assert not thread.is_alive(), f"it still waits after {DEADLINE_S:g} s"
    return raised[0]


@needs_signals
def test_a_frozen_server_is_away_for_a_statement_that_waits(
    postgres_server: PostgresServer,
) -> None:
    address = postgres_server.role("cdb_execution")
    connection = connect(address, application="test")
    connection.execute("SELECT 1")

    def use() -> None:
        with translated(address), connection, connection.transaction():
            connection.execute("SELECT 1")

    with postgres_server.frozen():
        error = outcome(use)
        assert isinstance(error, DatabaseAwayError)
        assert "does not answer" in str(error)
        assert connection.closed


@needs_signals
def test_a_frozen_server_is_away_for_a_new_connection(postgres_server: PostgresServer) -> None:
    address = postgres_server.role("cdb_execution")
    with postgres_server.frozen():
        error = outcome(lambda: connect(address, application="test"))
    assert isinstance(error, DatabaseAwayError)


def test_a_statement_may_take_longer_than_a_server_may_be_silent(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.runtime.database.watched_connection.SILENCE_S", 0.1)
    with connect(postgres_server.address, application="test") as connection:
        assert connection.execute("SELECT 7 FROM pg_sleep(1)").fetchone() == (7,)
