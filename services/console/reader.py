"""Read-only connections to the record, shared by the threads that answer requests."""

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from services.runtime.database.address import DatabaseAddress
from services.runtime.database.connections import Connection, connect_to_read

CONNECTIONS: Final = 4
WAIT_S: Final = 5.0


class BusyError(RuntimeError):
    """All connections were in use for `WAIT_S`; the request may be repeated."""


class RecordReader:
    """At most `CONNECTIONS` connections, opened when needed.

    Args:
        address: PostgreSQL, as a role that may read.
    """

    def __init__(self, address: DatabaseAddress) -> None:
        self._address = address
        self._idle: queue.LifoQueue[Connection | None] = queue.LifoQueue()
        for _ in range(CONNECTIONS):
            self._idle.put(None)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection in a read-only transaction, for one request.

        Raises:
            BusyError: None became free in time.
            DatabaseAwayError: The database does not answer.
        """
        try:
            connection = self._idle.get(timeout=WAIT_S)
        except queue.Empty:
            raise BusyError("the console reads for other pages; try again") from None
        sound = False
        try:
            if connection is None or connection.closed:
                connection = connect_to_read(self._address, application="cdb_console")
            yield connection
            connection.rollback()
            sound = True
        finally:
            if not sound and connection is not None:
                connection.close()
                connection = None
            self._idle.put(connection)

    def close(self) -> None:
        """Close the idle connections."""
        for _ in range(CONNECTIONS):
            try:
                connection = self._idle.get_nowait()
            except queue.Empty:
                return
            if connection is not None:
                connection.close()
