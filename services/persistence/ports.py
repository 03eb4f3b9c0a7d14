"""The record store's port: what writers and readers of the record ask of a database.

Behind it are PostgreSQL and the twin in ``persistence/memory``.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

from services.kernel.events import AnyEvent
from services.persistence.orders import OrderRows, RecordedPayment
from services.persistence.recorder import RecordCursor, Transaction
from services.runtime.bus.batch import Batch
from services.runtime.bus.recovery import TailEvent
from services.runtime.bus.snapshots import Snapshot
from services.runtime.database.address import DatabaseAddress


class RecordTables(Protocol):
    """The record, as its one writer sees it; see `record_store.RecordStore`."""

    def open(self) -> RecordCursor:
        """Become the one writer; returns where the record stands."""
        ...

    def readable(self, cursor: RecordCursor) -> RecordCursor:
        """The cursor with a fold that this program can read."""
        ...

    def close(self) -> None:
        """Disconnect, which also gives up being the writer."""
        ...

    def commit(self, transaction: Transaction) -> None:
        """Write a transaction whole."""
        ...

    def keep_snapshot(self, snapshot: Snapshot) -> bool:
        """Keep a copy of a stage's snapshot; returns whether it is new."""
        ...

    def snapshots(self) -> list[Snapshot]:
        """The newest undamaged kept snapshot of every stage."""
        ...

    def last_run_seq(self) -> int:
        """Seq of the last ``run_started``; 1 when there was none."""
        ...

    def last_source_event(self, run_id: str) -> str | None:
        """Id of the last event made of a run's recorded market."""
        ...

    def source_has_ended(self, run_id: str) -> bool:
        """Whether the record has the end of a run's market."""
        ...

    def tail(self, after: int, upto: int) -> Iterator[TailEvent]:
        """Events of all topics in their order."""
        ...


class OrderTables(Protocol):
    """Tables ``orders`` and ``trades``, as their one writer sees them; see `order_store`."""

    def open(self) -> tuple[int, bytes]:
        """Become the one writer; returns the last seq taken and the fold's state."""
        ...

    def close(self) -> None:
        """Disconnect, which also gives up being the writer."""
        ...

    def commit(self, rows: OrderRows, *, before: int, after: int, state: bytes) -> None:
        """Write rows and move the cursor, both or neither."""
        ...

    def funding_payments(self, after: int, upto: int) -> list[RecordedPayment]:
        """The settlements of a part of the record, by seq."""
        ...

    def folded(self, upto: int) -> bytes:
        """The fold's state after a seq, made from the record."""
        ...

    def recorded(self, after: int, upto: int | None = None) -> tuple[Batch, int]:
        """The next page of recorded events, and the last seq of the record (or ``upto``)."""
        ...


class Reader(Protocol):
    """The record, as somebody who only reads sees it."""

    def events_page(self, after: int, upto: int, page: int) -> list[tuple[int, str, str]]:
        """Seq, producer and text of the next recorded events."""
        ...

    def recorded_events(self, after: int, upto: int) -> Iterator[AnyEvent]:
        """Recorded events; what this program cannot read is left out."""
        ...

    def last_run_seq(self) -> int:
        """Seq of the last ``run_started``; 1 when there was none."""
        ...

    def kept_snapshots(self, service: str) -> list[Snapshot]:
        """The kept snapshots of a service that are undamaged, the newest first."""
        ...


class Stores(Protocol):
    """What is behind a database's address."""

    def record(self, address: DatabaseAddress) -> RecordTables:
        """The record's tables; nothing connects yet."""
        ...

    def orders(self, address: DatabaseAddress) -> OrderTables:
        """Tables ``orders`` and ``trades``; nothing connects yet."""
        ...

    def reading(self, address: DatabaseAddress, application: str) -> AbstractContextManager[Reader]:
        """A connection that only reads."""
        ...

    def migrate(self, owner: DatabaseAddress, passwords: Mapping[str, str]) -> list[str]:
        """Bring the schema up to date; returns the names of what was applied."""
        ...


@runtime_checkable
class HasStores(Protocol):
    """An address of something else than PostgreSQL."""

    @property
    def stores(self) -> Stores:
        """What is behind it."""
        ...
