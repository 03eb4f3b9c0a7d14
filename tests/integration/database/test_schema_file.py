"""The generated picture of the database is the database that the migrations make."""

import pytest

from services.persistence import schema_dump
from services.runtime.database.connections import connect
from tests.servers import PostgresServer

pytestmark = pytest.mark.integration


def test_database_schema_file_is_up_to_date(postgres_server: PostgresServer) -> None:
    with connect(postgres_server.address, application="test") as connection:
        present = schema_dump.describe(connection)

    assert schema_dump.FILE.read_text(encoding="utf-8") == present, (
        "run `python -m services.persistence.schema_dump`"
    )
