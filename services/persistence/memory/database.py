"""A database in memory: the tables that the writers and the record's readers use."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final

import msgspec

from services.kernel.events import AnyEvent, Condition, ConditionName, MarketData, codec, topics
from services.kernel.portfolio.portfolio import FundingPayment
from services.kernel.stage import StateUnreadableError, restore_exactly
from services.persistence import chain
from services.persistence.orders import (
    ORDERS,
    TOPICS,
    OrderProjector,
    OrderRows,
    RecordedPayment,
)
from services.persistence.ports import OrderTables, Reader, RecordTables
from services.persistence.projector import Projections, Projector
from services.persistence.record_store import (
    SNAPSHOTS_KEPT,
    CursorMovedError,
    SecondWriterError,
)
from services.persistence.recorder import RecordCursor, Transaction
from services.persistence.tables import Row
from services.runtime.bus.batch import Batch
from services.runtime.bus.recovery import TailEvent
from services.runtime.bus.snapshots import Snapshot
from services.runtime.database.address import DatabaseAddress, DatabaseAwayError

PAGE: Final = 5_000
_ESCAPED: Final = re.compile(r"\\(.)")
_CONTROLS: Final = {"t": "\t", "n": "\n", "r": "\r", "b": "\b", "f": "\f", "v": "\v"}
_SCALE: Final = Decimal(1).scaleb(-16)
_BPS_SCALE: Final = Decimal(1).scaleb(-8)


@dataclass(frozen=True, slots=True)
class RecordRow:
    """A row of ``events``, or a tick or clock of ``market_data`` (then without a chain hash)."""

    seq: int
    producer: str
    event_id: str
    kind: str
    topic: str
    body: str
    chain_hash: bytes = b""


@dataclass(frozen=True, slots=True)
class MemoryAddress(DatabaseAddress):
    """A role's way to a database in memory."""

    stores: "MemoryDatabase" = field(kw_only=True, repr=False, compare=False)


@dataclass(slots=True)
class _OrderCursor:
    seq: int = 0
    state: bytes = b""


class MemoryDatabase:
    """One database; every transaction is one step.

    Attributes:
        up: Whether it answers.
        full: Whether its disk is full: then it reads, and writes nothing.
        before, after: Called around each statement or transaction, with the role; either may raise
            `DatabaseAwayError`, ``after`` when the effect is there already.
    """

    def __init__(self) -> None:
        self.up = True
        self.full = False
        self.before: Callable[[str], None] = lambda _: None
        self.after: Callable[[str], None] = lambda _: None
        self.cursor = RecordCursor()
        self.rows: list[RecordRow] = []
        self.tables: dict[str, list[Row]] = {}
        self.positions: dict[tuple[Any, ...], Row] = {}
        self.run_ends: dict[str, Row] = {}
        self.kept: list[Snapshot] = []
        self.orders_cursor = _OrderCursor()
        self.order_rows: dict[str, dict[str, Any]] = {}
        self.trade_rows: dict[str, Row] = {}
        self._locks: dict[str, object] = {}

    def address(self, role: str) -> MemoryAddress:
        """The database as one of its roles."""
        return MemoryAddress("memory", 0, "claire_de_binare", role, "", stores=self)

    # -- Stores -------------------------------------------------------------------------------

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

    # -- what happens to servers --------------------------------------------------------------

    def stop(self) -> None:
        """Go away; every connection breaks, and with it the lock of a writer."""
        self.up = False
        self._locks.clear()

    def start(self) -> None:
        """Come back with every committed row."""
        self.up = True

    def lock(self, name: str, owner: object) -> bool:
        """Become the one writer of some tables."""
        return self._locks.setdefault(name, owner) is owner

    def unlock(self, owner: object) -> None:
        """Give up what was locked."""
        self._locks = {name: by for name, by in self._locks.items() if by is not owner}

    def holds(self, name: str, owner: object) -> bool:
        """Whether a writer still is the one."""
        return self._locks.get(name) is owner


