"""Child processes under supervision: started together, watched, and all gone at the end."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from services.runtime.embedded.process import die_with_parent

STOP_SECONDS = 12.0
"""Services promise to stop within 10 s of SIGTERM; then they are killed."""
KILL_SECONDS = 5.0
LAST_LINES_BYTES = 8192
RESTARTS_ALLOWED = 5
RESTART_WINDOW_SECONDS = 60.0


class ChildFailedError(RuntimeError):
    """A child ended that should run, too often or with a code that says it cannot work."""


@dataclass(slots=True)
class _Child:
    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes]
    restarts: list[float] = field(default_factory=list)


class Supervisor:
    """Runs named commands; leaving its context stops them all.

    Start children from the main thread only: the kernel takes the end of the thread that forked
    a child for the death of its parent.

    Args:
        log_folder: Gets one ``NAME.log`` per child, with all that it writes.
    """

    def __init__(self, log_folder: Path) -> None:
        self._log_folder = log_folder
        self._children: dict[str, _Child] = {}
        self._death_signal = die_with_parent(os.getpid(), signal.SIGTERM)

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def running(self) -> dict[str, int]:
        """Name to process id of the children that run."""
        return {
            name: child.process.pid
            for name, child in self._children.items()
            if child.process.poll() is None
        }

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start one child in a session of its own, so that Ctrl-C does not reach it directly."""
        self._log_folder.mkdir(parents=True, exist_ok=True)
        log = self._log_folder / f"{name}.log"
        process = self._spawn(command, environment, log)
        self._children[name] = _Child(name, command, environment, log, process)

    def _spawn(
        self, command: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> "subprocess.Popen[bytes]":
        with log.open("ab") as output:
            return subprocess.Popen(  # noqa: S603 - commands come from this program
                command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=self._death_signal,  # noqa: PLW1509 - made to be safe, see above
            )

    def watch(self) -> list[str]:
        """Restart the children that were killed or crashed.

        Returns:
            A line for each restart.

        Raises:
            ChildFailedError: A child ended with code 1 (it said why: nothing changes by starting it
                again), or crashed too often.
        """
        return [self._revive(child) for child in self._children.values() if _has_ended(child)]

    def _revive(self, child: _Child) -> str:
        code = child.process.returncode
        now = time.monotonic()
        child.restarts = [at for at in child.restarts if now - at < RESTART_WINDOW_SECONDS]
        if code == 1 or len(child.restarts) >= RESTARTS_ALLOWED:
            raise ChildFailedError(
                f"{child.name} ended with code {code}: {self.last_line(child.name)}"
            )
        child.restarts.append(now)
        child.process = self._spawn(child.command, child.environment, child.log)
        return f"{child.name} ended with code {code} and was started again (log: {child.log})"

    def last_line(self, name: str) -> str:
        """The last thing that a child wrote."""
        log = self._children[name].log
        with log.open("rb") as written:
            written.seek(max(0, log.stat().st_size - LAST_LINES_BYTES))
            lines = [line for line in written.read().splitlines() if line.strip()]
        if not lines:
            return f"it wrote nothing (log: {log})"
        return f"{_in_short(lines[-1].decode(errors='replace'))} (log: {log})"

    def kill(self, *names: str) -> None:
        """SIGKILL children, all at once; `watch` starts them again."""
        for name in names:
            _signal(self._children[name], signal.SIGKILL)

    def stop(self, *names: str) -> None:
        """End children: SIGTERM to all, and SIGKILL to those that are still there later.

        Args:
            names: Which; all that are left when empty.
        """
        chosen = [self._children.pop(name) for name in names or tuple(self._children)]
        for child in chosen:
            _signal(child, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for child in chosen:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.0, deadline - time.monotonic()))
        for child in chosen:
            if child.process.poll() is None:
                _signal(child, signal.SIGKILL)
                child.process.wait(KILL_SECONDS)


def _in_short(line: str) -> str:
    """A log line without its frame; of an exception what it says, not where it was raised."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return line
    if not isinstance(entry, dict):
        return line
    raised = str(entry.get("exception") or "").strip().splitlines()[-1:]
    parts = [entry.get("event"), entry.get("reason") or entry.get("message"), *raised]
    return ": ".join(str(part) for part in parts if part)


def _has_ended(child: _Child) -> bool:
    return child.process.poll() is not None


def _signal(child: _Child, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        child.process.send_signal(number)
