"""From a database's address to the stores behind it: PostgreSQL, unless the address says more."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from services.kernel.events import AnyEvent
from services.persistence import record_store
from services.persistence.order_store import OrderStore
from services.persistence.ports import HasStores, OrderTables, Reader, RecordTables, Stores
from services.persistence.record_store import RecordStore
from services.runtime.bus.snapshots import Snapshot
from services.runtime.database import migrations
from services.runtime.database.connections import (
    Connection,
    DatabaseAddress,
    connect_to_read,
    translated,
)


class PostgresReader:
    """The record through one connection.

    Args:
        connection: As a role that may read the record.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def events_page(self, after: int, upto: int, page: int) -> list[tuple[int, str, str]]:
        """Seq, producer and text of the next recorded events."""
        return record_store.events_page(self._connection, after, upto, page)

    def recorded_events(self, after: int, upto: int) -> Iterator[AnyEvent]:
        """Recorded events; what this program cannot read is left out."""
        return record_store.recorded_events(self._connection, after, upto)

    def last_run_seq(self) -> int:
        """Seq of the last ``run_started``; 1 when there was none."""
        return record_store.last_run_seq(self._connection)

    def kept_snapshots(self, service: str) -> list[Snapshot]:
        """The kept snapshots of a service that are undamaged, the newest first."""
        return record_store.kept_snapshots(self._connection, service)


class PostgresStores:
    """The stores of a real server."""

    def record(self, address: DatabaseAddress) -> RecordTables:
        """The record's tables; nothing connects yet."""
        return RecordStore(address)

    def orders(self, address: DatabaseAddress) -> OrderTables:
        """Tables ``orders`` and ``trades``; nothing connects yet."""
        return OrderStore(address)

    @contextmanager
    def reading(self, address: DatabaseAddress, application: str) -> Iterator[Reader]:
        """A connection that only reads.

        Raises:
            DatabaseAwayError, DatabaseRefusedError: As `connect_to_read`.
        """
        with translated(address), connect_to_read(address, application=application) as connection:
            yield PostgresReader(connection)

    def migrate(self, owner: DatabaseAddress, passwords: Mapping[str, str]) -> list[str]:
        """Bring the schema up to date; returns the names of what was applied."""
        applied = migrations.migrate(owner, role_passwords=passwords)
        return [f"{migration.version} {migration.name}" for migration in applied]


_POSTGRES: Final[Stores] = PostgresStores()


def behind(address: DatabaseAddress) -> Stores:
    """The stores behind an address; settings only make addresses of PostgreSQL."""
    return address.stores if isinstance(address, HasStores) else _POSTGRES
