"""The folder of an embedded run: who uses it, its passwords, and where its servers listen."""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

DEFAULT_HOME = ".claire"
_OWN_FOLDERS = ("redis", "postgres", "logs")
_OWN_FILES = (
    "passwords.json",
    "postgres.password",
    "session.json",
    "redis.log",
    "postgres.log",
    "redis.lock",
    "postgres.lock",
)


class HomeError(RuntimeError):
    """The home cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Session:
    """Where the servers and services of a running embedded system listen.

    Attributes:
        pid: Process that runs it.
        redis_port, postgres_port: On loopback.
        services: Service name to base URL.
    """

    pid: int
    redis_port: int
    postgres_port: int
    services: Mapping[str, str]


class Home:
    """A folder such as ``.claire``.

    Args:
        folder: Need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Home":
        """The home that ``CLAIRE_HOME`` names, ``.claire`` in the working folder without it."""
        return cls(Path(environ.get("CLAIRE_HOME") or DEFAULT_HOME))

    @property
    def logs(self) -> Path:
        """One log per service."""
        return self.folder / "logs"

    @property
    def has_data(self) -> bool:
        """Whether a run has left anything here."""
        return (self.folder / "redis").is_dir() and (self.folder / "postgres").is_dir()

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Hold the home for this process.

        Raises:
            HomeError: Another process holds it, or it cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.folder / "claire.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise HomeError(
                f"cannot write to {self.folder} ({error.strerror}); set CLAIRE_HOME to a folder"
                " that you may write and that has space"
            ) from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise HomeError(
                    f"another run uses {self.folder}; stop it, or set CLAIRE_HOME to another folder"
                ) from None
            yield
        finally:
            os.close(descriptor)

    def clear(self) -> None:
        """Remove what runs left here, and nothing else. Only while it is `taken`.

        Raises:
            HomeError: Something cannot be removed.
        """
        try:
            for name in _OWN_FOLDERS:
                if (self.folder / name).exists():
                    shutil.rmtree(self.folder / name)
            for name in _OWN_FILES:
                (self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise HomeError(
                f"cannot remove {error.filename} ({error.strerror}); remove it yourself, or set"
                " CLAIRE_HOME to another folder"
            ) from error

    def passwords(self, names: tuple[str, ...]) -> dict[str, str]:
        """A password for each name: the one kept from before, else a new one.

        Args:
            names: Users and roles of the servers.
        """
        path = self.folder / "passwords.json"
        kept: dict[str, str] = json.loads(path.read_text("utf-8")) if path.exists() else {}
        missing = [name for name in names if name not in kept]
        if missing:
            kept |= {name: secrets.token_urlsafe(32) for name in missing}
            _write_private(path, json.dumps(kept, indent=1))
        return {name: kept[name] for name in names}

    @contextlib.contextmanager
    def published(self, session: Session) -> Iterator[None]:
        """Publish the addresses of this session's servers for other commands."""
        path = self.folder / "session.json"
        _write_private(path, json.dumps(asdict(session), indent=1))
        try:
            yield
        finally:
            path.unlink(missing_ok=True)

    def session(self) -> Session | None:
        """The session that runs in this home; None when none does."""
        try:
            session = Session(**json.loads((self.folder / "session.json").read_text("utf-8")))
            os.kill(session.pid, 0)
        except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
            return None  # never started, or killed before it could tidy up
        except PermissionError:
            pass  # another user's process: it does run
        return session


def _write_private(path: Path, text: str) -> None:
    """Replace a file that only its owner may read, whole or not at all."""
    unfinished = path.with_suffix(".new")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    unfinished.replace(path)
