"""The clock itself stopped: no stage can notice that, so the orchestrator raises the alert."""

from collections.abc import Callable

from services.cdb_paper_runner.own_alerts import publish_alert
from services.kernel.events import AlertLevel, AlertPhase
from services.runtime.consumer.stage_loop import StageLoop

CODE = "CLOCK_STOPPED"


class ClockWatch:
    """Looks at the clock's age about once a second, in the loop's thread.

    Args:
        loop: Knows the run, publishes the alert.
        age_s: Seconds since the last clock, wall time.
        limit_s: Age at which the clock counts as stopped.
    """

    def __init__(self, loop: StageLoop, age_s: Callable[[], float], limit_s: float) -> None:
        self._loop = loop
        self._age_s = age_s
        self._limit_s = limit_s
        self._open = False

    def look(self) -> None:
        """Alert once when the clock stops, and once when it goes on."""
        context = self._loop.context
        if context.run_id is None or context.clock_ms is None:
            return
        age = self._age_s()
        stopped = age > self._limit_s and not context.run_ended
        if stopped == self._open:
            return
        self._open = stopped
        publish_alert(
            self._loop,
            CODE,
            AlertLevel.CRITICAL if stopped else AlertLevel.INFO,
            AlertPhase.BEGAN if stopped else AlertPhase.CLEARED,
            f"no clock for {age:.0f} s" if stopped else "the clock goes on",
            {"limit_s": f"{self._limit_s:g}"},
        )
