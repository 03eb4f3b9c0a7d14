"""Holds a recorded market at given event times until an operator command is on the record.

A scripted command thus comes between the same two ticks on any machine.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Final

from services.kernel.market.run_watch import RunWatch
from services.runtime import host
from services.runtime.service import logging

PATIENCE_S: Final = 60.0
"""A command that is not on the record after this time will not come."""

_log = logging.get(__name__)


class Holds:
    """The times at which the market holds.

    Args:
        times: Event times, Unix milliseconds; one command is expected for each.
        watch: Counts the commands.
        idle: Returns whether the stages have handled everything that was published.
        now: A monotonic clock, in seconds.
    """

    def __init__(
        self,
        times: Sequence[int],
        watch: RunWatch,
        idle: Callable[[], bool],
        now: Callable[[], float] = host.monotonic,
    ) -> None:
        self._times = sorted(times)
        self._watch = watch
        self._idle = idle
        self._now = now
        self._given_up = 0
        self._since: float | None = None

    def holds(self, clock_ms: int) -> bool:
        """Whether the market must wait at this clock."""
        if not self._times:
            return False
        missing = bisect_right(self._times, clock_ms) - self._watch.commands - self._given_up
        if missing <= 0:
            if self._since is None or self._idle():
                self._since = None
                return False
            return True
        if self._since is None:
            self._since = self._now()
        if self._now() - self._since > PATIENCE_S:
            _log.warning("command_missing", clock_ms=clock_ms, missing=missing)
            self._given_up += missing
            self._since = None
            return False
        return True
