"""The `claire` command as a user runs it, in a home of the test's own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.runtime.embedded.home import Home

FINISH_SECONDS = 90
MINUTE_MS = 60_000
START_MS = 1_735_689_600_000
"""2025-01-01 00:00 UTC."""


def _hear_ctrl_c() -> None:
    """As in a terminal: a shell lets what it starts in the background ignore the interrupt."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass
class Claire:
    """Runs commands in one home."""

    folder: Path
    started: list["subprocess.Popen[str]"] = field(default_factory=list)

    @property
    def home(self) -> Home:
        return Home(self.folder / "home")

    def environment(self) -> dict[str, str]:
        return os.environ | {"CLAIRE_HOME": str(self.home.folder)}

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "services.cli.main", *arguments],
            cwd=self.folder,
            env=self.environment() | {"PYTHONPATH": str(Path.cwd())},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_hear_ctrl_c,  # noqa: PLW1509 - no threads between fork and exec here
        )
        self.started.append(process)
        return process

    def run(
        self, *arguments: str, seconds: float = FINISH_SECONDS
    ) -> "subprocess.CompletedProcess[str]":
        process = self.start(*arguments)
        out, err = process.communicate(timeout=seconds)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def result(self, *arguments: str, seconds: float = FINISH_SECONDS) -> dict[str, Any]:
        """The JSON object that a command that must succeed prints last."""
        done = self.run(*arguments, seconds=seconds)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


@contextmanager
def commands_in(folder: Path) -> Iterator[Claire]:
    """A command line whose processes are gone afterwards."""
    commands = Claire(folder)
    try:
        yield commands
    finally:
        for process in commands.started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=60)
