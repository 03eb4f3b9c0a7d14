"""The clock itself stopped: no stage can notice that, so the orchestrator raises the alert."""

from collections.abc import Callable

from services.kernel.events import SCHEMA_VERSION, Alert, AlertLevel, AlertPhase, topics
from services.kernel.events.ids import make_id
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
        message = f"no clock for {age:.0f} s" if stopped else "the clock goes on"
        alert = self._alert(context.run_id, context.clock_ms, stopped, message)
        self._loop.publish([alert], shell_id=alert.event_id)
        self._open = stopped

    def _alert(self, run_id: str, clock_ms: int, stopped: bool, message: str) -> Alert:
        phase = AlertPhase.BEGAN if stopped else AlertPhase.CLEARED
        instance = self._loop.bus.own_claim().instance
        return Alert(
            event_id=make_id(run_id, topics.PAPER_RUNNER, CODE, instance, clock_ms, phase),
            run_id=run_id,
            producer=topics.PAPER_RUNNER,
            schema_version=SCHEMA_VERSION,
            timestamp=clock_ms,
            causation_id=None,
            correlation_id=None,
            level=AlertLevel.CRITICAL if stopped else AlertLevel.INFO,
            code=CODE,
            message=message,
            symbol=None,
            layer=None,
            phase=phase,
            count=1,
            context={"limit_s": f"{self._limit_s:g}"},
        )
