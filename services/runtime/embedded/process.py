"""One server process of ours: started under a lock, logged to a file, never left behind."""

import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from random import randrange

from services.runtime.embedded.unprivileged import SystemUser

_PR_SET_PDEATHSIG = 1
_LOG_TAIL_LINES = 12
_POLL_SECONDS = 0.02
_LOWEST_PORT = 20_000
_PORTS = 12_000
_ports = count(randrange(_PORTS))  # noqa: S311 - spreads processes only


class EmbeddedServerError(RuntimeError):
    """An embedded server did not start or stop; the message says why and what to do."""


def free_port() -> int:
    """A loopback TCP port that nobody listens on at this moment, another one each time.

    It lies below those from which the system takes the near ends of outgoing connections: one of
    these may not take it before it is used.

    Raises:
        EmbeddedServerError: Somebody listens on all of them.
    """
    for _ in range(_PORTS):
        port = _LOWEST_PORT + next(_ports) % _PORTS
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe,
            contextlib.suppress(OSError),
        ):
            probe.bind(("127.0.0.1", port))
            return port
    highest = _LOWEST_PORT + _PORTS - 1
    raise EmbeddedServerError(
        f"no port from {_LOWEST_PORT} to {highest} is free on 127.0.0.1; stop what listens there"
    )


def die_with_parent(parent_pid: int, death_signal: int) -> Callable[[], None] | None:
    """What a child runs before its exec so that it does not survive a killed parent."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def in_child() -> None:
        prctl(_PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent_pid:  # it died between fork and prctl
            os._exit(1)

    return in_child


class ServerProcess:
    """A server that belongs to this process.

    The lock file's descriptor is inherited by the server, so the lock is free only when the
    server itself is gone, even if the process that started it was killed. On Linux the kernel
    stops the server when the thread that called ``start`` ends: call it from the main thread.

    Args:
        name: What the server is called in messages.
        home: Folder for the lock; exists.
        log: File that the server's output is appended to.
        stop_signals: Signals for stopping, mildest first, each with the seconds to wait for it.
    """

    def __init__(
        self,
        name: str,
        home: Path,
        log: Path,
        stop_signals: Sequence[tuple[signal.Signals, float]],
    ) -> None:
        self.name = name
        self.log = log
        self._lock_path = home / f"{name}.lock"
        self._stop_signals = stop_signals
        self._process: subprocess.Popen[bytes] | None = None
        self._lock_fd: int | None = None

    @property
    def pid(self) -> int | None:
        """The server's process id while it is started, else ``None``."""
        return self._process.pid if self._process else None

    def running(self) -> bool:
        """Whether the server was started and has not exited."""
        return self._process is not None and self._process.poll() is None

    def lock(self, timeout: float = 15.0) -> None:
        """Take the home for ourselves; a leftover server that is still stopping is waited for.

        Raises:
            EmbeddedServerError: Another run holds it.
        """
        if self._lock_fd is not None:
            return
        descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < deadline:
                    time.sleep(_POLL_SECONDS)
                    continue
                holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
                os.close(descriptor)
                raise EmbeddedServerError(
                    f"{self._lock_path} is locked by a running {self.name} (pid {holder}): another"
                    " run uses this home; stop it, or choose another home"
                ) from None
            self._lock_fd = descriptor
            return

    def start(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        environment: Mapping[str, str] | None = None,
        user: SystemUser | None = None,
        inherit: tuple[int, ...] = (),
    ) -> None:
        """Start the server in a session of its own, so that Ctrl-C reaches only us.

        Raises:
            EmbeddedServerError: The home is in use, or the program cannot be executed.
        """
        self.lock()
        assert self._lock_fd is not None
        with self.log.open("ab") as log:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own fixed command
                    list(command),
                    cwd=cwd,
                    env=dict(environment) if environment is not None else None,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    pass_fds=(self._lock_fd, *inherit),
                    # Safe with threads: it calls prctl and getppid, and takes no lock.
                    preexec_fn=die_with_parent(  # noqa: PLW1509
                        os.getpid(), self._stop_signals[0][0]
                    ),
                    user=user.uid if user else None,
                    group=user.gid if user else None,
                    extra_groups=() if user else None,
                    umask=0o077,
                )
            except OSError as error:
                self._unlock()
                raise EmbeddedServerError(
                    f"cannot start {self.name} ({command[0]}): {error.strerror or error}"
                ) from error
        os.ftruncate(self._lock_fd, 0)
        os.pwrite(self._lock_fd, f"{self._process.pid}\n".encode(), 0)

    def wait_ready(self, ready: Callable[[], bool], timeout: float) -> None:
        """Wait until ``ready()``, at most ``timeout`` seconds.

        Raises:
            EmbeddedServerError: It exited, or the time is over; with the end of its log.
        """
        deadline = time.monotonic() + timeout
        while not ready():
            if not self.running():
                code = self._process.returncode if self._process else None
                self._unlock()
                raise EmbeddedServerError(f"{self.name} exited with {code}; {self.log_tail()}")
            if time.monotonic() > deadline:
                self.stop()
                raise EmbeddedServerError(
                    f"{self.name} was not ready after {timeout:g} s; {self.log_tail()}"
                )
            time.sleep(_POLL_SECONDS)

    def log_tail(self) -> str:
        """The last lines of the log, for an error message."""
        try:
            lines = self.log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
        except OSError:
            lines = []
        return f"its log {self.log} ends with:\n" + "\n".join(lines)

    def kill(self) -> None:
        """SIGKILL the server's whole session, as a power cut would; for tests of recovery."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(timeout=10)
        self._unlock()

    def stop(self) -> None:
        """Stop the server, mildly first; returns when it is gone. Safe to call twice."""
        process = self._process
        if process is not None:
            for stop_signal, seconds in (*self._stop_signals, (signal.SIGKILL, 10.0)):
                if process.poll() is not None:
                    break
                process.send_signal(stop_signal)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=seconds)
        self._unlock()

    def _unlock(self) -> None:
        self._process = None
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None
