"""A private PostgreSQL server: durable, password-protected, on loopback."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql

from services.runtime.database.connections import DatabaseAddress
from services.runtime.embedded.binaries import PostgresPrograms, postgres_programs
from services.runtime.embedded.process import EmbeddedServerError, ServerProcess, free_port
from services.runtime.embedded.unprivileged import SystemUser, reachable_copy

DATABASE = "claire_de_binare"
OWNER = "claire_user"
_START_ATTEMPTS = 3
_OPEN_FOLDERS = "/proc/self/fd"

_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "40",
    # A query over a year of ticks takes a lock on every day's partition and index.
    "max_locks_per_transaction": "256",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    # After a crash: a minute of writing to repeat, and one call instead of one fsync per file.
    "checkpoint_timeout": "1min",
    **({"recovery_init_sync_method": "syncfs"} if sys.platform == "linux" else {}),
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
}


class EmbeddedPostgres:
    """PostgreSQL in a folder of its own; a context manager.

    The owner ``claire_user`` is the cluster's superuser, as in the container image. Its password
    is generated once and kept in ``home/postgres.password`` (readable by the owner only).

    As root the server runs as ``postgres`` or ``nobody``, because PostgreSQL insists. The data
    stays in the home even where that user cannot walk to it (a home under ``/root``): the server
    inherits its data folder opened, and finds it at ``/proc/self/fd/N``.

    Args:
        home: Folder of the embedded run; the data goes into ``home/postgres``.
        settings: Further server settings, for tests.
        ready_timeout: Seconds to wait for a start, crash recovery included.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        home: Path,
        *,
        settings: Mapping[str, str] | None = None,
        ready_timeout: float = 120.0,
    ) -> None:
        self.port = 0
        self._home = home.absolute()
        self._folder = self._home / "postgres"
        self._data = self._folder / "data"
        self._settings = {**_SETTINGS, **(settings or {})}
        self._ready_timeout = ready_timeout
        self._password = ""
        self._copied_programs: Path | None = None
        self._data_fd: int | None = None
        self._process = ServerProcess(
            "postgres",
            self._home,
            self._home / "postgres.log",
            # SIGINT is PostgreSQL's fast shutdown, SIGQUIT its immediate one.
            ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0)),
        )

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self._process.log

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._process.pid

    @property
    def address(self) -> DatabaseAddress:
        """The owner's address of the database ``claire_de_binare``."""
        return DatabaseAddress(self.host, self.port, DATABASE, OWNER, self._password)

    def start(self) -> Self:
        """Start the server, creating its data and database the first time.

        Raises:
            EmbeddedServerError: It did not start; with its log.
            NoServerBinaryError: There is no server program for the data that is there.
        """
        try:
            user = SystemUser.to_drop_to()
            self._home.mkdir(parents=True, exist_ok=True)
            self._process.lock()
            programs = postgres_programs(self._existing_version())
            self._prepare_folder(user)
            bin_folder = self._reachable_programs(programs, user)
            data = self._data_argument(user)
            if self._existing_version() is None:
                self._initialise(bin_folder, data, user)
        except (LookupError, OSError) as error:
            self.stop()
            raise EmbeddedServerError(f"cannot prepare PostgreSQL: {error}") from error
        except BaseException:
            self.stop()
            raise
        self._password = self._kept_password()
        self._start_process(bin_folder, data, user)
        self._create_database()
        return self

    def stop(self) -> None:
        """Stop the server; its data stays."""
        self._process.stop()
        if self._data_fd is not None:
            os.close(self._data_fd)
            self._data_fd = None
        if self._copied_programs is not None:
            shutil.rmtree(self._copied_programs, ignore_errors=True)
            self._copied_programs = None

    def kill(self) -> None:
        """Kill the server as a power cut would; ``start`` brings it back on the same port."""
        self._process.kill()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _existing_version(self) -> int | None:
        try:
            return int((self._data / "PG_VERSION").read_text())
        except FileNotFoundError:
            return None

    def _prepare_folder(self, user: SystemUser | None) -> None:
        for folder in (self._folder, self._data):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if user:
                os.chown(folder, user.uid, user.gid)

    def _data_argument(self, user: SystemUser | None) -> str:
        """The data folder as the server's user can reach it."""
        if user is None or user.can_enter(self._data):
            return str(self._data)
        if not Path(_OPEN_FOLDERS).exists():
            raise PermissionError(
                f"{self._home} is closed to the user {user.name} that PostgreSQL runs as; choose a"
                " home that it can enter, or start as an ordinary user"
            )
        if self._data_fd is None:
            self._data_fd = os.open(self._data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"{_OPEN_FOLDERS}/{self._data_fd}"

    def _inherited(self) -> tuple[int, ...]:
        return () if self._data_fd is None else (self._data_fd,)

    def _reachable_programs(self, programs: PostgresPrograms, user: SystemUser | None) -> Path:
        if user is None or user.can_enter(programs.base / programs.bin):
            return programs.base / programs.bin
        if self._copied_programs is None:
            self._copied_programs = reachable_copy(programs.base, programs.parts, user)
        return self._copied_programs / programs.bin

    def _initialise(self, bin_folder: Path, data: str, user: SystemUser | None) -> None:
        password = secrets.token_urlsafe(32)
        with tempfile.NamedTemporaryFile("w", dir=self._folder) as file:
            file.write(password + "\n")
            file.flush()
            if user:
                os.chown(file.name, user.uid, user.gid)
            done = subprocess.run(  # noqa: S603 - our own fixed command
                [
                    str(bin_folder / "initdb"),
                    f"--pgdata={data}",
                    f"--username={OWNER}",
                    f"--pwfile={data}/../{Path(file.name).name}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale=C",
                    "--data-checksums",
                    "--no-instructions",
                ],
                cwd="/",
                env=self._environment(),
                pass_fds=self._inherited(),
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
                user=user.uid if user else None,
                group=user.gid if user else None,
                extra_groups=() if user else None,
                umask=0o077,
            )
        if done.returncode != 0:
            raise EmbeddedServerError(
                f"initdb failed in {self._data}: {(done.stderr or done.stdout).strip()}"
            )
        kept = self._password_file
        kept.touch(mode=0o600)
        kept.write_text(password, encoding="utf-8")

    @property
    def _password_file(self) -> Path:
        return self._home / "postgres.password"

    def _kept_password(self) -> str:
        try:
            return self._password_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            self.stop()
            raise EmbeddedServerError(
                f"{self._password_file}: {error.strerror}; without it the data in {self._data}"
                " cannot be opened: restore it, or begin again with --fresh"
            ) from error

    def _environment(self) -> dict[str, str]:
        # A PGDATA, PGHOST .. of the person who starts us must not lead the server elsewhere.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return {**kept, "LC_ALL": "C", "TZ": "UTC"}

    def _start_process(self, bin_folder: Path, data: str, user: SystemUser | None) -> None:
        for attempt in range(1, _START_ATTEMPTS + 1):
            self.port = self.port or free_port()
            settings = {**self._settings, "port": str(self.port)}
            flags = [flag for name, value in settings.items() for flag in ("-c", f"{name}={value}")]
            command = [str(bin_folder / "postgres"), "-D", data, *flags]
            self._process.start(
                command,
                cwd=Path("/"),
                environment=self._environment(),
                user=user,
                inherit=self._inherited(),
            )
            try:
                self._process.wait_ready(self._answers, self._ready_timeout)
            except EmbeddedServerError as error:
                # Somebody may have taken the port between our look and the server's bind.
                if attempt == _START_ATTEMPTS or "Address already in use" not in str(error):
                    self.stop()
                    raise
                self.port = 0
            else:
                return

    def _maintenance_connection(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=self.host,
            port=self.port,
            dbname="postgres",
            user=OWNER,
            password=self._password,
            connect_timeout=5,
            autocommit=True,
        )

    def _answers(self) -> bool:
        try:
            self._maintenance_connection().close()
        except psycopg.OperationalError:  # refused, or still recovering
            return False
        return True

    def _create_database(self) -> None:
        with self._maintenance_connection() as connection:
            query = "SELECT 1 FROM pg_database WHERE datname = %s"
            if connection.execute(query, (DATABASE,)).fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
