"""The console of an embedded run: a process beside the services, whose end disturbs nobody."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

from services.runtime.bus.redis.address import RedisAddress
from services.runtime.database.address import DatabaseAddress
from services.runtime.embedded.process import die_with_parent

MODULE: Final = "services.console"
STOP_SECONDS: Final = 10.0
RESTARTS_ALLOWED: Final = 5


class ConsoleProcess:
    """Starts the console, starts it again when it ends, and stops it.

    Args:
        log: File that gets what it writes.
        port: Where it listens, on loopback.
        label: Name of the system, for the page.
        bus: As a user that may command.
        database: As a role that may read.
        services: Service name to base URL.
        token: What a person enters before an action.
        token_place: Where a person finds it.
    """

    def __init__(
        self,
        log: Path,
        port: int,
        *,
        label: str,
        bus: RedisAddress,
        database: DatabaseAddress,
        services: dict[str, str],
        token: str,
        token_place: str,
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._log = log
        sources = {
            "label": label,
            "bus": asdict(bus),
            "database": asdict(database),
            "services": services,
            "token": token,
            "token_place": token_place,
        }
        order = {"sources": sources, "host": "127.0.0.1", "port": port}
        self._order = json.dumps(order).encode() + b"\n"
        self._restarts = 0
        self._process = self._spawn()

    def watch(self) -> list[str]:
        """Start it again if it ended; a line for people when that was done or given up."""
        code = self._process.poll()
        if code is None or self._restarts > RESTARTS_ALLOWED:
            return []
        self._restarts += 1
        if self._restarts > RESTARTS_ALLOWED:
            return [f"the console ended {self._restarts} times and stays away (log: {self._log})"]
        self._process = self._spawn()
        return [f"the console ended with code {code} and was started again (log: {self._log})"]

    def kill(self) -> None:
        """SIGKILL; `watch` starts it again."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """End it: SIGTERM, and SIGKILL if it is still there later; returns its exit code."""
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(STOP_SECONDS)
        self.kill()
        return self._process.returncode

    def _spawn(self) -> "subprocess.Popen[bytes]":
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - a module of this program
                (sys.executable, "-m", MODULE),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent(os.getpid(), signal.SIGTERM),  # noqa: PLW1509
            )
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended at once; `watch` sees it
            process.stdin.write(self._order)
            process.stdin.close()
        return process
