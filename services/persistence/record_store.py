"""The record's tables: one writer, one transaction per batch, the cursor in the same one."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import msgspec
import psycopg
from psycopg import sql

from services.kernel.events import AnyEvent, MarketData, codec, topics
from services.kernel.stage import StateUnreadableError, restore_exactly
from services.persistence import chain
from services.persistence.projector import Projections, Projector
from services.persistence.recorder import RecordCursor, Transaction
from services.persistence.tables import COLUMNS, POSITIONS, Row
from services.persistence.tick_lines import MS_PER_DAY, day_of
from services.runtime.bus.recovery import TailEvent
from services.runtime.bus.snapshots import Snapshot
from services.runtime.database.connections import (
    Connection,
    DatabaseAddress,
    DatabaseAwayError,
    connect,
    translated,
)
from services.runtime.database.migrations import require_current
from services.runtime.service import logging

WRITER_LOCK = 0x636462777274  # "cdbwrt": held by the one process that writes the record
SNAPSHOTS_KEPT = 3
_PAGE = 5000


_log = logging.get(__name__)


class SecondWriterError(DatabaseAwayError):
    """Another process writes the record; this one waits until it is gone."""


class CursorMovedError(DatabaseAwayError):
    """The record does not stand where we left it: begin again from where it stands."""


def _copy(table: str) -> sql.Composed:
    columns = sql.SQL(", ").join(map(sql.Identifier, COLUMNS[table]))
    return sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), columns)


_COPY = {table: _copy(table) for table in COLUMNS}
_MOVE_CURSOR = """
    UPDATE db_writer_cursor SET seq = %s, epoch = %s, chain_hash = %s, topic_seqs = %s, state = %s,
    committed_at = now() WHERE seq = %s AND chain_hash = %s
"""
_END_RUN = """
    UPDATE runs SET ended_at = %s, end_reason = %s WHERE run_id = %s AND ended_at IS NULL
"""
_PUT_POSITION = sql.SQL(
    "INSERT INTO positions ({columns}) VALUES ({values})"
    " ON CONFLICT (run_id, symbol) DO UPDATE SET {updates}"
).format(
    columns=sql.SQL(", ").join(map(sql.Identifier, POSITIONS)),
    values=sql.SQL(", ").join(sql.Placeholder() for _ in POSITIONS),
    updates=sql.SQL(", ").join(
        sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name)) for name in POSITIONS[2:]
    ),
)
_TAIL = """
    SELECT seq, producer, body::text FROM events
    WHERE seq > %(after)s AND seq <= %(upto)s AND type <> %(tick_batch)s
    UNION ALL
    SELECT seq, %(ws)s, body::text FROM market_data WHERE seq > %(after)s AND seq <= %(upto)s
    ORDER BY seq LIMIT %(page)s
"""


_LAST_TICK = """
    SELECT body->>'event_id', body->>'run_id' FROM market_data ORDER BY seq DESC LIMIT 1
"""
_SOURCE_ENDED = """
    SELECT seq FROM events WHERE run_id = %s AND type = 'condition'
    AND body->>'name' = 'SOURCE_ENDED' LIMIT 1
"""
_LAST_CONTRACTS = """
    SELECT event_id FROM events WHERE type = 'instruments' AND run_id = %s
    AND seq > (SELECT seq FROM runs WHERE run_id = %s) ORDER BY seq DESC LIMIT 1
