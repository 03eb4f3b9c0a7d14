"""How a stage's outputs go to the bus: in batches, or in lock-step each at its turn."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import ClassVar

from services.kernel.events import Event
from services.runtime import host
from services.runtime.bus.bus import Bus, Published, Refused
from services.runtime.bus.lockstep import Progress

OUTPUTS_AT_ONCE = 500
OUTPUTS_WAIT_S = 0.005
ACKNOWLEDGE_S = 0.2
"""Between two acknowledgements without outputs: each is a write to the server's disk."""
TURN_RETRY_S = 0.0002
TURN_ASK_EVERY_S = 0.02
TURN_LATE_S = 1.0


class FreePace:
    """Outputs go out in batches; inputs without outputs are acknowledged now and then.

    Args:
        bus: The stage's bus, claimed.
        cursor: Seq of the last input whose outputs exist.
        now: A clock that never goes back, in seconds.

    Attributes:
        in_step: Whether the run is in lock-step.
        cursor: Seq of the last input that the bus knows to be done.
    """

    in_step: ClassVar[bool] = False

    def __init__(self, bus: Bus, cursor: int, now: Callable[[], float]) -> None:
        self.cursor = cursor
        self._bus = bus
        self._now = now
        self._acknowledged_at = 0.0

    def is_due(self, outputs: Sequence[Event], began: float) -> bool:
        """Whether outputs go out now, of which the first may have been made at ``began``."""
        return len(outputs) >= OUTPUTS_AT_ONCE or self._now() - began > OUTPUTS_WAIT_S

    def acknowledges(self) -> bool:
        """Whether it is time for an acknowledgement without outputs."""
        return self._now() - self._acknowledged_at > ACKNOWLEDGE_S

    def publish(self, outputs: Sequence[Event], cursor: int) -> Published:
        """Publish outputs, or only acknowledge.

        Args:
            outputs: What the inputs up to ``cursor`` caused.
            cursor: Seq of the last handled input.

        Raises:
            Unavailable, Refused: Whether it was published, the next claim says.
        """
        published = self._bus.publish(outputs, cursor=cursor)
        self.cursor = cursor
        self._acknowledged_at = self._now()
        return published

    def done(self, seq: int) -> None:
        """An input is done; outside lock-step nobody waits for that."""

    def answer(self, asked: int) -> None:
        """Another stage, or the source, asks how far this one is."""

    def close(self) -> None:
        """Disconnect."""


class LockStepPace(FreePace):
    """Outputs go out at once, each at its turn; the source and other stages wait for each input.

    Args:
        bus, cursor, now: As for `FreePace`.
        handled: Seq of the last input in the stage's state. It may come after the cursor: what
            causes no output is acknowledged now and then only.
        head: Of the total order. A predecessor's last output may be there that it had no time to
            report to the source; so the source shall wait for everything up to here.
        stopping: Ends the wait for a turn.
        on_wait: Called with the reason for a long wait.
        counters: ``turns_waited`` is counted here.
    """

    in_step: ClassVar[bool] = True

    def __init__(
        self,
        bus: Bus,
        cursor: int,
        now: Callable[[], float],
        *,
        handled: int,
        head: int,
        stopping: host.Event,
        on_wait: Callable[[object], None],
        counters: Counter[str],
    ) -> None:
        super().__init__(bus, cursor, now)
        self._stopping = stopping
        self._on_wait = on_wait
        self._counters = counters
        self._progress = Progress(bus)
        self._done = handled
        self._asked = 0
        self._last_output = head
        self._progress.tell(handled, head)

    def is_due(self, outputs: Sequence[Event], began: float) -> bool:  # noqa: ARG002 - as above
        """Always: the others wait for them."""
        return True

    def publish(self, outputs: Sequence[Event], cursor: int) -> Published:
        """As `FreePace.publish`, once it is this stage's turn."""
        if outputs:
            self._progress.ask_turn(cursor)
        began = asked_at = self._now()
        while True:
            try:
                published = super().publish(outputs, cursor)
                break
            except Refused as refused:
                if refused.reason != "TURN" or self._stopping.is_set():
                    raise
                asked_at = self._wait_for_turn(refused, cursor, began, asked_at)
        self._last_output = published.last_seq or self._last_output
        return published

    def done(self, seq: int) -> None:
        """An input is done; the source waits for that, other stages may."""
        if seq <= self._done:
            return
        self._done = seq
        if self.cursor < self._asked:
            self._acknowledge()
        self._progress.tell(seq, self._last_output)

    def answer(self, asked: int) -> None:
        """Another stage waits for its turn, or the source for news."""
        self._asked = max(self._asked, asked)
        self._acknowledge()
        self._progress.tell(self._done, self._last_output)

    def close(self) -> None:
        """Disconnect."""
        self._progress.close()

    def _acknowledge(self) -> None:
        if self._done > self.cursor:
            super().publish([], self._done)

    def _wait_for_turn(self, refused: Refused, cursor: int, began: float, asked_at: float) -> float:
        self._counters["turns_waited"] += 1
        self._acknowledge()  # or two stages wait for each other
        now = self._now()
        if now - began > TURN_LATE_S:
            self._on_wait(refused)
        if now - asked_at > TURN_ASK_EVERY_S:
            self._progress.ask_turn(cursor)
            asked_at = now
        self._stopping.wait(TURN_RETRY_S)
        return asked_at
