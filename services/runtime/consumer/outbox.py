"""A stage's outputs on their way to the bus: with the cursor of their input, in their turn."""

from collections import Counter
from collections.abc import Callable, Sequence

from services.kernel.events import Event
from services.runtime import host
from services.runtime.bus.bus import Bus, Refused, Unavailable
from services.runtime.bus.lockstep import Progress
from services.runtime.service.backoff import Backoff

TURN_RETRY_S = 0.0002
TURN_ASK_EVERY_S = 0.02
TURN_LATE_S = 1.0


class Outbox:
    """Publishes a stage's outputs and acknowledges its inputs; waits as long as that takes.

    Args:
        bus: The stage's bus.
        stopping: Says whether waiting is over; read at every wait.
        confirm: Called before outputs are published: are the inputs behind them real?
        on_wait: Called with the reason for a wait.
        counters: ``outputs`` and ``turns_waited`` are counted here.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        stopping: Callable[[], host.Event],
        confirm: Callable[[], None],
        on_wait: Callable[[str], None],
        counters: Counter[str],
    ) -> None:
        self.cursor = 0
        self.in_step = False
        self.acknowledged_at = 0.0
        self._stopping = stopping
        self._bus = bus
        self._confirm = confirm
        self._on_wait = on_wait
        self._counters = counters
        self._progress = Progress(bus)
        self._done = 0
        self._asked = 0
        self._last_output = 0

    def begin(self, cursor: int, *, handled: int, head: int, in_step: bool) -> None:
        """Begin, or begin again, where the bus says that this service stopped.

        Args:
            cursor: Seq of the last input whose outputs exist.
            handled: Seq of the last input in the stage's state. It may come after the cursor: what
                causes no output is acknowledged now and then only.
            head: Of the total order. A predecessor's last output may be there that it had no time
                to tell the source of; so the source shall wait for everything up to here.
            in_step: Whether this is a stage of a lock-step run.
        """
        self.cursor = cursor
        self.in_step = in_step
        self._done = handled
        self._last_output = head
        if in_step:
            self._progress.tell(handled, head)

    def publish(self, outputs: Sequence[Event], cursor: int) -> None:
        """Publish outputs, or only acknowledge.

        Args:
            outputs: What the inputs up to ``cursor`` caused.
            cursor: Seq of the last handled input.

        Raises:
            Refused: For good; a wait for the turn is not passed on.
            Unavailable: Asked to stop while the bus was away.
        """
        if outputs:
            self._confirm()
            if self.in_step:
                self._progress.ask_turn(cursor)
        backoff, began = Backoff(), host.monotonic()
        asked_at = began
        while True:
            try:
                published = self._bus.publish(outputs, cursor=cursor)
                break
            except Unavailable as reason:
                self._wait(reason, backoff)
            except Refused as refused:
                if refused.reason != "TURN" or self._stopping().is_set():
                    raise
                asked_at = self._wait_for_turn(refused, cursor, began, asked_at)
        self.cursor = cursor
        self.acknowledged_at = host.monotonic()
        self._last_output = published.last_seq or self._last_output
        self._counters["outputs"] += len(outputs)

    def publish_apart(self, events: Sequence[Event]) -> None:
        """Publish events that no input caused, for instance those taken from outside.

        Raises:
            Refused, Unavailable: As ``publish``.
        """
        backoff = Backoff()
        while True:
            try:
                self._bus.publish(events)
                break
            except Unavailable as reason:
                self._wait(reason, backoff)

    def done(self, seq: int) -> None:
        """In lock-step: an input is done; the source waits for that, other stages may."""
        if seq <= self._done:
            return
        self._done = seq
        if self.cursor < self._asked:
            self._acknowledge()
        self._progress.tell(seq, self._last_output)

    def answer(self, asked: int) -> None:
        """In lock-step: another stage waits for its turn, or the source for news."""
        self._asked = max(self._asked, asked)
        self._acknowledge()
        self._progress.tell(self._done, self._last_output)

    def close(self) -> None:
        """Disconnect."""
        self._progress.close()

    def _acknowledge(self) -> None:
        if self._done > self.cursor:
            self.publish([], self._done)

    def _wait(self, reason: Unavailable, backoff: Backoff) -> None:
        if self._stopping().is_set():
            raise reason
        self._on_wait(str(reason))
        backoff.wait(self._stopping())

    def _wait_for_turn(self, refused: Refused, cursor: int, began: float, asked_at: float) -> float:
        self._counters["turns_waited"] += 1
        self._acknowledge()  # or two stages wait for each other
        now = host.monotonic()
        if now - began > TURN_LATE_S:
            self._on_wait(str(refused))
        if now - asked_at > TURN_ASK_EVERY_S:
            self._progress.ask_turn(cursor)
            asked_at = now
        host.sleep(TURN_RETRY_S)
        return asked_at
