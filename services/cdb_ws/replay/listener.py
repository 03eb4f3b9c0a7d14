"""Publishes a live market: its events as they arrive, and a clock each second of wall time."""

from collections.abc import Callable, Sequence
from typing import Final

from services.cdb_ws.conditions import data_gap, source_ended
from services.cdb_ws.publishing import ticks
from services.cdb_ws.publishing.backpressure import Pressure
from services.cdb_ws.publishing.clocks import SECOND_MS
from services.cdb_ws.publishing.publisher import Publisher
from services.cdb_ws.run_plan import RunPlan
from services.cdb_ws.sources.live import LiveSource
from services.kernel.events import ConditionPhase, Event, MarketData
from services.runtime import host
from services.runtime.bus.encoded import Outgoing, Tick

TURN_S: Final = 0.01
"""Maximum time for which one turn waits for events."""


class Listener:
    """Publishes one live source for one run.

    When the memory of the bus is nearly full, ticks are dropped and a ``DATA_GAP`` is recorded;
    clock and control continue.

    Args:
        source: The live source.
        plan: What the run asks for.
        publisher: Publishes and keeps the position.
        pressure: Decides when ticks are dropped.
        poll_control: Called in each turn with the seconds it may take; returns whether the run goes
            on.
        now_ms: Wall time.

    Attributes:
        dropped: Ticks that were not published.
    """

    def __init__(
        self,
        source: LiveSource,
        plan: RunPlan,
        publisher: Publisher,
        pressure: Pressure,
        poll_control: Callable[[float], bool],
        now_ms: Callable[[], int] = host.wall_ms,
    ) -> None:
        self.source = source
        self.dropped = 0
        self._plan = plan
        self._publisher = publisher
        self._pressure = pressure
        self._poll_control = poll_control
        self._now_ms = now_ms
        self._dropping_since = 0
        self._lost = 0, 0

    def listen(self, past: Sequence[MarketData] = (), lost_from: int = 0) -> None:
        """Publish until the run is over.

        Args:
            past: The last ticks of this run in the journal.
            lost_from: The bus lost what was published after this clock, and it cannot be recovered;
                0 if
            nothing is lost.
        """
        try:
            if lost_from:
                self._publisher.send(self._lost_with_the_bus(lost_from))
            self.source.begin(past, self._publisher.position.clock)
            while self._poll_control(TURN_S):
                self._send(self.source.take())
                if self._over():
                    self._end()
                    return
        finally:
            self.source.close()

    def _send(self, events: list[Outgoing]) -> None:
        self._pressure.look()
        events = self._within_memory(events)
        second = self._now_ms() // SECOND_MS * SECOND_MS
        if second > self._publisher.position.clock:
            events.insert(0, ticks.clock(self._plan.run_id, second))
        if events:
            self._publisher.send(events)

    def _within_memory(self, events: list[Outgoing]) -> list[Outgoing]:
        if self._pressure.memory_full:
            kept: list[Outgoing] = [event for event in events if not isinstance(event, Tick)]
            times = [event.timestamp for event in events if isinstance(event, Tick)]
            self.dropped += len(times)
            if not self._dropping_since:
                self._dropping_since = self._now_ms()
                self._lost = self._dropping_since, self._dropping_since
                kept.append(self._gap(ConditionPhase.BEGAN, self._pressure.why(), None))
            bounds = [*self._lost, *times]
            self._lost = min(bounds), max(bounds)
            return kept
        if self._dropping_since:
            detail = f"{self.dropped} ticks dropped so far, since {self._dropping_since}"
            events = [self._gap(ConditionPhase.CLEARED, detail, self._lost), *events]
            self._dropping_since = 0
        return events

    def _gap(self, phase: ConditionPhase, detail: str, lost: tuple[int, int] | None) -> Event:
        unique = f"memory {self._dropping_since}"
        return data_gap(
            self._plan.run_id, self._now_ms(), phase, detail=detail, unique=unique, lost=lost
        )

    def _lost_with_the_bus(self, lost_from: int) -> list[Event]:
        run_id, now = self._plan.run_id, self._now_ms()
        unique, detail = f"bus {lost_from} {now}", "Redis came back without its last events"
        return [
            data_gap(run_id, now, ConditionPhase.BEGAN, detail=detail, unique=unique),
            data_gap(
                *(run_id, now, ConditionPhase.CLEARED),
                detail=detail,
                unique=unique,
                lost=(lost_from, max(lost_from, now)),
            ),
        ]

    def _over(self) -> bool:
        position, duration = self._publisher.position, self._plan.duration_ms
        return bool(duration and position.began and position.clock >= position.began + duration)

    def _end(self) -> None:
        detail = f"the run's duration is over, {self._publisher.position.ticks} ticks"
        now = self._publisher.position.clock
        self._publisher.send([source_ended(self._plan.run_id, now, detail)], ended=True)
