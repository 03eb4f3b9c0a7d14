"""The projections are made again from the record, to the same rows."""

from typing import Any

import pytest

from services.persistence.order_store import OrderStore
from services.persistence.rebuild import TABLES, WritersRunningError, rebuild
from services.persistence.record_store import RecordStore
from tests.integration.record.conftest import (  # noqa: F401 - fixtures
    recorded_events,
    recorded_server,
)
from tests.servers import PostgresServer

pytestmark = pytest.mark.integration


def row_versions(server: PostgresServer) -> dict[str, list[tuple[Any, ...]]]:
    """Which transaction wrote each row of every table, and where it lies."""
    names = server.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {
        name: server.query(f"SELECT xmin::text, ctid::text FROM {name} ORDER BY ctid")  # noqa: S608
        for (name,) in names
    }


def test_an_undamaged_database_is_made_again_to_the_same_rows(
    recorded_server: PostgresServer,  # noqa: F811
) -> None:
    before = {table: recorded_server.query(f"TABLE {table}") for table in TABLES}

    found = rebuild(recorded_server.address, keep=True)

    assert [table.table for table in found] == list(TABLES)
    assert all(table.identical for table in found)
    assert sum(table.rows for table in found) > 100
    after = {table: recorded_server.query(f"TABLE {table}") for table in TABLES}
    assert {name: sorted(map(str, rows)) for name, rows in after.items()} == {
        name: sorted(map(str, rows)) for name, rows in before.items()
    }


def test_damaged_tables_are_found_and_mended(
    recorded_server: PostgresServer,  # noqa: F811
) -> None:
    with recorded_server.connection() as connection:
        connection.execute("UPDATE orders SET fees = fees + 1 WHERE filled_quantity > 0")
        connection.execute("DELETE FROM alerts")
    checked = {table.table: table for table in rebuild(recorded_server.address, keep=False)}
    assert not checked["orders"].identical
    assert checked["alerts"].only_after > 0
    assert recorded_server.query("SELECT count(*) FROM alerts") == [(0,)], "only compared"

    rebuild(recorded_server.address, keep=True)

    assert all(table.identical for table in rebuild(recorded_server.address, keep=False))


def test_a_comparison_writes_nothing(
    recorded_server: PostgresServer,  # noqa: F811
) -> None:
    with recorded_server.connection() as connection:
        # What a rebuild would write here is not what stands there.
        connection.execute("UPDATE db_writer_cursor SET state = 'x'")
        connection.execute("UPDATE execution_cursor SET state = 'x'")
    before = row_versions(recorded_server)

    rebuild(recorded_server.address, keep=False)

    assert row_versions(recorded_server) == before


def test_a_comparison_takes_place_while_the_services_write(
    recorded_server: PostgresServer,  # noqa: F811
) -> None:
    store = RecordStore(recorded_server.role("cdb_db_writer"))
    orders = OrderStore(recorded_server.role("cdb_execution"))
    store.open()
    orders.open()
    assert all(table.identical for table in rebuild(recorded_server.address, keep=False))
    store.close()
    orders.close()


def test_orders_that_execution_has_still_to_write_are_no_difference(
    recorded_server: PostgresServer,  # noqa: F811
) -> None:
    with recorded_server.connection() as connection:
        [(first,)] = connection.execute("SELECT min(seq) FROM orders").fetchall()
        connection.execute("TRUNCATE orders, trades")
        connection.execute("UPDATE execution_cursor SET seq = %s, state = ''", (first - 1,))

    assert all(table.identical for table in rebuild(recorded_server.address, keep=False))


def test_the_writers_go_on_behind_a_rebuild(
    recorded_server: PostgresServer,  # noqa: F811
) -> None:
    rebuild(recorded_server.address, keep=True)
    store = RecordStore(recorded_server.role("cdb_db_writer"))
    orders = OrderStore(recorded_server.role("cdb_execution"))
    assert store.open().seq == orders.open()[0]
    store.close()
    orders.close()


def test_a_running_writer_refuses_a_rebuild(
    recorded_server: PostgresServer,  # noqa: F811
) -> None:
    store = RecordStore(recorded_server.role("cdb_db_writer"))
    store.open()
    with pytest.raises(WritersRunningError, match="cdb_db_writer is writing; stop it first"):
        rebuild(recorded_server.address, keep=True)
    store.close()
