"""Access to PostgreSQL: addresses, connections with deadlines, clear errors."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from services.runtime.database.address import (
    DatabaseAddress,
    DatabaseAwayError,
    DatabaseRefusedError,
    DataRefusedError,
)
from services.runtime.database.watched_connection import WatchedConnection

__all__ = [
    "Connection",
    "DataRefusedError",
    "DatabaseAddress",
    "DatabaseAwayError",
    "DatabaseRefusedError",
    "connect",
    "connect_to_read",
    "is_away",
    "is_refused_data",
    "translated",
]

Connection = WatchedConnection

CONNECT_TIMEOUT_SEC = 5
STATEMENT_TIMEOUT_SEC = 30
# A vanished client's locks, such as that of the one writer, would stay for the system's two hours.
_SERVER_SIDE = "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=4"


def connect_to_read(address: DatabaseAddress, *, application: str) -> Connection:
    """Open a connection whose transactions are read-only; see `connect`.

    For everything that only looks, whatever rights its role has.
    """
    return connect(address, application=application, options="-c default_transaction_read_only=on")


def connect(address: DatabaseAddress, *, application: str, options: str = "") -> Connection:
    """Open a connection whose every wait has a deadline.

    Args:
        address: Where to connect.
        application: Shown in ``pg_stat_activity``; the service's name.
        options: Further settings of the session, as command line options of the server.

    Raises:
        DatabaseAwayError: Nobody answers, or the server is starting up or shutting down.
        DatabaseRefusedError: The server answers and refuses.
    """
    with translated(address):
        return Connection.connect(
            host=address.host,
            port=address.port,
            dbname=address.database,
            user=address.user,
            password=address.password,
            application_name=application,
            connect_timeout=CONNECT_TIMEOUT_SEC,
            # A machine that vanished must not hang us; a frozen server is seen by the connection.
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=STATEMENT_TIMEOUT_SEC * 1000,
            options=f"-c statement_timeout={STATEMENT_TIMEOUT_SEC}s -c timezone=UTC"
            f" {_SERVER_SIDE} {options}",
        )


_AWAY_SQLSTATES = (
    "08",  # connection exceptions
    "53",  # out of disk, memory, connections
    "57",  # shutting down, cannot connect now, cancelled by timeout
    "58",  # input/output error of the server
    "40",  # serialization failure, deadlock
    "55P03",  # lock not available
    "25006",  # read-only transaction: a server in recovery, or switched to read-only
    "XX001",  # data corrupted: red until a person acts, but never a crash loop
)


_TOO_LARGE_SQLSTATE = "54"  # a text too long for an index, for instance


def is_away(error: psycopg.Error) -> bool:
    """Whether an error is one that passes with time, so that the same call is to be repeated."""
    if error.sqlstate is not None:
        return error.sqlstate.startswith(_AWAY_SQLSTATES)
    if isinstance(error, psycopg.OperationalError):
        # No SQLSTATE: the connection failed or broke. libpq does not pass on the state of a
        # refused login, so it is recognised by its text.
        text = str(error)
        return not any(mark in text for mark in ("authentication failed", "does not exist"))
    return isinstance(error, psycopg.InterfaceError)


def is_refused_data(error: psycopg.Error) -> bool:
    """Whether the server refuses a value or a row, and would refuse it again."""
    too_large = (error.sqlstate or "").startswith(_TOO_LARGE_SQLSTATE)
    return too_large or isinstance(error, psycopg.DataError | psycopg.IntegrityError)


@contextmanager
def translated(address: DatabaseAddress) -> Iterator[None]:
    """Turn the driver's errors into ours, which say whether to wait or to act."""
    try:
        yield
    except psycopg.Error as error:
        text = " ".join(str(error).split())
        if is_away(error):
            raise DatabaseAwayError(f"PostgreSQL {address} is away: {text}") from error
        if is_refused_data(error):
            raise DataRefusedError(f"PostgreSQL {address} cannot hold that: {text}") from error
        raise DatabaseRefusedError(
            f"PostgreSQL {address} refuses: {text}; check user, password and rights, and run"
            " 'claire db migrate'"
        ) from error
