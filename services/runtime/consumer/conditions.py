"""Conditions that a shell sees and that forbid entries: published when they begin and clear."""

from collections.abc import Callable
from dataclasses import dataclass

from services.kernel.events import SCHEMA_VERSION, Condition, ConditionName, ConditionPhase
from services.kernel.events.ids import make_id
from services.runtime import host
from services.runtime.consumer.stage_loop import StageLoop

LAG_BEGINS = 5_000
LAG_CLEARS = 100
LAG_FOR_S = 3.0
CALM_FIRST_S = 1.0
CALM_LONGEST_S = 30.0
CALM_FORGOTTEN_S = 60.0
"""A condition that begins again within this time after its end is one that flaps."""


@dataclass(slots=True)
class _Published:
    """What is known to be published about one condition; ``holds`` is None when it is uncertain."""

    run_id: str | None = None
    holds: bool | None = None
    cleared_at: float = float("-inf")
    flaps: int = 0
    calm_since: float | None = None

    def is_calm(self, now: float) -> bool:
        """Whether the condition has not held for long enough to be over; a flapping one longer."""
        if not self.flaps:
            return True
        if self.calm_since is None:
            self.calm_since = now
        wanted: float = min(CALM_LONGEST_S, CALM_FIRST_S * 2 ** min(self.flaps - 1, 16))
        return now - self.calm_since >= wanted


class OwnConditions:
    """The conditions of one service; use it in the loop's thread only.

    A predecessor may have died while a condition was open, and a new run begins without any: so a
    condition that does not hold is cleared once after a restart, and one that holds is published
    again in a new run.

    A condition begins at once. One that flaps ends only after it has not held for a while, which
    doubles each time: entries stay forbidden, and the record is not filled with it.

    Args:
        loop: Publishes, and knows the run.
        now: A clock that never goes back, in seconds.
    """

    def __init__(self, loop: StageLoop, now: Callable[[], float] = host.monotonic) -> None:
        self._loop = loop
        self._now = now
        self._published: dict[ConditionName, _Published] = {}
        self._count = 0

    def report(self, name: ConditionName, holds: bool, detail: str) -> None:
        """Report whether a condition holds now; published only where that is news.

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
        published, now = self._published.setdefault(name, _Published()), self._now()
        if holds:
            published.calm_since = None
        if published.run_id == context.run_id:
            news = published.holds is not holds
        elif published.run_id is not None:
            news = holds  # of another run: this one knows nothing yet
        else:
            news = holds or self._loop.bus.own_claim().cursor > 0
        if news and not holds and not published.is_calm(now):
            return
        if news:
            published.run_id, published.holds = context.run_id, None
            self._publish(name, holds, detail, context.run_id, self._loop.last_clock_ms)
            self._count_flap(published, holds, now)
        published.run_id, published.holds = context.run_id, holds

    @staticmethod
    def _count_flap(published: _Published, holds: bool, now: float) -> None:
        if not holds:
            published.cleared_at = now
        elif now - published.cleared_at < CALM_FORGOTTEN_S:
            published.flaps += 1
        else:
            published.flaps = 0

    def _publish(
        self, name: ConditionName, holds: bool, detail: str, run_id: str, clock_ms: int
    ) -> None:
        service, claim = self._loop.bus.service, self._loop.bus.own_claim()
        phase = ConditionPhase.BEGAN if holds else ConditionPhase.CLEARED
        self._count += 1  # an id of its own: the cursor may stand still from one to the next
        event_id = make_id(run_id, service, name, claim.epoch, claim.instance, self._count, phase)
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
        lag, now = self._loop.lag, host.monotonic()
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
