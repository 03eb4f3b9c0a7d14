"""A service as a process of its own, as an operator sees it: environment, HTTP, signals, exit."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.runtime.embedded.process import free_port
from services.runtime.service.http_query import HttpAnswer, get_json
from tests.deadline import DEADLINE_S, wait_until

KEPT = ("PATH", "HOME", "COVERAGE_PROCESS_CONFIG")


class ServiceProcess:
    """``python -m services.NAME`` with exactly the given variables."""

    def __init__(self, service: str, folder: Path, variables: Mapping[str, str]) -> None:
        self.service = service
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"{service}.{time.monotonic_ns()}.log"
        self._variables = {"HTTP_PORT": str(self.port), **variables}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "ServiceProcess":
        keep = {name: os.environ[name] for name in KEPT if name in os.environ}
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"services.{self.service}"],
                env={**keep, "CDB_ENV_FILE": os.devnull, **self._variables},
                cwd=Path(__file__).parents[3],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return self

    def health(self) -> HttpAnswer:
        return get_json(f"{self.url}/health")

    def status(self) -> dict[str, Any]:
        return get_json(f"{self.url}/status").body

    def metric(self, line_start: str) -> float | None:
        """The value of the first sample that starts with this text."""
        for line in self.page("/metrics").splitlines():
            if line.startswith(line_start):
                return float(line.rsplit(" ", 1)[1])
        return None

    def page(self, path: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def wait_answering(self) -> HttpAnswer:
        return wait_until(self._answer, lambda: f"{self.service} answers; log: {self.tail()}")

    def _answer(self) -> HttpAnswer | None:
        self.require_running()
        answer = self.health()
        return answer if answer.status else None

    def wait_health(self, status: int, reason: str = "", seconds: float = DEADLINE_S) -> HttpAnswer:
        """Until /health answers so, with this text among the reasons."""

        def found() -> HttpAnswer | None:
            self.require_running()
            answer = self.health()
            fits = answer.status == status and reason in str(answer.body.get("reason", ""))
            return answer if fits else None

        return wait_until(
            found,
            lambda: f"{self.service} answers {status} {reason!r}; last {self.health()}",
            seconds,
        )

    def require_running(self) -> None:
        assert self._process is not None
        code = self._process.poll()
        assert code is None, f"{self.service} ended with {code}: {self.tail()}"

    def wait_exit(self, seconds: float = DEADLINE_S) -> int:
        assert self._process is not None
        return self._process.wait(seconds)

    def terminate(self) -> int:
        """SIGTERM; the exit code, which must come within the promised 10 s."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(10.0)

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10.0)

    def tail(self) -> str:
        return self.log.read_text("utf-8")[-3000:] if self.log.exists() else ""

    def log_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text("utf-8").splitlines()]
