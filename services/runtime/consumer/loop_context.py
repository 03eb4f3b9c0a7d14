"""What a service's loop knows of the run, beside the state of its stage."""

import msgspec

from services.kernel.events import (
    RUN_BREAKING,
    AnyEvent,
    Clock,
    Condition,
    RunEnded,
    RunStarted,
)
from services.runtime.intake import event_time

REMEDY = 'claire reset --reason "..." begins a new run with this account'


class LoopContext(msgspec.Struct):
    """What the loop itself knows from the events; saved beside the stage's state.

    Attributes:
        behind_ms: The run's stale timeout: how old a message from outside may be.
        broken: Why this run cannot go on, and what to do; None while it can.
    """

    run_id: str | None = None
    run_ended: bool = False
    clock_ms: int | None = None
    behind_ms: int = event_time.STALE_MS
    broken: str | None = None

    def note(self, event: AnyEvent) -> None:
        """Take one event of ``control`` or ``clock``; others say nothing."""
        match event:
            case Clock():
                self.clock_ms = event.timestamp
            case RunStarted():
                self.run_id, self.run_ended, self.clock_ms = event.run_id, False, None
                self.behind_ms = event_time.stale_ms(event.settings)
                self.broken = None
            case RunEnded():
                self.run_ended = True
            case Condition() if event.name in RUN_BREAKING and event.run_id == self.run_id:
                self.broken = self.broken or f"{event.name}: {event.detail}; {REMEDY}"

    def snapshot(self) -> bytes:
        """All of it as JSON."""
        return msgspec.json.encode(self)

    def restore(self, snapshot: bytes) -> None:
        """Become what `snapshot` was made from."""
        saved = msgspec.json.decode(snapshot, type=LoopContext)
        for name in self.__struct_fields__:
            setattr(self, name, getattr(saved, name))
