"""A database in memory: the tables that the writers and the record's readers use."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from services.kernel.events import AnyEvent, Condition, ConditionName, MarketData, codec, topics
from services.kernel.stage import StateUnreadableError, restore_exactly
from services.persistence.memory.order_tables import MemoryOrderTables
from services.persistence.memory.state import (
    MemoryReader,
    MemoryState,
    Session,
    event_row,
    tick_rows,
)
from services.persistence.ports import OrderTables, Reader, RecordTables
from services.persistence.projector import Projections, Projector
from services.persistence.record_store import (
    SNAPSHOTS_KEPT,
    CursorMovedError,
    SecondWriterError,
)
from services.persistence.recorder import RecordCursor, Transaction
from services.runtime.bus.recovery import TailEvent
from services.runtime.bus.snapshots import Snapshot
from services.runtime.database.address import DatabaseAddress

PAGE: Final = 5_000
_ESCAPED: Final = re.compile(r"\\(.)")
_CONTROLS: Final = {"t": "\t", "n": "\n", "r": "\r", "b": "\b", "f": "\f", "v": "\v"}
_SCALE: Final = Decimal(1).scaleb(-16)
_BPS_SCALE: Final = Decimal(1).scaleb(-8)


@dataclass(frozen=True, slots=True)
class MemoryAddress(DatabaseAddress):
    """A role's way to a database in memory."""

    stores: "MemoryDatabase" = field(kw_only=True, repr=False, compare=False)


class MemoryDatabase(MemoryState):
    """One database; every transaction is one step."""

    def address(self, role: str) -> MemoryAddress:
        """The database as one of its roles."""
        return MemoryAddress("memory", 0, "claire_de_binare", role, "", stores=self)

    def record(self, address: DatabaseAddress) -> RecordTables:
        """The record's tables; nothing connects yet."""
        return MemoryRecordTables(self, address.user)

    def orders(self, address: DatabaseAddress) -> OrderTables:
        """Tables ``orders`` and ``trades``; nothing connects yet."""
        return MemoryOrderTables(self, address.user)

    @contextmanager
    def reading(self, address: DatabaseAddress, application: str) -> Iterator[Reader]:
        """A connection that only reads."""
        session = Session(self, address.user)
        session.connect()
        try:
            yield MemoryReader(self, session, application)
        finally:
            session.close()

    def migrate(self, owner: DatabaseAddress, passwords: Mapping[str, str]) -> list[str]:
        """The schema is always up to date; asking needs the server."""
        session = Session(self, owner.user)
        session.connect()
        session.close()
        return [] if passwords else ["no roles"]


class MemoryRecordTables:
    """The record, as its one writer."""

    LOCK: Final = "record"

    def __init__(self, database: MemoryDatabase, role: str) -> None:
        self._database = database
        self._session = Session(database, role)
        self._reader = MemoryReader(database, self._session, topics.DB_WRITER)

    def open(self) -> RecordCursor:
        """Become the one writer; returns where the record stands."""
        self.close()
        self._session.connect()
        with self._session.step():
            if not self._database.lock(self.LOCK, self):
                self.close()
                raise SecondWriterError("another cdb_db_writer holds the record")
            return self._database.cursor

    def readable(self, cursor: RecordCursor) -> RecordCursor:
        """The cursor with a fold that this program can read."""
        if not cursor.state:
            return cursor
        try:
            restore_exactly(Projector(), cursor.state)
        except StateUnreadableError:
            state = self._folded(cursor.seq)
            return replace(cursor, state=state)
        return cursor

    def close(self) -> None:
        """Disconnect, which also gives up being the writer."""
        self._session.close()
        self._database.unlock(self)

    def commit(self, transaction: Transaction) -> None:
        """Write a transaction whole."""
        database = self._database
        with self._session.step(writes=True):
            before, stands = transaction.before, database.cursor
            if (stands.seq, stands.chain_hash) != (before.seq, before.chain_hash):
                raise CursorMovedError(f"the record is not at seq {before.seq}")
            database.cursor = transaction.after
            rows = [*tick_rows(transaction.tick_lines), *map(event_row, transaction.event_rows)]
            database.rows += sorted(rows, key=lambda row: row.seq)
            projections = transaction.projections
            for table, added in projections.added.items():
                database.tables.setdefault(table, []).extend(added)
            database.positions.update(projections.positions)
            for end in projections.run_ends:
                database.run_ends.setdefault(str(end[2]), end)

    def keep_snapshot(self, snapshot: Snapshot) -> bool:
        """Keep a copy of a stage's snapshot; returns whether it is new."""
        database = self._database
        with self._session.step(writes=True):
            known = {(kept.service, kept.cursor, kept.epoch) for kept in database.kept}
            if (snapshot.service, snapshot.cursor, snapshot.epoch) in known:
                return False
            mine = [kept for kept in database.kept if kept.service == snapshot.service]
            mine = sorted([*mine, snapshot], key=lambda kept: -kept.cursor)[:SNAPSHOTS_KEPT]
            others = [kept for kept in database.kept if kept.service != snapshot.service]
            database.kept = [*others, *mine]
            return True

    def snapshots(self) -> list[Snapshot]:
        """The newest kept snapshot of every stage."""
        newest: dict[str, Snapshot] = {}
        for snapshot in self._reader.kept_snapshots():
            newest.setdefault(snapshot.service, snapshot)
        return list(newest.values())

    def last_run_seq(self) -> int:
        """Seq of the last ``run_started``; 1 when there was none."""
        return self._reader.last_run_seq()

    def last_source_event(self, run_id: str) -> str | None:
        """Id of the last event made of a run's recorded market."""
        with self._session.step():
            sources = {row[0]: row[3] for row in self._database.tables.get("runs", ())}
            if sources.get(run_id) not in ("replay", "synthetic"):
                return None
            ticks = [row for row in self._database.rows if not row.chain_hash]
            others = [row for row in self._database.rows if row.kind == "instruments"]
        for rows in (ticks[-1:], others[::-1]):
            for row in rows:
                if codec.decode(row.body.encode()).run_id == run_id:
                    return row.event_id
        return ""

    def source_has_ended(self, run_id: str) -> bool:
        """Whether the record has the end of a run's market."""
        with self._session.step():
            rows = [row for row in self._database.rows if row.kind == "condition"]
        ends = [decoded for row in rows if _is_end(decoded := codec.decode(row.body.encode()))]
        return any(event.run_id == run_id for event in ends)

    def tail(self, after: int, upto: int) -> Iterator[TailEvent]:
        """Events of all topics in their order."""
        while after < upto:
            rows = self._reader.events_page(after, upto, PAGE)
            for seq, producer, body in rows:
                yield TailEvent(seq, producer, body.encode())
            if len(rows) < PAGE:
                return
            after = rows[-1][0]

    def _folded(self, upto: int) -> bytes:
        projector = Projector()
        for event in self._reader.recorded_events(self.last_run_seq() - 1, upto):
            if type(event) is MarketData:
                projector.apply_tick(event)
            else:
                projector.apply(event, Projections())
        return projector.snapshot()


def _is_end(event: AnyEvent) -> bool:
    return isinstance(event, Condition) and event.name is ConditionName.SOURCE_ENDED
