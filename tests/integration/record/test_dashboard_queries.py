"""Every query of a dashboard to the record runs on the real schema and finds rows."""

import pytest

from services.runtime.database.connections import connect
from tests.dashboards import CALM_TABLES, filled_sql, queries
from tests.servers import PostgresServer

pytestmark = pytest.mark.integration


def test_every_query_runs_as_grafanas_role_and_finds_rows(
    recorded_server: PostgresServer,
) -> None:
    rows: dict[str, int] = {}
    with connect(recorded_server.role("claire_grafana"), application="test") as connection:
        for query in queries("grafana-postgresql-datasource"):
            found = connection.execute(filled_sql(query.text).encode()).fetchall()
            rows[query.name] = len(found)

    assert len(rows) > 20
    empty = {name for name, count in rows.items() if count == 0}
    assert {name.split("/", 1)[1] for name in empty} <= CALM_TABLES