class Session:
    """One connection; it breaks when the server stops."""

    def __init__(self, database: MemoryDatabase, role: str) -> None:
        self._database = database
        self._role = role
        self.is_open = False

    def connect(self) -> None:
        """Connect.

        Raises:
            DatabaseAwayError: The server is away.
        """
        self._database.before(self._role)
        if not self._database.up:
            raise DatabaseAwayError(f"PostgreSQL {self._role}@memory is away")
        self.is_open = True

    def close(self) -> None:
        """Disconnect."""
        self.is_open = False

    @contextmanager
    def step(self, *, writes: bool = False) -> Iterator[None]:
        """One transaction.

        Raises:
            DatabaseAwayError: The server is away; whether it happened is not known.
        """
        if not self.is_open:
            raise DatabaseAwayError(f"PostgreSQL {self._role}@memory is not connected")
        self._require_up(writes)
        yield
        try:
            self._database.after(self._role)
        except DatabaseAwayError:
            self.is_open = False
            raise

    def _require_up(self, writes: bool) -> None:
        away = ""
        try:
            self._database.before(self._role)
        except DatabaseAwayError as error:
            away = str(error)
        if away or not self._database.up:
            self.is_open = False
            raise DatabaseAwayError(f"PostgreSQL {self._role}@memory is away: {away}")
        if writes and self._database.full:
            raise DatabaseAwayError(f"PostgreSQL {self._role}@memory: no space left on device")


def _tick_rows(lines: str) -> Iterator[RecordRow]:
    """Rows of ``market_data`` from COPY text."""
    for line in lines.splitlines():
        fields = line.split("\t")
        body = fields[-1]
        if "\\" in body:
            body = _ESCAPED.sub(lambda found: _CONTROLS.get(found[1], found[1]), body)
        clock = fields[5] == "clock"
        topic, kind = (topics.CLOCK, "clock") if clock else (topics.MARKET_DATA, "market_data")
        yield RecordRow(int(fields[0]), topics.WS, fields[2], kind, topic, body)


def _event_row(row: Row) -> RecordRow:
    seq, topic, _, event_id, kind, producer, *_, body, chain_hash = row
    return RecordRow(seq, producer, event_id, kind, topic, body, chain_hash)


def _is_end(event: AnyEvent) -> bool:
    return isinstance(event, Condition) and event.name is ConditionName.SOURCE_ENDED


class MemoryReader:
    """The record through one connection that only reads."""

    def __init__(self, database: MemoryDatabase, session: Session, application: str) -> None:
        self._database = database
        self._session = session
        self.application = application

    def events_page(self, after: int, upto: int, page: int) -> list[tuple[int, str, str]]:
        """Seq, producer and text of the next recorded events."""
        with self._session.step():
            found = [
                (row.seq, row.producer, row.body)
                for row in self._database.rows
                if after < row.seq <= upto and row.kind != chain.TICK_BATCH
            ]
        return sorted(found)[:page]

    def recorded_events(self, after: int, upto: int) -> Iterator[AnyEvent]:
        """Recorded events; what this program cannot read is left out."""
        for _, _, body in self.events_page(after, upto, len(self._database.rows)):
            try:
                yield codec.decode(body.encode())
            except msgspec.DecodeError:
                continue

    def last_run_seq(self) -> int:
        """Seq of the last ``run_started``; 1 when there was none."""
        with self._session.step():
            return max((row[1] for row in self._database.tables.get("runs", ())), default=1)

    def kept_snapshots(self, service: str | None = None) -> list[Snapshot]:
        """The kept snapshots, the newest first."""
        with self._session.step():
            kept = [s for s in self._database.kept if service in (None, s.service)]
        return sorted(kept, key=lambda snapshot: (snapshot.service, -snapshot.cursor))


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
            rows = [*_tick_rows(transaction.tick_lines), *map(_event_row, transaction.event_rows)]
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