"""


def events_page(
    connection: Connection, after: int, upto: int, page: int
) -> list[tuple[int, str, str]]:
    """The next recorded events of all topics, in their order, as they were published.

    Args:
        connection: As a role that may read the record.
        after: Seq before the first.
        upto: Seq of the last.
        page: The most that are returned; fewer mean that there are no more.

    Returns:
        Seq, producer and the exact JSON of each.
    """
    parameters = {
        "after": after,
        "upto": upto,
        "tick_batch": chain.TICK_BATCH,
        "ws": topics.WS,
        "page": page,
    }
    rows: list[tuple[int, str, str]] = connection.execute(_TAIL, parameters).fetchall()
    return rows


def recorded_events(connection: Connection, after: int, upto: int) -> Iterator[AnyEvent]:
    """Recorded events of all topics, in their order; what this program cannot read is left out.

    Args:
        connection: As a role that may read the record.
        after: Seq before the first.
        upto: Seq of the last.
    """
    while after < upto:
        page = events_page(connection, after, upto, _PAGE)
        for _, _, body in page:
            try:
                yield codec.decode(body.encode())
            except msgspec.DecodeError:
                continue  # the stages passed over it too
        if len(page) < _PAGE:
            return
        after = page[-1][0]


def last_run_seq(connection: Connection) -> int:
    """Seq of the last ``run_started``, which resets every fold; 1 when there was none."""
    row = connection.execute("SELECT max(seq) FROM runs").fetchone()
    return int(row[0]) if row and row[0] else 1


class RecordStore:
    """The record in one database, as its one writer.

    Args:
        address: As role ``cdb_db_writer``.
    """

    def __init__(self, address: DatabaseAddress) -> None:
        self.address = address
        self._connection: Connection | None = None
        self._days: set[int] = set()

    def open(self) -> RecordCursor:
        """Connect, become the one writer, and learn where the record stands.

        Raises:
            DatabaseAwayError: The server is away, or writes nothing.
            SecondWriterError: Another process is the writer.
            DatabaseRefusedError: No right, or no schema.
        """
        self.close()
        connection = connect(self.address, application=topics.DB_WRITER)
        try:
            with translated(self.address):
                require_current(connection)
                _become_writer(connection)
                cursor = _read_cursor(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._days = set()
        return cursor

    def readable(self, cursor: RecordCursor) -> RecordCursor:
        """The cursor with a fold that this program can read, made again where it cannot.

        Args:
            cursor: As ``open`` returned it.
        """
        if not cursor.state:
            return cursor
        try:
            restore_exactly(Projector(), cursor.state)
        except StateUnreadableError as unreadable:
            _log.warning("fold_made_again", seq=cursor.seq, reason=str(unreadable))
            return replace(cursor, state=self._folded(cursor.seq))
        return cursor

    def close(self) -> None:
        """Disconnect, which also gives up being the writer."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def commit(self, transaction: Transaction) -> None:
        """Write a transaction; when this returns, it survives a power cut.

        Raises:
            DatabaseAwayError: Whether it was written is not known; open again and compare.
            DatabaseRefusedError: Nothing was written; something in it cannot be.
            CursorMovedError: Nothing was written: the record stands elsewhere.
        """
        connection = self._open_connection()
        new_days = transaction.days - self._days
        with translated(self.address), connection.transaction():
            self._move_cursor(connection, transaction)
            for day in sorted(new_days):
                connection.execute("SELECT ensure_market_data_day(%s)", (day_of(day * MS_PER_DAY),))
            self._add(connection, transaction)
            write_projections(connection, transaction.projections)
        self._days |= new_days

    def keep_snapshot(self, snapshot: Snapshot) -> bool:
        """Keep a copy of a stage's snapshot.

        The record must have all that the stage had published by then: a stage that goes on from
        here after a loss makes nothing again that it had made before.

        Returns:
            Whether it was kept now; False if it is there already.
        """
        connection = self._open_connection()
        with translated(self.address), connection.transaction():
            kept = connection.execute(
                "INSERT INTO state_snapshots (service, cursor, epoch, checksum, state, context)"
                " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                (
                    *(snapshot.service, snapshot.cursor, snapshot.epoch, snapshot.checksum),
                    *(snapshot.state, snapshot.context),
                ),
            )
            connection.execute(
                "DELETE FROM state_snapshots WHERE service = %(service)s AND cursor NOT IN ("
                " SELECT cursor FROM state_snapshots WHERE service = %(service)s"
                " ORDER BY cursor DESC LIMIT %(kept)s)",
                {"service": snapshot.service, "kept": SNAPSHOTS_KEPT},
            )
            return kept.rowcount == 1

    def snapshots(self) -> list[Snapshot]:
        """The newest undamaged kept snapshot of every stage."""
        connection = self._open_connection()
        with translated(self.address), connection.transaction():
            kept = kept_snapshots(connection)
        newest: dict[str, Snapshot] = {}
        for snapshot in kept:
            newest.setdefault(snapshot.service, snapshot)
        return list(newest.values())

    def last_run_seq(self) -> int:
        """Seq of the last ``run_started``; 1 when there was none."""
        connection = self._open_connection()
        with translated(self.address), connection.transaction():
            return last_run_seq(connection)

    def last_source_event(self, run_id: str) -> str | None:
        """Id of the last event that ``cdb_ws`` made of a run's recorded market; empty if none.

        Returns:
            None when the run's market is a live one: that is not made again.
        """
        connection = self._open_connection()
        with translated(self.address), connection.transaction():
            run = connection.execute("SELECT source FROM runs WHERE run_id = %s", (run_id,))
            if run.fetchone() not in (("replay",), ("synthetic",)):
                return None
            row = connection.execute(_LAST_TICK).fetchone()
            if row is None or row[1] != run_id:
                row = connection.execute(_LAST_CONTRACTS, (run_id, run_id)).fetchone()
        return str(row[0]) if row else ""

    def source_has_ended(self, run_id: str) -> bool:
        """Whether the record has the end of a run's market, which is published once."""
        connection = self._open_connection()
        with translated(self.address), connection.transaction():
            row = connection.execute(_SOURCE_ENDED, (run_id,)).fetchone()
        return row is not None

    def tail(self, after: int, upto: int) -> Iterator[TailEvent]:
        """Events of all topics in their order, as they were published.

        Args:
            after: Seq before the first.
            upto: Seq of the last.
        """
        connection = self._open_connection()
        while after < upto:
            with translated(self.address), connection.transaction():
                rows = events_page(connection, after, upto, _PAGE)
            for seq, producer, body in rows:
                yield TailEvent(seq, producer, body.encode())
            if len(rows) < _PAGE:
                return
            after = rows[-1][0]

    def _folded(self, upto: int) -> bytes:
        projector, rows = Projector(), Projections()
        connection = self._open_connection()
        with translated(self.address), connection.transaction():
            for event in recorded_events(connection, last_run_seq(connection) - 1, upto):
                if type(event) is MarketData:
                    projector.apply_tick(event)
                else:
                    projector.apply(event, rows)
                    rows = Projections()  # the tables have them
        return projector.snapshot()

    def _open_connection(self) -> Connection:
        if self._connection is None or self._connection.closed:
            raise DatabaseAwayError(f"PostgreSQL {self.address} is not connected")
        return self._connection

    @staticmethod
    def _move_cursor(connection: Connection, transaction: Transaction) -> None:
        before, after = transaction.before, transaction.after
        moved = connection.execute(
            _MOVE_CURSOR,
            (
                *(after.seq, after.epoch, after.chain_hash),
                *(msgspec.json.encode(after.topic_seqs).decode(), after.state),
                *(before.seq, before.chain_hash),
            ),
        )
        if moved.rowcount != 1:
            raise CursorMovedError(f"the record is not at seq {before.seq}")

    @staticmethod
    def _add(connection: Connection, transaction: Transaction) -> None:
        with connection.cursor() as cursor:
            if transaction.tick_lines:
                with cursor.copy(_COPY["market_data"]) as copy:
                    copy.write(transaction.tick_lines)
            _copy_rows(cursor, "events", transaction.event_rows)


