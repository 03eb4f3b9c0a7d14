"""Making the projections again from ``events`` and ``market_data``, and comparing the rows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec
from psycopg import sql

from services.kernel import codec
from services.kernel.events import AnyEvent, MarketData
from services.persistence import order_store, record_store
from services.persistence.order_store import write_order_rows
from services.persistence.orders import TOPICS as ORDER_TOPICS
from services.persistence.orders import OrderProjector, OrderRows
from services.persistence.projector import Projections, Projector
from services.persistence.record_store import events_page, write_projections
from services.runtime.database import Connection, DatabaseAddress, connect, translated
from services.runtime.migrations import require_current

TABLES: Final = (
    *("runs", "signals", "risk_decisions", "trading_state_changes", "orders", "trades"),
    *("positions", "funding_payments", "portfolio_snapshots", "alerts"),
)
"""The projections. ``events``, ``market_data`` and ``state_snapshots`` are what they come from."""

PAGE: Final = 5_000
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
    """Make all projections again, in one transaction.

    Args:
        address: The database, as its owner; no service may be writing.
        keep: Replace the tables' rows with those made; else only compare.
        progress: Told the seq reached, and the last one.

    Raises:
        WritersRunningError: A service holds the tables.
        DatabaseAwayError, DatabaseRefusedError: The server is away or refuses.
    """
    with connect(address, application="claire") as connection, translated(address):
        require_current(connection)
        with connection.transaction():
            connection.execute("SET LOCAL statement_timeout = 0")
            _stand_in_for_writers(connection)
            for table in TABLES:
                connection.execute(_CREATE.format(sql.Identifier(table)))
            _fill(connection, progress)
            found = [_compare(connection, table) for table in TABLES]
            if keep:
                _replace(connection)
    return found


def _stand_in_for_writers(connection: Connection) -> None:
    for service, lock in _LOCKS.items():
        row = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (lock,)).fetchone()
        if row != (True,):
            raise WritersRunningError(
                f"{service} is writing; stop it first (`docker compose stop {service}`, or end the"
                " embedded run)"
            )


def _fill(connection: Connection, progress: Progress) -> None:
    """Fold the whole record into the temporary tables, which hide those of the same names."""
    row = connection.execute("SELECT max(seq) FROM db_writer_cursor").fetchone()
    upto = int(row[0] or 0) if row else 0
    projector, orders = Projector(), OrderProjector()
    projections, order_rows = Projections(), OrderRows()
    waiting = 0
    for event in _events(connection, upto):
        if type(event) is MarketData:
            projector.apply_tick(event)
        else:
            projector.apply(event, projections)
            if event.TOPIC in ORDER_TOPICS:
                orders.apply(event, order_rows)
        waiting += 1
        if waiting >= FLUSH_EVERY:
            write_projections(connection, projections)
            write_order_rows(connection, order_rows)
            projections, order_rows, waiting = Projections(), OrderRows(), 0
            progress(event.seq, upto)
    write_projections(connection, projections)
    write_order_rows(connection, order_rows)
    progress(upto, upto)
    connection.execute("UPDATE db_writer_cursor SET state = %s", (projector.snapshot(),))
    connection.execute(
        "UPDATE execution_cursor SET seq = %s, state = %s", (upto, orders.snapshot())
    )


def _events(connection: Connection, upto: int) -> Iterator[AnyEvent]:
    after = 0
    while after < upto:
        page = events_page(connection, after, upto, PAGE)
        for _, _, body in page:
            try:
                yield codec.decode(body.encode())
            except msgspec.DecodeError:
                continue  # whoever wrote the tables passed over it too
        if len(page) < PAGE:
            return
        after = page[-1][0]


def _compare(connection: Connection, table: str) -> Rebuilt:
    row = connection.execute(_COMPARE.format(table=sql.Identifier(table))).fetchone()
    assert row is not None
    return Rebuilt(table, *map(int, row))


def _replace(connection: Connection) -> None:
    public = [sql.SQL("public.{}").format(sql.Identifier(table)) for table in TABLES]
    connection.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(public)))
    for table in TABLES:
        connection.execute(_MOVE.format(table=sql.Identifier(table)))


_CREATE: Final = sql.SQL(
    "CREATE TEMPORARY TABLE {0} (LIKE public.{0} INCLUDING ALL) ON COMMIT DROP"
)
_COMPARE: Final = sql.SQL("""
    SELECT (SELECT count(*) FROM pg_temp.{table}),
           (SELECT count(*) FROM (TABLE public.{table} EXCEPT ALL TABLE pg_temp.{table}) AS gone),
           (SELECT count(*) FROM (TABLE pg_temp.{table} EXCEPT ALL TABLE public.{table}) AS added)
""")
_MOVE: Final = sql.SQL("INSERT INTO public.{table} SELECT * FROM pg_temp.{table}")
