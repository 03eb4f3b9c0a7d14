"""Connections to a real PostgreSQL: what they may do, and how long they wait."""

import pytest

from services.runtime.database.connections import DatabaseAwayError, connect_to_read, translated
from tests.servers import PostgresServer

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
