"""Tables ``orders`` and ``trades``: one writer, the cursor in the same transaction."""

from collections.abc import Sequence
from typing import Final

import msgspec
from psycopg import sql

from services.kernel.events import codec, topics
from services.kernel.portfolio.portfolio import FundingPayment
from services.persistence.orders import (
    ORDERS,
    TOPICS,
    TRADES,
    OrderProjector,
    OrderRows,
    RecordedPayment,
)
from services.persistence.record_store import CursorMovedError, SecondWriterError, last_run_seq
from services.runtime.bus.batch import Batch
from services.runtime.database.connections import (
    Connection,
    DatabaseAddress,
    DatabaseAwayError,
    connect,
    translated,
)
from services.runtime.database.migrations import require_current

WRITER_LOCK: Final = 0x636462657865  # "cdbexe"
PAGE: Final = 5_000
"""Events that are read from the record at a time."""

_NEW_ORDER_COLUMNS: Final = (*ORDERS, "status", "submitted_at", "updated_at", "updated_seq")
_RESULT: Final = """
    UPDATE orders SET
        status = %(status)s,
        reason = %(reason)s,
        filled_quantity = filled_quantity + %(quantity)s,
        filled_value = filled_value + %(value)s,
        filled_base = filled_base + %(base)s,
        filled_price = CASE WHEN filled_base + %(base)s > 0
            THEN trim_scale(round((filled_value + %(value)s) / (filled_base + %(base)s), 16)) END,
        fees = fees + %(fees)s,
        slippage_bps = CASE
            WHEN filled_base = 0 THEN coalesce(%(slippage_bps)s, slippage_bps)
            WHEN %(base)s = 0 THEN slippage_bps
            ELSE trim_scale(round(
                (slippage_bps * filled_base + %(slippage_bps)s * %(base)s)
                / (filled_base + %(base)s), 8)) END,
        latency_ms = coalesce(%(latency_ms)s, latency_ms),
        filled_at = coalesce(%(filled_at)s, filled_at),
        updated_at = %(at)s,
        updated_seq = %(seq)s
    WHERE order_id = %(order_id)s AND origin = %(origin)s AND updated_seq < %(seq)s
"""


def _insert(table: str, columns: Sequence[str]) -> sql.Composed:
    return sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.SQL(", ").join(sql.Placeholder() for _ in columns),
    )


_NEW_ORDER: Final = _insert("orders", _NEW_ORDER_COLUMNS)
_NEW_TRADE: Final = _insert("trades", TRADES)

_RECORDED: Final = """
    SELECT seq, body::text FROM events
    WHERE topic = ANY(%s) AND seq > %s AND seq <= %s ORDER BY seq LIMIT %s
"""
_PAYMENTS: Final = """
    SELECT seq, symbol, (extract(epoch FROM settlement_time) * 1000)::bigint, quantity, mark_price,
        funding_rate, amount
    FROM funding_payments WHERE seq > %s AND seq <= %s ORDER BY seq, symbol, settlement_time
"""


