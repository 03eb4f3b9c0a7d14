"""Publishes each market data event once, together with the position after it."""

from collections import Counter
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from services.cdb_ws.publishing import position
from services.cdb_ws.publishing.position import Position
from services.cdb_ws.recording.recorder import Recorder
from services.kernel.events import Clock, Event
from services.runtime import host
from services.runtime.bus.bus import Bus, Unavailable
from services.runtime.bus.encoded import Outgoing, Tick
from services.runtime.service.backoff import Backoff


class Publisher:
    """Publishes for one run, and keeps its position.

    Args:
        bus: A claimed bus.
        start: Position of the run, from the claim.
        stopping: Ends the wait for a bus that is away.
        on_wait: Called with the reason of each wait.
        recorder: Gets what was published, and may add alerts.
        on_sent: Called with the seconds that each publication took.

    Attributes:
        position: The position that the bus has.
        by_kind: Market data events published by this process, by kind.
        last_tick_ms: Event time of the last tick, by symbol.
        last_tick_at: When it was published, monotonic seconds, by symbol.
        last_clock_at: When the last clock was published, monotonic seconds.
    """

    def __init__(
        self,
        bus: Bus,
        start: Position,
        stopping: host.Event,
        on_wait: Callable[[str], None] = lambda _: None,
        recorder: Recorder | None = None,
        on_sent: Callable[[float], None] = lambda _: None,
    ) -> None:
        self.position = start
        self.by_kind: Counter[str] = Counter()
        self.last_tick_ms: dict[str, int] = {}
        self.last_tick_at: dict[str, float] = {}
        self.last_clock_at: float | None = None
        self.last_event_ms = start.clock
        self._bus = bus
        self._stopping = stopping
        self._on_wait = on_wait
        self._recorder = recorder
        self._on_sent = on_sent

    def send(
        self,
        events: Sequence[Outgoing],
        *,
        cursor: int | None = None,
        ended: bool = False,
    ) -> None:
        """Publish events and the position after them, both or neither; waits for an absent bus.

        Args:
            events: In their order.
            cursor: Of a recorded source, after these events.
            ended: Nothing comes after these events.

        Raises:
            Unavailable: The service is to stop while the bus is away.
            Refused: Another instance took over, or the bus lost something.
        """
        if self._recorder is not None:
            alerts = self._recorder.alerts(self.position.run_id, self.last_event_ms)
            events = [*events, *alerts]
        after = self._after(events)
        after = replace(
            after,
            cursor=self.position.cursor if cursor is None else cursor,
            ended=ended,
        )
        kept = position.dump(after)
        began = host.monotonic()
        backoff: Backoff | None = None
        while True:
            try:
                self._bus.publish(events, position=kept)
                break
            except Unavailable as reason:
                if self._stopping.is_set():
                    raise
                self._on_wait(str(reason))
                backoff = (
                    backoff or Backoff()
                )  # made only when needed: seeding its randomness is slow
                backoff.wait(self._stopping)
        self.position = after
        self._on_sent(host.monotonic() - began)
        self._note(events)
        if self._recorder is not None:
            self._recorder.events(events)

    def pass_over(self, cursor: int, event: Event) -> None:
        """Count an event that is published although the bus has lost its position."""
        self.position = replace(self._after([event]), cursor=cursor, behind="")
        self.last_event_ms = event.timestamp

    def _after(self, events: Sequence[Outgoing]) -> Position:
        now = self.position
        ticks, clock, began = now.ticks, now.clock, now.began
        for event in events:
            if isinstance(event, Tick):
                ticks += 1
            elif type(event) is Clock:
                clock = event.timestamp
                began = began or clock
        return replace(now, ticks=ticks, clock=clock, began=began)

    def _note(self, events: Sequence[Outgoing]) -> None:
        now = host.monotonic()
        for event in events:
            if isinstance(event, Tick):
                self.by_kind[event.kind] += 1
                self.last_tick_ms[event.symbol] = event.timestamp
                self.last_tick_at[event.symbol] = now
            elif type(event) is Clock:
                self.last_clock_at = now
        if events:
            self.last_event_ms = events[-1].timestamp
