"""A private Redis-compatible server: durable, bounded, with access rules, on loopback."""

import hashlib
import os
import secrets
import signal
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from services.runtime.bus.redis import acl, functions
from services.runtime.bus.redis.address import RedisAddress
from services.runtime.bus.redis.connection import ReplyError, Unavailable
from services.runtime.embedded.binaries import redis_program
from services.runtime.embedded.process import EmbeddedServerError, ServerProcess, free_port

_USERS = "users.acl"
_SUPERVISOR = "embedded_supervisor"
_ASKS = "+ping +client|setname"
_STARTS = f"{_ASKS} +acl|load +function|load +fcall_ro"
_START_ATTEMPTS = 3
_MALLOC = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=2000"}
"""For builds without an allocator of their own: a burst of events is thousands of equal blocks,
and keeping them at hand takes a sixth off the server's time. Others ignore it."""


class EmbeddedRedis:
    """Redis or Valkey in a folder of its own; a context manager.

    Every write is on disk before its answer (``appendfsync always``), memory is bounded and
    nothing is evicted: the journal must refuse rather than forget.

    Args:
        home: Folder of the embedded run; the data goes into ``home/redis``.
        acl_text: Text of the ACL file. It must define ``user default``: without a rule the server
            would let everybody in.
        maxmemory_mb: Memory limit in MiB.
        options: Further configuration directives, for tests.
        ready_timeout: Seconds to wait for a start, loading of the data included.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        home: Path,
        acl_text: str,
        *,
        maxmemory_mb: int = 1024,
        options: Mapping[str, str] | None = None,
        ready_timeout: float = 60.0,
    ) -> None:
        if not any(line.split()[:2] == ["user", "default"] for line in acl_text.splitlines()):
            raise ValueError("acl_text has no 'user default' rule: anybody could connect")
        self.port = 0
        self._home = home.absolute()
        self._folder = self._home / "redis"
        self._acl_text = acl_text
        self._maxmemory_mb = maxmemory_mb
        self._options = dict(options or {})
        self._ready_timeout = ready_timeout
        self._supervisor_password = secrets.token_urlsafe(32)
        self._process = ServerProcess(
            "redis", self._home, self._home / "redis.log", ((signal.SIGTERM, 10.0),)
        )

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self._process.log

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._process.pid

    def start(self) -> Self:
        """Start the server on its port (a new free one the first time) and wait until it answers.

        Raises:
            EmbeddedServerError: It did not start; with its log.
            NoServerBinaryError: There is no server program.
        """
        program = redis_program()
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._process.lock()
            self._write_private(self._folder / _USERS, acl.while_loading(self._supervisor(_STARTS)))
        except OSError as error:
            raise EmbeddedServerError(
                f"cannot write {error.filename or self._folder}: {error.strerror}; choose a home"
                " that you may write and that has space"
            ) from error
        for attempt in range(1, _START_ATTEMPTS + 1):
            self.port = self.port or free_port()
            self._write_private(self._folder / "redis.conf", self._configuration())
            self._process.start(
                [str(program), "redis.conf"], cwd=self._folder, environment=_MALLOC | os.environ
            )
            try:
                self._process.wait_ready(self._opens, self._ready_timeout)
                break
            except EmbeddedServerError as error:
                # Somebody may have taken the port between our look and the server's bind.
                if attempt == _START_ATTEMPTS or "Address already in use" not in str(error):
                    raise
                self.port = 0
            except ReplyError as refused:
                self.stop()
                raise EmbeddedServerError(
                    f"Redis refuses its functions or users: {refused}"
                ) from refused
        return self

    def stop(self) -> None:
        """Stop the server; its data stays."""
        self._process.stop()

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

    def _supervisor(self, rights: str) -> str:
        digest = hashlib.sha256(self._supervisor_password.encode()).hexdigest()
        return f"user {_SUPERVISOR} on #{digest} resetkeys -@all {rights}"

    def _configuration(self) -> str:
        directives = {
            "bind": self.host,
            "port": str(self.port),
            "protected-mode": "yes",
            "daemonize": "no",
            "dir": ".",
            "aclfile": _USERS,
            "save": '""',
            "appendonly": "yes",
            "appendfsync": "always",
            "maxmemory": f"{self._maxmemory_mb}mb",
            "maxmemory-policy": "noeviction",
            "proto-max-bulk-len": "64mb",
            "busy-reply-threshold": "1000",
            "client-output-buffer-limit": "pubsub 64mb 32mb 30",
            "tcp-backlog": "128",
        }
        directives.update(self._options)
        return "".join(f"{name} {value}\n" for name, value in directives.items())

    @staticmethod
    def _write_private(path: Path, text: str) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)

    def _opens(self) -> bool:
        """Load the functions, and let the users in; False while the server loads its data."""
        address = RedisAddress(self.host, self.port, _SUPERVISOR, self._supervisor_password)
        try:
            connection = address.connect(_SUPERVISOR)
        except Unavailable:
            return False
        try:
            connection.call("PING")
            functions.load(connection)
            rules = f"{self._acl_text.rstrip()}\n{self._supervisor(_ASKS)}\n"
            self._write_private(self._folder / _USERS, rules)
            connection.call("ACL", "LOAD")
        except Unavailable:
            return False
        finally:
            connection.close()
        return True