class OrderStore:
    """Tables ``orders`` and ``trades`` of one database, as their one writer.

    Args:
        address: As role ``cdb_execution``.
    """

    def __init__(self, address: DatabaseAddress) -> None:
        self.address = address
        self._connection: Connection | None = None

    def open(self) -> tuple[int, bytes]:
        """Connect, become the one writer; returns the last seq taken and the fold's state.

        Raises:
            DatabaseAwayError: The server is away or writes nothing, or another process is the
                writer.
            DatabaseRefusedError: No right, or no schema.
        """
        self.close()
        connection = connect(self.address, application=topics.EXECUTION)
        try:
            with translated(self.address):
                require_current(connection)
                seq, state = _become_writer(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return seq, state

    def close(self) -> None:
        """Disconnect, which also gives up being the writer."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def commit(self, rows: OrderRows, *, before: int, after: int, state: bytes) -> None:
        """Write rows and move the cursor, both or neither.

        Args:
            rows: What the events made.
            before: Where the cursor must stand.
            after: Where it stands then.
            state: The fold's, after them.

        Raises:
            DatabaseAwayError: Whether it was written is not known; open again and compare.
            DatabaseRefusedError: Nothing was written.
            CursorMovedError: Nothing was written: the cursor stands elsewhere.
        """
        connection = self._open_connection()
        with translated(self.address), connection.transaction():
            moved = connection.execute(
                "UPDATE execution_cursor SET seq = %s, state = %s, committed_at = now()"
                " WHERE seq = %s",
                (after, state, before),
            )
            if moved.rowcount != 1:
                raise CursorMovedError(f"orders and trades are not at seq {before}")
            write_order_rows(connection, rows)

    def funding_payments(self, after: int, upto: int) -> list[RecordedPayment]:
        """The settlements of a part of the record, by seq.

        Args:
            after: Seq before the part.
            upto: Its last seq; the record has come as far.

        Raises:
            DatabaseAwayError: The server is away.
        """
        connection = self._open_connection()
        with translated(self.address), connection.transaction():
            rows = connection.execute(_PAYMENTS, (after, upto)).fetchall()
        return [
            RecordedPayment(
                seq,
                FundingPayment(
                    symbol=symbol,
                    settlement_time=settled_ms,
                    quantity=quantity,
                    mark_price=mark_price,
                    rate=rate,
                    amount=amount,
                ),
            )
            for seq, symbol, settled_ms, quantity, mark_price, rate, amount in rows
        ]

    def folded(self, upto: int) -> bytes:
        """The fold's state after a seq that the tables have taken, made from the record.

        Args:
            upto: That seq.
        """
        connection = self._open_connection()
        with translated(self.address), connection.transaction():
            after = last_run_seq(connection) - 1
        projector = OrderProjector()
        while after < upto:
            page, _ = self.recorded(after, upto)
            payments = self.funding_payments(after, page.upto)
            projector.fold(page.events, payments, OrderRows())
            after = page.upto
        return projector.snapshot()

    def recorded(self, after: int, upto: int | None = None) -> tuple[Batch, int]:
        """The next page of recorded events that orders and trades follow from.

        Args:
            after: Seq before the page.
            upto: Seq of the last event that is wanted; None for the record's last.

        Returns:
            The page, and the last seq of the record (or ``upto``).

        Raises:
            DatabaseAwayError: The server is away.
        """
        connection = self._open_connection()
        with translated(self.address), connection.transaction():
            if upto is None:
                row = connection.execute("SELECT max(seq) FROM db_writer_cursor").fetchone()
                upto = int(row[0] or 0) if row else 0
            rows = connection.execute(_RECORDED, (sorted(TOPICS), after, upto, PAGE)).fetchall()
        batch = Batch(upto=rows[-1][0] if len(rows) == PAGE else max(after, upto))
        for _, text in rows:
            body = text.encode()
            try:
                event = codec.decode(body)
            except msgspec.DecodeError:
                continue  # the journal's readers pass over it too
            batch.events.append(event)
            batch.bodies.append(body)
        return batch, upto

    def _open_connection(self) -> Connection:
        if self._connection is None or self._connection.closed:
            raise DatabaseAwayError(f"PostgreSQL {self.address} is not connected")
        return self._connection


def write_order_rows(connection: Connection, rows: OrderRows) -> None:
    """Write rows that events made; the caller's transaction decides whether they stay."""
    with connection.cursor() as cursor:
        if rows.orders:
            cursor.executemany(_NEW_ORDER, rows.orders)
        if rows.results:
            cursor.executemany(_RESULT, rows.results)
        if rows.trades:
            cursor.executemany(_NEW_TRADE, rows.trades)


def _become_writer(connection: Connection) -> tuple[int, bytes]:
    locked = connection.execute("SELECT pg_try_advisory_lock(%s)", (WRITER_LOCK,)).fetchone()
    if locked != (True,):
        raise SecondWriterError(
            "another cdb_execution writes orders and trades: stop it, or wait until it is gone"
        )
    connection.execute(
        "INSERT INTO execution_cursor (seq, state) VALUES (0, '')"
        " ON CONFLICT (only_row) DO UPDATE SET committed_at = now()"
    )
    connection.commit()
    row = connection.execute("SELECT seq, state FROM execution_cursor").fetchone()
    connection.commit()
    assert row is not None
    return row[0], row[1]