def kept_snapshots(connection: Connection, service: str | None = None) -> list[Snapshot]:
    """The kept snapshots that are undamaged, of one service or of all, the newest first."""
    rows = connection.execute(
        "SELECT service, state, cursor, epoch, context, checksum FROM state_snapshots"
        " WHERE service = coalesce(%s, service) ORDER BY service, cursor DESC",
        (service,),
    ).fetchall()
    found = []
    for *parts, checksum in rows:
        snapshot = Snapshot(*parts)
        if snapshot.checksum == checksum:
            found.append(snapshot)
        else:
            _log.error("kept_snapshot_damaged", service=snapshot.service, cursor=snapshot.cursor)
    return found


def write_projections(connection: Connection, projections: Projections) -> None:
    """Write rows that events made; the caller's transaction decides whether they stay."""
    with connection.cursor() as cursor:
        for table, rows in sorted(projections.added.items()):
            _copy_rows(cursor, table, rows)
        if projections.run_ends:
            cursor.executemany(_END_RUN, projections.run_ends)
        if projections.positions:
            cursor.executemany(_PUT_POSITION, list(projections.positions.values()))


def _become_writer(connection: Connection) -> None:
    locked = connection.execute("SELECT pg_try_advisory_lock(%s)", (WRITER_LOCK,)).fetchone()
    if locked != (True,):
        raise SecondWriterError(
            "another cdb_db_writer holds the record: stop it, or wait until it is gone"
        )
    connection.execute(
        "INSERT INTO db_writer_cursor (seq, chain_hash, topic_seqs, state)"
        " VALUES (0, %s, '{}', '') ON CONFLICT (only_row) DO UPDATE SET committed_at = now()",
        (chain.GENESIS,),
    )
    connection.commit()


def _copy_rows(cursor: psycopg.Cursor[Row], table: str, rows: Iterable[Row]) -> None:
    rows = list(rows)
    if not rows:
        return
    with cursor.copy(_COPY[table]) as copy:
        for row in rows:
            copy.write_row(row)


def _read_cursor(connection: Connection) -> RecordCursor:
    row = connection.execute(
        "SELECT seq, epoch, chain_hash, topic_seqs::text, state FROM db_writer_cursor"
    ).fetchone()
    connection.commit()
    assert row is not None
    seq, epoch, chain_hash, topic_seqs, state = row
    return RecordCursor(
        seq, epoch, chain_hash, msgspec.json.decode(topic_seqs, type=dict[str, int]), state
    )
