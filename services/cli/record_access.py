"""Which record a command reads: a file, the embedded run's database, or the compose stack's."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import click

from services.cli.failure import BadInput, Failure
from services.cli.target import Where, compose_answers, environment_values
from services.record.database import DatabaseRecord
from services.record.exported import ExportedRecord
from services.record.reading import Record, RecordError
from services.runtime.database.connections import (
    DatabaseAddress,
    DatabaseAwayError,
    DatabaseRefusedError,
    connect_to_read,
)
from services.runtime.embedded.binaries import NoServerBinaryError
from services.runtime.embedded.home import Home, HomeError
from services.runtime.embedded.postgres_server import DATABASE, OWNER, EmbeddedPostgres
from services.runtime.embedded.process import EmbeddedServerError

READER: Final = "claire_grafana"
"""The role that may read everything and change nothing."""

Command = TypeVar("Command", bound=Callable[..., object])


run_option = click.option(
    "--run", "run_id", help="One run: its id, the beginning of it, or `last`."
)
"""For every command that may be asked about one run of a record."""


def record_options(command: Command) -> Command:
    """For every command that reads a record: ``--on`` and ``--file``."""
    command = click.option(
        "--file",
        "file",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="A file that `claire export` wrote, instead of a database.",
    )(command)
    return click.option(
        "--on",
        "where",
        type=click.Choice(["embedded", "compose"]),
        help="Which database; without it the embedded run's if there is one, else the compose"
        " stack's.",
    )(command)


@contextmanager
def open_record(where: Where | None, file: Path | None) -> Iterator[Record]:
    """The record that the options name, as of now.

    Raises:
        Failure: There is none, or it cannot be read.
    """
    with _failures():
        if file is not None:
            if where is not None:
                raise BadInput("--file and --on name two records; give one of them")
            yield ExportedRecord(file)
            return
        with open_database_record(where) as record:
            yield record


@contextmanager
def open_database_record(where: Where | None) -> Iterator[DatabaseRecord]:
    """The record in a database, in one consistent view.

    Raises:
        Failure: There is none, or it cannot be read.
    """
    with _failures(), record_database(where) as address:
        connection = connect_to_read(address, application="claire")
        with connection:
            record = DatabaseRecord(connection)
            try:
                yield record
            finally:
                record.close()


@contextmanager
def record_database(where: Where | None, *, owner: bool = False) -> Iterator[DatabaseAddress]:
    """Where the record's database listens; an idle embedded one is started for as long as needed.

    Args:
        where: Which; None as the option's help says.
        owner: As the database's owner, to change it; else as one who reads.

    Raises:
        Failure: There is none.
    """
    home = Home.from_environment(os.environ)
    if where == "compose" or (where is None and not _has_record(home) and compose_answers()):
        yield compose_database(OWNER if owner else READER)
        return
    session = home.session()
    if session is not None:
        password = (home.folder / "postgres.password").read_text("utf-8").strip()
        yield DatabaseAddress("127.0.0.1", session.postgres_port, DATABASE, OWNER, password)
        return
    if not _has_record(home):
        raise Failure(
            f"nothing is recorded in {home.folder}: `claire run-paper` makes a record there, or"
            " CLAIRE_HOME names another folder, or --on compose reads the containers' database"
        )
    with _failures(), home.taken(), EmbeddedPostgres(home.folder) as server:
        yield server.address


def _has_record(home: Home) -> bool:
    return (home.folder / "postgres" / "data").is_dir()


def compose_database(user: str) -> DatabaseAddress:
    """The compose stack's database, as it is reached from this machine.

    Raises:
        Failure: The password of that role is not set.
    """
    values = environment_values()
    name = "POSTGRES_PASSWORD" if user == OWNER else f"POSTGRES_PASSWORD_{user.upper()}"
    if name not in values:
        raise Failure(f"{name} is not set; `claire init` writes it into .env and secrets/")
    host = values.get("POSTGRES_HOST", "127.0.0.1")
    port = int(values.get("POSTGRES_HOST_PORT") or values.get("POSTGRES_PORT") or 5432)
    return DatabaseAddress(host, port, DATABASE, user, values[name])


@contextmanager
def _failures() -> Iterator[None]:
    """What may go wrong with a record, as one line."""
    try:
        yield
    except (
        RecordError,
        DatabaseAwayError,
        DatabaseRefusedError,
        EmbeddedServerError,
        NoServerBinaryError,
        HomeError,
    ) as error:
        raise Failure(str(error)) from None
