"""Which of PostgreSQL's errors pass with time, and which a person must see to."""

import psycopg
import pytest

from services.runtime.database.connections import (
    DatabaseAddress,
    DatabaseAwayError,
    DatabaseRefusedError,
    DataRefusedError,
    connect,
    translated,
)

pytestmark = pytest.mark.unit

ADDRESS = DatabaseAddress("127.0.0.1", 1, "claire_de_binare", "claire_user", "the-password")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (psycopg.errors.AdminShutdown("x"), DatabaseAwayError),
        (psycopg.errors.CannotConnectNow("x"), DatabaseAwayError),
        (psycopg.errors.DiskFull("x"), DatabaseAwayError),
        (psycopg.errors.ReadOnlySqlTransaction("x"), DatabaseAwayError),
        (psycopg.errors.QueryCanceled("x"), DatabaseAwayError),
        (psycopg.OperationalError("server closed the connection unexpectedly"), DatabaseAwayError),
        (psycopg.OperationalError("password authentication failed"), DatabaseRefusedError),
        (psycopg.errors.InsufficientPrivilege("x"), DatabaseRefusedError),
        (psycopg.errors.UndefinedTable("x"), DatabaseRefusedError),
        (psycopg.errors.UniqueViolation("x"), DataRefusedError),
        (psycopg.errors.NumericValueOutOfRange("x"), DataRefusedError),
        (psycopg.errors.ProgramLimitExceeded("x"), DataRefusedError),
    ],
)
def test_an_error_says_whether_to_wait_or_to_act(
    error: psycopg.Error, expected: type[Exception]
) -> None:
    with pytest.raises(expected) as raised, translated(ADDRESS):
        raise error
    assert type(raised.value) is expected


def test_nobody_there_is_away_and_no_password_is_shown() -> None:
    with pytest.raises(DatabaseAwayError) as raised:
        connect(ADDRESS, application="test")
    assert "the-password" not in f"{raised.value} {ADDRESS!r} {ADDRESS}"
