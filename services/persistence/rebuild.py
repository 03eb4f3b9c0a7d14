"""Making the projections again from ``events`` and ``market_data``, and comparing the rows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import IsolationLevel, sql

from services.kernel.events import MarketData
from services.kernel.portfolio.portfolio import FundingPayment
from services.persistence import order_store, record_store
from services.persistence.order_store import write_order_rows
from services.persistence.orders import TOPICS as ORDER_TOPICS
from services.persistence.orders import OrderProjector, OrderRows
from services.persistence.projector import Projections, Projector
from services.persistence.record_store import recorded_events, write_projections
from services.runtime.database.connections import (
    Connection,
    DatabaseAddress,
    connect,
    is_refused_data,
    translated,
)
from services.runtime.database.migrations import require_current

TABLES: Final = (
    *("runs", "signals", "risk_decisions", "trading_state_changes", "orders", "trades"),
    *("positions", "funding_payments", "portfolio_snapshots", "alerts"),
)
"""The projections. ``events``, ``market_data`` and ``state_snapshots`` are what they come from."""

FLUSH_EVERY: Final = 20_000
_LOCKS: Final = {
    "cdb_db_writer": record_store.WRITER_LOCK,
    "cdb_execution": order_store.WRITER_LOCK,
}

Progress = Callable[[int, int], None]


class WritersRunningError(RuntimeError):
    """A service is writing the tables; the message says which one to stop."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """One table, as it was and as the record makes it.

    Attributes:
        rows: Rows that the record makes.
        only_before: Rows that were there and that the record does not make.
        only_after: Rows that the record makes and that were not there.
    """

    table: str
    rows: int
    only_before: int
    only_after: int

    @property
    def identical(self) -> bool:
        """Whether nothing changed."""
        return self.only_before == 0 and self.only_after == 0


def rebuild(
    address: DatabaseAddress, *, keep: bool, progress: Progress = lambda _at, _of: None
) -> list[Rebuilt]:
    """Make all projections again from the record, and compare them with the tables.

    A rebuild that is kept is one transaction. A comparison is a read-only one: it sees one moment
    of the database and may run beside the services.

    Args:
        address: The database, as its owner.
        keep: Replace the tables' rows with those made; no service may be writing. Else only
            compare.
        progress: Called with the seq reached, and the last one.

    Raises:
        WritersRunningError: A service holds the tables that are to be replaced.
        DatabaseAwayError, DatabaseRefusedError: The server is away or refuses.
    """
    with connect(address, application="claire") as connection, translated(address):
        require_current(connection)
        for table in TABLES:
            connection.execute(_CREATE.format(sql.Identifier(table)))
        connection.commit()
        if not keep:
            # Only the connection's own temporary tables can be written from here on.
            connection.isolation_level = IsolationLevel.REPEATABLE_READ
            connection.read_only = True
        with connection.transaction():
            connection.execute("SET LOCAL statement_timeout = 0")
            if keep:
                _stand_in_for_writers(connection)
            upto = _cursor_of(connection, "db_writer_cursor")
            orders_upto = upto if keep else _cursor_of(connection, "execution_cursor")
            folded = _fill(connection, upto, orders_upto, progress)
            found = [_compare(connection, table) for table in TABLES]
            if keep:
                _replace(connection, folded, upto)
    return found


def _stand_in_for_writers(connection: Connection) -> None:
    for service, lock in _LOCKS.items():
        row = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (lock,)).fetchone()
        if row != (True,):
            raise WritersRunningError(
                f"{service} is writing; stop it first (`docker compose stop {service}`, or end the"
                " embedded run)"
            )


def _cursor_of(connection: Connection, table: str) -> int:
    query = sql.SQL("SELECT max(seq) FROM {}").format(sql.Identifier(table))
    row = connection.execute(query).fetchone()
    return int(row[0] or 0) if row else 0


def _fill(
    connection: Connection, upto: int, orders_upto: int, progress: Progress
) -> tuple[Projector, OrderProjector]:
    """Fold the whole record into the temporary tables, which hide those of the same names."""
    projector, orders = Projector(), OrderProjector()
    projections, order_rows = Projections(), OrderRows()
    waiting = 0
    for event in recorded_events(connection, 0, upto):
        if type(event) is MarketData:
            projector.apply_tick(event)
        else:
            effects = projector.apply(event, projections)
            if event.TOPIC in ORDER_TOPICS and event.seq <= orders_upto:
                orders.apply(event, order_rows)
            for effect in effects:
                if isinstance(effect, FundingPayment):
                    orders.fund(effect)
        waiting += 1
        if waiting >= FLUSH_EVERY:
            _write(connection, projections, order_rows)
            projections, order_rows, waiting = Projections(), OrderRows(), 0
            progress(event.seq, upto)
    _write(connection, projections, order_rows)
    progress(upto, upto)
    return projector, orders


def _write(connection: Connection, projections: Projections, orders: OrderRows) -> None:
    """Write rows; what no table can hold left no row when it came, and leaves none now."""
    try:
        _write_together(connection, projections, orders)
    except psycopg.Error as error:
        if not is_refused_data(error):
            raise
        for one in _one_by_one(projections, orders):
            try:
                _write_together(connection, *one)
            except psycopg.Error as refused:
                if not is_refused_data(refused):
                    raise


def _write_together(connection: Connection, projections: Projections, orders: OrderRows) -> None:
    with connection.transaction():
        write_projections(connection, projections)
        write_order_rows(connection, orders)


def _one_by_one(
    projections: Projections, orders: OrderRows
) -> Iterator[tuple[Projections, OrderRows]]:
    """The same rows, each by itself, in their order."""
    for table, rows in projections.added.items():
        for row in rows:
            yield Projections(added={table: [row]}), OrderRows()
    for run_end in projections.run_ends:
        yield Projections(run_ends=[run_end]), OrderRows()
    for key, position in projections.positions.items():
        yield Projections(positions={key: position}), OrderRows()
    for order in orders.orders:
        yield Projections(), OrderRows(orders=[order])
    for result in orders.results:
        yield Projections(), OrderRows(results=[result])
    for trade in orders.trades:
        yield Projections(), OrderRows(trades=[trade])


def _compare(connection: Connection, table: str) -> Rebuilt:
    row = connection.execute(_COMPARE.format(table=sql.Identifier(table))).fetchone()
    assert row is not None
    return Rebuilt(table, *map(int, row))


def _replace(connection: Connection, folded: tuple[Projector, OrderProjector], upto: int) -> None:
    public = [sql.SQL("public.{}").format(sql.Identifier(table)) for table in TABLES]
    connection.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(public)))
    for table in TABLES:
        connection.execute(_MOVE.format(table=sql.Identifier(table)))
    projector, orders = folded
    connection.execute("UPDATE db_writer_cursor SET state = %s", (projector.snapshot(),))
    connection.execute(
        "UPDATE execution_cursor SET seq = %s, state = %s", (upto, orders.snapshot())
    )


_CREATE: Final = sql.SQL("CREATE TEMPORARY TABLE {0} (LIKE public.{0} INCLUDING ALL)")
_COMPARE: Final = sql.SQL("""
    SELECT (SELECT count(*) FROM pg_temp.{table}),
           (SELECT count(*) FROM (TABLE public.{table} EXCEPT ALL TABLE pg_temp.{table}) AS gone),
           (SELECT count(*) FROM (TABLE pg_temp.{table} EXCEPT ALL TABLE public.{table}) AS added)
""")
_MOVE: Final = sql.SQL("INSERT INTO public.{table} SELECT * FROM pg_temp.{table}")
