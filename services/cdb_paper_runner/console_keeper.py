"""Keeps the web console running, and raises an alert while it is down."""

from typing import Final, Protocol

from services.cdb_paper_runner.own_alerts import publish_alert
from services.kernel.events import AlertLevel, AlertPhase
from services.runtime import host
from services.runtime.bus.redis.acl import CONSOLE
from services.runtime.consumer.stage_loop import StageLoop
from services.runtime.embedded.console_process import ConsoleProcess
from services.runtime.service import logging
from services.runtime.service.shell import Shell

CODE: Final = "CONSOLE_DOWN"
FIRST_WAIT_S: Final = 1.0
MOST_WAIT_S: Final = 60.0
SETTLED_S: Final = 30.0
"""A console that lived so long works."""
TOKEN_PLACE: Final = "CONSOLE_TOKEN in .env; without containers in passwords.json of CLAIRE_HOME"  # noqa: S105
_log = logging.get(__name__)


class Process(Protocol):
    """The console's process, as its keeper sees it."""

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""

    @property
    def exit_code(self) -> int | None:
        """What it ended with."""

    def start(self) -> None:
        """Start it, for the first time or again."""

    def stop(self) -> int | None:
        """End it."""


class ConsoleKeeper:
    """Starts the console, again after growing waits when it ends.

    Args:
        process: The console's.
        loop: Publishes the alert.
    """

    def __init__(self, process: Process, loop: StageLoop) -> None:
        self._process = process
        self._loop = loop
        self._started_at: float | None = None
        self._start_at = 0.0
        self._wait_s = FIRST_WAIT_S
        self._is_alerted = False
        self._message: str | None = None

    def look(self) -> None:
        """Start the console if it does not run; called about once a second, on the main thread."""
        now = host.monotonic()
        if self._process.is_running:
            if self._started_at is not None and now - self._started_at >= SETTLED_S:
                self._wait_s = FIRST_WAIT_S
                self._message = None
            return
        if self._started_at is not None:
            self._ended(now)
        if now >= self._start_at:
            self._process.start()
            self._started_at = now

    def alert(self) -> None:
        """Publish that the console went down, or works again; in the loop's thread."""
        if self._is_alerted == (self._message is not None):
            return
        if self._message is not None:
            level, phase, message = AlertLevel.WARNING, AlertPhase.BEGAN, self._message
        else:
            level, phase, message = AlertLevel.INFO, AlertPhase.CLEARED, "the console works again"
        if publish_alert(self._loop, CODE, level, phase, message):
            self._is_alerted = not self._is_alerted

    def stop(self) -> None:
        """End the console."""
        self._process.stop()

    def _ended(self, now: float) -> None:
        self._message = (
            f"the console ended with code {self._process.exit_code}; it is started again in"
            f" {self._wait_s:g} s, trading goes on"
        )
        _log.warning("console_ended", message=self._message)
        self._started_at = None
        self._start_at = now + self._wait_s
        self._wait_s = min(2 * self._wait_s, MOST_WAIT_S)


def console_keeper(shell: Shell, loop: StageLoop) -> ConsoleKeeper | None:
    """The keeper of the console that the settings ask for; None without ``CONSOLE_PORT``.

    Raises:
        SettingError: A password or the token is not set.
    """
    settings = shell.settings
    if settings.console_port is None:
        return None
    process = ConsoleProcess(
        settings.http_host,
        settings.console_port,
        label=f"paper trading, {settings.cdb_source} market",
        bus=shell.redis_address(CONSOLE),
        database=shell.database_address(CONSOLE),
        services=dict(settings.console_services),
        token=settings.secret("CONSOLE_TOKEN"),
        token_place=TOKEN_PLACE,
    )
    return ConsoleKeeper(process, loop)
