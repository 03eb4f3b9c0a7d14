"""From start to stop: signals, waiting with back-off for what is away, and a way out in time."""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

from services.runtime import host
from services.runtime.service import logging
from services.runtime.service.backoff import Backoff

STOP_DEADLINE_S = 9.5
"""A service promises to end within 10 s of SIGTERM."""
EXIT_STUCK = 75
SAY_EVERY_S = 30.0

_log = logging.get(__name__)


class Lifecycle:
    """One process's way from start to stop.

    Attributes:
        stopping: Set once the process is to end; everything that waits waits on it.
        waiting_for: What keeps the service from its work now; None while it works.
    """

    def __init__(self) -> None:
        self.stopping = host.event()
        self.waiting_for: str | None = "starting"
        self._backoff = Backoff()
        self._said_at = 0.0
        self._way_out: threading.Timer | None = None

    def install_signals(self) -> None:
        """End on SIGTERM and SIGINT; main thread only."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        # Nothing is logged here: a signal may arrive while the log's lock is held.
        if not self.stopping.is_set():
            self.stopping.set()
            self._way_out = threading.Timer(STOP_DEADLINE_S, _leave, (number,))
            self._way_out.daemon = True
            self._way_out.start()

    def ended(self) -> None:
        """Everything is done: no way out is needed."""
        if self._way_out is not None:
            self._way_out.cancel()

    def working(self) -> None:
        """The service does its job (again)."""
        if self.waiting_for is not None:
            _log.info("working", waited_for=self.waiting_for)
        self._backoff.reset()
        self.waiting_for = None

    def waits(self, reason: str) -> None:
        """Say why nothing can be done now; the same reason again only now and then."""
        now = host.monotonic()
        if reason != self.waiting_for or now - self._said_at >= SAY_EVERY_S:
            self._said_at = now
            _log.warning("waiting", reason=reason)
        self.waiting_for = reason

    def wait_before_retry(self, reason: str) -> None:
        """Say why nothing can be done now, and wait a growing time, or for the end."""
        self.waits(reason)
        self._backoff.wait(self.stopping)


def _leave(number: int, leave: Callable[[int], None] = os._exit) -> None:
    _log.error("stuck", signal=number, message="did not end in time; leaving without a snapshot")
    leave(EXIT_STUCK)
