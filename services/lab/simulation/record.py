"""The twin's record as `claire validate` and `claire verify` read one."""

from collections.abc import Iterator

from services.persistence import chain
from services.persistence.memory.database import MemoryDatabase
from services.persistence.memory.state import RecordRow
from services.record.reading import ChainLink, RecordError, Span

LANDMARKS = frozenset({"run_started", "run_ended", "instruments", chain.TICK_BATCH})


class MemoryRecord:
    """A record in memory; it satisfies `record.reading.Record`.

    Args:
        database: The twin; nothing may write to it meanwhile.
    """

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        # A tick batch has the seq of its last tick, and comes before it as in PostgreSQL.
        self._rows = sorted(database.rows, key=lambda row: (row.seq, not row.chain_hash))

    def whole(self) -> Span:
        """From before the first recorded event to the writer's last commit."""
        if not self._rows:
            raise RecordError("the record is empty")
        return Span(self._rows[0].seq - 1, self._database.cursor.seq)

    def bodies(self, span: Span) -> Iterator[bytes]:
        """The exact texts of a span's events, by seq."""
        for row in self._within(span):
            if row.kind != chain.TICK_BATCH:
                yield row.body.encode()

    def links(self, span: Span) -> Iterator[ChainLink]:
        """The rows of the chain, by seq."""
        for row in self._within(span):
            if row.chain_hash:
                yield _link(row)

    def landmarks(self, span: Span) -> Iterator[ChainLink]:
        """Starts, ends and instruments of runs, and batches of ticks, by seq."""
        for link in self.links(span):
            if link.kind in LANDMARKS:
                yield link

    def rows(self, span: Span) -> Iterator[ChainLink | bytes]:
        """Everything in its order."""
        ticks_first = sorted(self._within(span), key=lambda row: (row.seq, bool(row.chain_hash)))
        for row in ticks_first:
            yield _link(row) if row.chain_hash else row.body.encode()

    def chain_hash_at(self, seq: int) -> bytes:
        """The chain's hash behind the last row that is not after ``seq``."""
        hashes = [row.chain_hash for row in self._rows if row.chain_hash and row.seq <= seq]
        return hashes[-1] if hashes else chain.GENESIS

    def close(self) -> None:
        """Nothing to give back."""

    def _within(self, span: Span) -> Iterator[RecordRow]:
        return (row for row in self._rows if span.after < row.seq <= span.upto)


def _link(row: RecordRow) -> ChainLink:
    return ChainLink(row.seq, row.event_id, row.kind, row.body.encode(), row.chain_hash)
