"""The record in PostgreSQL, read through one connection in one consistent view."""

from collections.abc import Iterator
from typing import Final

from psycopg import sql

from services.persistence import chain
from services.record.reading import ChainLink, RecordError, Span
from services.runtime.database.connections import Connection

_EVENTS_AND_TICKS: Final = """
    COPY (
        SELECT body::text FROM (
            SELECT seq, body FROM events
            WHERE seq > {after} AND seq <= {upto} AND type <> {tick_batch}
            UNION ALL
            SELECT seq, body FROM market_data WHERE seq > {after} AND seq <= {upto}
        ) AS recorded ORDER BY seq
    ) TO STDOUT
"""
_ROWS: Final = """
    COPY (
        SELECT seq, event_id, type, chain_hash, body FROM (
            SELECT seq, 0 AS rank, event_id, type, encode(chain_hash, 'hex') AS chain_hash,
                   body::text AS body
            FROM events WHERE seq > {after} AND seq <= {upto}
            UNION ALL
            SELECT seq, -1, '', '', '', body::text FROM market_data
            WHERE seq > {after} AND seq <= {upto}
        ) AS recorded ORDER BY seq, rank
    ) TO STDOUT
"""
_LINKS: Final = """
    COPY (
        SELECT seq, event_id, type, encode(chain_hash, 'hex'), body::text FROM events
        WHERE seq > {after} AND seq <= {upto} ORDER BY seq
    ) TO STDOUT
"""
_LANDMARKS: Final = """
    COPY (
        WITH RECURSIVE run AS (
            (SELECT run_id FROM events ORDER BY run_id LIMIT 1)
            UNION ALL
            SELECT (SELECT run_id FROM events WHERE run_id > run.run_id ORDER BY run_id LIMIT 1)
            FROM run WHERE run.run_id IS NOT NULL
        ), landmark AS (
            SELECT e.* FROM run CROSS JOIN LATERAL (
                SELECT * FROM events WHERE run_id = run.run_id
                AND type IN ('run_started', 'run_ended', 'instruments')
                AND seq > {after} AND seq <= {upto}
            ) AS e
            UNION ALL
            SELECT e.* FROM run CROSS JOIN LATERAL (
                SELECT * FROM events WHERE run_id = run.run_id AND type = {tick_batch}
                AND seq > {after} AND seq <= {upto} ORDER BY seq DESC LIMIT 1
            ) AS e
        )
        SELECT seq, event_id, type, encode(chain_hash, 'hex'), body::text FROM landmark ORDER BY seq
    ) TO STDOUT
"""
"""Each through index ``events_run``, run after run, whatever the size of the table."""
_WHOLE: Final = """
    SELECT least((SELECT min(seq) FROM events), (SELECT min(seq) FROM market_data)),
           (SELECT seq FROM db_writer_cursor)
"""


class DatabaseRecord:
    """What ``cdb_db_writer`` has committed, as of the moment this object was made.

    Args:
        connection: As a role that may read the record; it stays in one read-only transaction
            until ``close``, so that a run in progress is seen up to one complete point.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        connection.rollback()
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        # Reading a month takes longer than a service's statement may.
        connection.execute("SET LOCAL statement_timeout = 0")

    def close(self) -> None:
        """End the view."""
        self._connection.rollback()

    @property
    def connection(self) -> Connection:
        """For questions to tables, in the same view."""
        return self._connection

    def whole(self) -> Span:
        """From before the first recorded event to the writer's last commit.

        Raises:
            RecordError: Nothing was recorded yet.
        """
        row = self._connection.execute(_WHOLE).fetchone()
        if row is None or row[0] is None or not row[1]:
            raise RecordError("the record is empty; run something first, `claire run-paper` does")
        return Span(int(row[0]) - 1, int(row[1]))

    def bodies(self, span: Span) -> Iterator[bytes]:
        """The exact texts of a span's events, by seq."""
        for line in self._lines(_EVENTS_AND_TICKS, span):
            yield line.replace(b"\\\\", b"\\") if b"\\" in line else line

    def links(self, span: Span) -> Iterator[ChainLink]:
        """The rows of ``events``, by seq."""
        for line in self._lines(_LINKS, span):
            yield _link(line)

    def landmarks(self, span: Span) -> Iterator[ChainLink]:
        """Starts, ends and instruments of runs, and each run's last batch of ticks, by seq."""
        for line in self._lines(_LANDMARKS, span):
            yield _link(line)

    def rows(self, span: Span) -> Iterator[ChainLink | bytes]:
        """Everything in its order: rows of the chain, and the texts of ticks and clocks."""
        for line in self._lines(_ROWS, span):
            row = _link(line)
            yield row if row.kind else row.body

    def chain_hash_at(self, seq: int) -> bytes:
        """The chain's hash behind the last row that is not after ``seq``."""
        row = self._connection.execute(
            "SELECT chain_hash FROM events WHERE seq <= %s ORDER BY seq DESC LIMIT 1", (seq,)
        ).fetchone()
        return bytes(row[0]) if row else chain.GENESIS

    def _lines(self, statement: str, span: Span) -> Iterator[bytes]:
        """The lines of a COPY; JSON texts hold no raw tabs or line ends.

        Who stops reading early cancels the statement, and with it no more than this savepoint.
        """
        query = sql.SQL(statement).format(
            after=sql.Literal(span.after),
            upto=sql.Literal(span.upto),
            tick_batch=sql.Literal(chain.TICK_BATCH),
        )
        rest = b""
        connection = self._connection
        with connection.transaction(), connection.cursor() as cursor, cursor.copy(query) as copy:
            for block in copy:
                text = rest + bytes(block)
                if text.find(b"\n") == len(text) - 1:  # one whole line, as the server sends them
                    rest = b""
                    yield text[:-1]
                else:
                    lines = text.split(b"\n")
                    rest = lines.pop()
                    yield from lines


def _link(line: bytes) -> ChainLink:
    seq, event_id, kind, chain_hash, body = line.split(b"\t", 4)
    if b"\\" in body:
        body = body.replace(b"\\\\", b"\\")
    return ChainLink(
        int(seq), event_id.decode(), kind.decode(), body, bytes.fromhex(chain_hash.decode())
    )
