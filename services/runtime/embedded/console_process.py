"""The web console as a child process, whose end disturbs no service."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

from services.runtime.bus.redis.address import RedisAddress
from services.runtime.database.address import DatabaseAddress
from services.runtime.embedded.process import die_with_parent

MODULE: Final = "services.console"
STOP_SECONDS: Final = 3.0
"""Longer than the console takes to end its streams."""


class ConsoleProcess:
    """Starts the console and stops it. What it logs goes where this process logs.

    On Linux it ends with the thread that started it: start it from the main thread.

    Args:
        host: Address to listen on.
        port: TCP port.
        label: Name of the system, for the page.
        bus: As a user that may command.
        database: As a role that may read.
        services: Service name to base URL.
        token: What a person enters before an action.
        token_place: Where a person finds it.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        label: str,
        bus: RedisAddress,
        database: DatabaseAddress,
        services: Mapping[str, str],
        token: str,
        token_place: str,
    ) -> None:
        sources = {
            "label": label,
            "bus": asdict(bus),
            "database": asdict(database),
            "services": dict(services),
            "token": token,
            "token_place": token_place,
        }
        order = {"sources": sources, "host": host, "port": port}
        self._order = json.dumps(order).encode() + b"\n"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """What it ended with; None while it runs, or was never started."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start it, for the first time or again."""
        process = subprocess.Popen(  # noqa: S603 - a module of this program
            (sys.executable, "-m", MODULE),
            stdin=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=die_with_parent(os.getpid(), signal.SIGTERM),  # noqa: PLW1509
        )
        self._process = process
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended at once; `exit_code` says so
            process.stdin.write(self._order)
            process.stdin.close()

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self, seconds: float = STOP_SECONDS) -> int | None:
        """End it: SIGTERM, and SIGKILL if it is still there later; returns its exit code."""
        if self._process is None:
            return None
        self._process.terminate()
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
        return self._process.returncode
