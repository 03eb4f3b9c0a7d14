"""A home with one recorded run whose database runs, and commands that ask it in this process."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from click.testing import CliRunner, Result

from services.cli.main import claire as command_line
from services.runtime.database.connections import DatabaseAddress
from services.runtime.embedded.home import Home, Session
from services.runtime.embedded.postgres_server import EmbeddedPostgres
from tests.claire_command import commands_in


def claire(home: Path, *arguments: object) -> Result:
    """One command, in this process."""
    return CliRunner().invoke(
        command_line,
        [str(argument) for argument in arguments],
        env={"CLAIRE_HOME": str(home), "CDB_ENV_FILE": os.devnull},
    )


@dataclass(frozen=True)
class Recorded:
    """A home with one run.

    Attributes:
        run: What `claire run-paper` said of it.
        verified: What `claire verify` said while no server ran.
        file: The whole record, exported.
    """

    home: Path
    address: DatabaseAddress
    run: Mapping[str, Any]
    verified: Mapping[str, Any]
    file: Path

    def result(self, *arguments: object, code: int = 0) -> Any:
        """The JSON of a command that ends with that code."""
        done = claire(self.home, *arguments, "--json")
        assert done.exit_code == code, done.output
        return json.loads(done.stdout.splitlines()[-1])

    def text(self, *arguments: object, code: int = 0) -> str:
        """What a command prints for people."""
        done = claire(self.home, *arguments)
        assert done.exit_code == code, done.output
        return done.stdout

    def query(self, statement: str, *parameters: object) -> list[Any]:
        """Rows, read as the owner."""
        with self._connected() as connection:
            return connection.execute(statement.encode(), parameters).fetchall()

    def change(self, statement: str, *parameters: object) -> None:
        """What a thief with superuser rights can do."""
        with self._connected() as connection:
            connection.execute("SET session_replication_role = replica")
            changed = connection.execute(statement.encode(), parameters)
            assert changed.rowcount == 1

    def _connected(self) -> "psycopg.Connection[Any]":
        address = self.address
        return psycopg.connect(
            host=address.host,
            port=address.port,
            dbname=address.database,
            user=address.user,
            password=address.password,
        )


@contextmanager
def recorded_in(folder: Path, data: Path, *options: str) -> Iterator[Recorded]:
    """Replay a market, verify it at rest, then start its database as a session that commands find.

    Args:
        folder: For home and files.
        data: What is replayed, in lock-step.
        options: Further ones of `claire run-paper`.
    """
    with commands_in(folder) as commands:
        run = commands.result(
            "run-paper", "--data", str(data), "--speed", "max", "--fresh", "--json", *options
        )
        verified = commands.result("verify", "--json")
        home = Home(commands.home.folder)
    with home.taken(), EmbeddedPostgres(home.folder) as server:
        session = Session(os.getpid(), 0, server.address.port, {})
        with home.published(session):
            file = folder / "record.jsonl.gz"
            exported = claire(home.folder, "export", "--out", file, "--json")
            assert exported.exit_code == 0, exported.output
            yield Recorded(home.folder, server.address, run, verified, file)
