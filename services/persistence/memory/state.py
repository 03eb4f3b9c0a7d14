"""The rows that a database in memory keeps, and a connection to it."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from services.kernel.events import AnyEvent, codec, topics
from services.persistence import chain
from services.persistence.recorder import RecordCursor
from services.persistence.tables import Row
from services.runtime.bus.snapshots import Snapshot
from services.runtime.database.address import DatabaseAwayError

_ESCAPED: Final = re.compile(r"\\(.)")
_CONTROLS: Final = {"t": "\t", "n": "\n", "r": "\r", "b": "\b", "f": "\f", "v": "\v"}


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


@dataclass(slots=True)
class OrderCursor:
    """Where the writer of the order tables is, and its state."""

    seq: int = 0
    state: bytes = b""


class MemoryState:
    """The committed rows of one database, and what happens to its server.

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
        self.orders_cursor = OrderCursor()
        self.order_rows: dict[str, dict[str, Any]] = {}
        self.trade_rows: dict[str, Row] = {}
        self._locks: dict[str, object] = {}

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

    def __init__(self, database: MemoryState, role: str) -> None:
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


class MemoryReader:
    """The record through one connection that only reads."""

    def __init__(self, database: MemoryState, session: Session, application: str) -> None:
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


def tick_rows(lines: str) -> Iterator[RecordRow]:
    """Rows of ``market_data`` from COPY text."""
    for line in lines.splitlines():
        fields = line.split("\t")
        body = fields[-1]
        if "\\" in body:
            body = _ESCAPED.sub(lambda found: _CONTROLS.get(found[1], found[1]), body)
        clock = fields[5] == "clock"
        topic, kind = (topics.CLOCK, "clock") if clock else (topics.MARKET_DATA, "market_data")
        yield RecordRow(int(fields[0]), topics.WS, fields[2], kind, topic, body)


def event_row(row: Row) -> RecordRow:
    """A row of ``events`` from its columns."""
    seq, topic, _, event_id, kind, producer, *_, body, chain_hash = row
    return RecordRow(seq, producer, event_id, kind, topic, body, chain_hash)
