"""Conditions that a shell sees and that forbid entries: published when they begin and clear."""

import time

from services.kernel.events import SCHEMA_VERSION, Condition, ConditionName, ConditionPhase
from services.kernel.events.ids import make_id
from services.runtime.consumer.stage_loop import StageLoop

LAG_BEGINS = 5_000
LAG_CLEARS = 100
LAG_FOR_S = 3.0


class OwnConditions:
    """The conditions of one service; use it in the loop's thread only.

    A predecessor may have died while a condition was open, and a new run begins without any: so a
    condition that does not hold is cleared once after a restart, and one that holds is told again
    to a new run.
    """

    def __init__(self, loop: StageLoop) -> None:
        self._loop = loop
        self._told: dict[ConditionName, tuple[str, bool]] = {}

    def report(self, name: ConditionName, holds: bool, detail: str) -> None:
        """Say whether a condition holds now; published only where that is news.

        Args:
            name: The condition.
            holds: Whether it does.
            detail: Why, for people.

        Raises:
            Unavailable: The bus is away; report again later.
        """
        context = self._loop.context
        if context.run_id is None or context.run_ended or self._loop.last_clock_ms is None:
            return
        told = self._told.get(name)
        if told is not None and told[0] == context.run_id:
            news = told[1] != holds
        elif told is not None:
            news = holds  # of another run: this one knows nothing yet
        else:
            news = holds or self._loop.bus.own_claim().cursor > 0
        if news:
            self._publish(name, holds, detail, context.run_id, self._loop.last_clock_ms)
        self._told[name] = (context.run_id, holds)

    def _publish(
        self, name: ConditionName, holds: bool, detail: str, run_id: str, clock_ms: int
    ) -> None:
        service = self._loop.bus.service
        instance = self._loop.bus.own_claim().instance
        phase = ConditionPhase.BEGAN if holds else ConditionPhase.CLEARED
        event_id = make_id(run_id, service, name, instance, self._loop.cursor, phase)
        condition = Condition(
            event_id=event_id,
            run_id=run_id,
            producer=service,
            schema_version=SCHEMA_VERSION,
            timestamp=clock_ms,
            causation_id=None,
            correlation_id=None,
            name=name,
            phase=phase,
            symbol=None,
            detail=detail,
        )
        self._loop.publish([condition], shell_id=event_id)


class LagWatch:
    """Reports LAG while a service stays behind; look about once a second, in the loop's thread.

    In lock-step nothing can overtake a decision, so lag is no condition there.

    Args:
        loop: The loop whose lag it is.
        conditions: Of the same service.
    """

    def __init__(self, loop: StageLoop, conditions: OwnConditions) -> None:
        self._loop = loop
        self._conditions = conditions
        self._behind_since: float | None = None
        self._holds = False

    def look(self) -> None:
        """Compare the lag with its bounds."""
        if self._loop.in_step:
            return
        lag, now = self._loop.lag, time.monotonic()
        if lag < LAG_BEGINS:
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = now
        if self._holds:
            self._holds = lag > LAG_CLEARS
        elif self._behind_since is not None:
            self._holds = now - self._behind_since >= LAG_FOR_S
        detail = f"{self._loop.bus.service} is {lag} events behind"
        self._conditions.report(ConditionName.LAG, self._holds, detail)
