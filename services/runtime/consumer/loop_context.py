"""What a service's loop knows of the run, beside the state of its stage."""

import msgspec

from services.kernel.events import RunStarted
from services.runtime.intake import event_time


class LoopContext(msgspec.Struct):
    """What the loop itself knows from the events; saved beside the stage's state.

    Attributes:
        behind_ms: The run's stale timeout: how old a message from outside may be.
    """

    run_id: str | None = None
    run_ended: bool = False
    clock_ms: int | None = None
    behind_ms: int = event_time.STALE_MS

    @classmethod
    def of(cls, run: RunStarted) -> "LoopContext":
        """The context at the beginning of a run."""
        return cls(run_id=run.run_id, behind_ms=event_time.stale_ms(run.settings))
