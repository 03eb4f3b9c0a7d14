"""The database's schema: numbered SQL files, applied once each, and the roles they grant to."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from services.runtime.database.connections import (
    Connection,
    DatabaseAddress,
    DatabaseRefusedError,
    connect,
    translated,
)

FOLDER: Final = Path(__file__).parents[3] / "backoffice" / "migrations"
READERS: Final = ("claire_grafana", "cdb_console")
"""Roles that only read."""
SERVICE_ROLES: Final = ("cdb_execution", "cdb_db_writer", "cdb_paper_runner", *READERS)
"""Roles beside the owner: each writes its own tables only."""
CONNECTION_LIMITS: Final = dict.fromkeys(READERS, 10)
"""Connections that a role may hold. People and their browsers make the readers ask; they must
not take every connection there is."""

_LOCK: Final = 0x636C61697265  # "claire": one migration at a time in a database
_LOCK_TIMEOUT_SEC: Final = 60
_FILE_NAME: Final = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")


class MigrationError(DatabaseRefusedError):
    """The migration files and the database do not fit each other; the message says how."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    version: int
    name: str
    statements: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the statements, the same for LF and CRLF files."""
        return hashlib.sha256(self.statements.encode()).hexdigest()


def load(folder: Path = FOLDER) -> list[Migration]:
    """All migrations, in order.

    Raises:
        MigrationError: A file is misnamed, or the numbers are not 1, 2, 3, ...
    """
    found: list[Migration] = []
    for path in sorted(folder.glob("*.sql")):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"{path}: a migration is named like 0001_what_it_does.sql")
        # Read as text: line ends must not change the checksum.
        found.append(Migration(int(match[1]), match[2], path.read_text(encoding="utf-8")))
    numbers = [migration.version for migration in found]
    if numbers != list(range(1, len(found) + 1)):
        raise MigrationError(f"{folder}: migrations must be numbered 1, 2, 3, .. but are {numbers}")
    return found


def migrate(
    owner: DatabaseAddress,
    *,
    role_passwords: Mapping[str, str] | None = None,
    folder: Path = FOLDER,
) -> list[Migration]:
    """Bring a database to the newest schema; safe to run twice, and at the same time.

    Args:
        owner: The database, as its owner, who may create roles.
        role_passwords: Password of each of ``SERVICE_ROLES``; a role without one cannot log in.
        folder: The migration files.

    Returns:
        What was applied now.

    Raises:
        DatabaseAwayError: The server does not answer; try again.
        DatabaseRefusedError: The owner may not do it, or a statement failed.
        MigrationError: An applied file was changed, or the database is newer than this program.
    """
    migrations = load(folder)
    with connect(owner, application="claire-migrate") as connection, translated(owner):
        # An index over a year of ticks takes its time; waiting for another migration does not.
        connection.execute(f"SET statement_timeout = 0; SET lock_timeout = '{_LOCK_TIMEOUT_SEC}s'")
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        connection.commit()
        _ensure_roles(connection, owner, role_passwords or {})
        connection.commit()
        applied = _applied(connection)
        _check(migrations, applied)
        done = []
        for migration in migrations:
            if migration.version not in applied:
                _apply(connection, migration)
                done.append(migration)
        return done


def require_current(connection: Connection, folder: Path = FOLDER) -> None:
    """Check that a database has the schema that this program was written for.

    Raises:
        DatabaseRefusedError: It has an older one, or none.
        MigrationError: It has a newer or another one.
    """
    migrations = load(folder)
    try:
        applied = _recorded(connection)
    except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
        applied = {}
    finally:
        connection.rollback()
    _check(migrations, applied)
    missing = [m.version for m in migrations if m.version not in applied]
    if missing:
        raise DatabaseRefusedError(
            f"the database is at schema {max(applied, default=0)} and this program needs"
            f" {migrations[-1].version}: run 'claire db migrate', or start cdb_db_writer, which"
            " does it"
        )


def _applied(connection: Connection) -> dict[int, str]:
    connection.execute(
        """
        CREATE TABLE IF NOT EXISTS schema_migrations (
            version integer PRIMARY KEY,
            name text NOT NULL,
            checksum text NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT now()
        )
        """
    )
    connection.commit()
    return _recorded(connection)


def _recorded(connection: Connection) -> dict[int, str]:
    rows = connection.execute("SELECT version, checksum FROM schema_migrations").fetchall()
    return dict(rows)


def _check(migrations: list[Migration], applied: Mapping[int, str]) -> None:
    known = {migration.version: migration for migration in migrations}
    for version, checksum in sorted(applied.items()):
        if version not in known:
            raise MigrationError(
                f"the database is at schema {version}, newer than this program"
                f" ({len(migrations)}): update the program"
            )
        if known[version].checksum != checksum:
            raise MigrationError(
                f"migration {version:04d}_{known[version].name} was changed after it was applied:"
                " restore the file, and put the change into a new migration"
            )


def _apply(connection: Connection, migration: Migration) -> None:
    """One file and the record of it, in one transaction."""
    try:
        connection.execute(migration.statements.encode())
        connection.execute(
            "INSERT INTO schema_migrations (version, name, checksum) VALUES (%s, %s, %s)",
            (migration.version, migration.name, migration.checksum),
        )
        connection.commit()
    except psycopg.Error as error:
        connection.rollback()
        error.add_note(f"in migration {migration.version:04d}_{migration.name}")
        raise


def _ensure_roles(
    connection: Connection, owner: DatabaseAddress, passwords: Mapping[str, str]
) -> None:
    unknown = set(passwords) - set(SERVICE_ROLES)
    if unknown:
        raise MigrationError(f"no such role: {', '.join(sorted(unknown))}")
    for role in SERVICE_ROLES:
        try:
            with connection.transaction():
                connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
        except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
            pass  # roles belong to the server: another database may have made it
        if role in CONNECTION_LIMITS:
            _limit_connections(connection, role, CONNECTION_LIMITS[role])
        if role in passwords:
            _set_password(connection, role, passwords[role])
        connection.execute(
            sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
                sql.Identifier(owner.database), sql.Identifier(role)
            )
        )
    connection.execute(
        sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(owner.database))
    )


def _limit_connections(connection: Connection, role: str, limit: int) -> None:
    statement = "SELECT 1 FROM pg_roles WHERE rolname = %s AND rolconnlimit = %s"
    if connection.execute(statement, (role, limit)).fetchone() is None:
        connection.execute(
            sql.SQL("ALTER ROLE {} CONNECTION LIMIT {}").format(
                sql.Identifier(role), sql.Literal(limit)
            )
        )


def _set_password(connection: Connection, role: str, password: str) -> None:
    # Hashed here, so that the password itself reaches neither the wire nor the server's log.
    hashed = connection.pgconn.encrypt_password(
        password.encode(), role.encode(), b"scram-sha-256"
    ).decode()
    connection.execute(
        sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), sql.Literal(hashed))
    )