class MemoryOrderTables:
    """Tables ``orders`` and ``trades``, as their one writer."""

    LOCK: Final = "orders"

    def __init__(self, database: MemoryDatabase, role: str) -> None:
        self._database = database
        self._session = Session(database, role)

    def open(self) -> tuple[int, bytes]:
        """Become the one writer; returns the last seq taken and the fold's state."""
        self.close()
        self._session.connect()
        with self._session.step():
            if not self._database.lock(self.LOCK, self):
                self.close()
                raise SecondWriterError("another cdb_execution writes orders and trades")
            cursor = self._database.orders_cursor
            return cursor.seq, cursor.state

    def close(self) -> None:
        """Disconnect, which also gives up being the writer."""
        self._session.close()
        self._database.unlock(self)

    def commit(self, rows: OrderRows, *, before: int, after: int, state: bytes) -> None:
        """Write rows and move the cursor, both or neither."""
        database = self._database
        with self._session.step(writes=True):
            if database.orders_cursor.seq != before:
                raise CursorMovedError(f"orders and trades are not at seq {before}")
            database.orders_cursor = _OrderCursor(after, state)
            for row in rows.orders:
                order = dict(zip(ORDERS, row, strict=False)) | {"updated_seq": row[-1]}
                fresh = {"status": row[len(ORDERS)], "filled_quantity": 0, "filled_value": 0}
                fresh |= {"filled_base": 0, "filled_price": None, "fees": 0, "reason": None}
                database.order_rows.setdefault(order["order_id"], order | fresh)
            for result in rows.results:
                self._apply(result)
            for row in rows.trades:
                database.trade_rows.setdefault(row[0], row)

    def _apply(self, result: dict[str, Any]) -> None:
        order = self._database.order_rows.get(result["order_id"])
        if order is None or order["origin"] != result["origin"]:
            return
        if order["updated_seq"] >= result["seq"]:
            return
        order["filled_quantity"] += result["quantity"]
        order["filled_value"] += result["value"]
        order["filled_base"] += result["base"]
        order["fees"] += result["fees"]
        order["status"], order["reason"] = result["status"], result["reason"]
        order["updated_seq"] = result["seq"]
        if order["filled_base"] > 0:
            price = order["filled_value"] / order["filled_base"]
            order["filled_price"] = price.quantize(_SCALE).normalize()

    def funding_payments(self, after: int, upto: int) -> list[RecordedPayment]:
        """The settlements of a part of the record, by seq."""
        with self._session.step():
            rows = self._database.tables.get("funding_payments", ())
            found = [row for row in rows if after < row[3] <= upto]
        return [
            RecordedPayment(
                seq,
                FundingPayment(
                    symbol=symbol,
                    settlement_time=round(settled.timestamp() * 1000),
                    quantity=quantity,
                    mark_price=mark_price,
                    rate=rate,
                    amount=amount,
                ),
            )
            for _, symbol, settled, seq, quantity, mark_price, rate, amount in found
        ]

    def folded(self, upto: int) -> bytes:
        """The fold's state after a seq, made from the record."""
        reader = MemoryReader(self._database, self._session, topics.EXECUTION)
        after = reader.last_run_seq() - 1
        projector = OrderProjector()
        while after < upto:
            page, _ = self.recorded(after, upto)
            projector.fold(page.events, self.funding_payments(after, page.upto), OrderRows())
            after = page.upto
        return projector.snapshot()

    def recorded(self, after: int, upto: int | None = None) -> tuple[Batch, int]:
        """The next page of recorded events, and the last seq of the record (or ``upto``)."""
        with self._session.step():
            complete = self._database.cursor.seq if upto is None else upto
            rows = [
                row
                for row in self._database.rows
                if row.topic in TOPICS and after < row.seq <= complete and row.chain_hash
            ][:PAGE]
        batch = Batch(upto=rows[-1].seq if len(rows) == PAGE else max(after, complete))
        for row in rows:
            body = row.body.encode()
            try:
                event = codec.decode(body)
            except msgspec.DecodeError:
                continue
            batch.events.append(event)
            batch.bodies.append(body)
        return batch, complete
