"""Listening to a live market: what arrives is published, and the wall's seconds are its clock."""

import threading
import time
from collections.abc import Callable
from typing import Final

from services.cdb_ws import ticks
from services.cdb_ws.clocks import SECOND_MS
from services.cdb_ws.conditions import data_gap, source_ended
from services.cdb_ws.pressure import Pressure
from services.cdb_ws.publisher import Publisher
from services.cdb_ws.run_watch import RunPlan
from services.cdb_ws.sources.live import LiveSource, SourceAwayError
from services.kernel.events import ConditionPhase, Event, MarketData
from services.runtime import logging
from services.runtime.backoff import Backoff

TURN_S: Final = 0.01
"""How long one turn waits for something to arrive."""

FIRST_RETRY_S: Final = 1.0
LONGEST_RETRY_S: Final = 30.0

_log = logging.get(__name__)


class _Attempt:
    """One attempt to reach a source, in a thread of its own: it may take as long as the network.

    A thread that is not waited for any longer ends with the process.
    """

    def __init__(self, source: LiveSource, resume: dict[str, int]) -> None:
        self.events: list[Event] = []
        self.error: SourceAwayError | None = None
        self._crash: Exception | None = None
        self._thread = threading.Thread(
            target=self._run, args=(source, resume), name="source-begin", daemon=True
        )
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether it has succeeded or failed; raises what is no absence of the source."""
        if self._crash is not None:
            raise self._crash
        return not self._thread.is_alive()

    def _run(self, source: LiveSource, resume: dict[str, int]) -> None:
        try:
            self.events = source.begin(resume)
        except SourceAwayError as away:
            self.error = away
        except Exception as crash:
            self._crash = crash


class Listener:
    """Publishes one live source for one run.

    When the bus's memory is nearly full, ticks are dropped and the hole is recorded as
    ``DATA_GAP``; clock and control go on.

    Args:
        source: What to listen to.
        plan: What the run asks for.
        publisher: Knows where the run stands.
        pressure: Tells when to drop.
        breathe: Called in each turn with the seconds it may take; says whether the run goes on.
        now_ms: Wall time.

    Attributes:
        dropped: Ticks that were not published.
        away: Why the source has not been reached; None once it was.
    """

    def __init__(
        self,
        source: LiveSource,
        plan: RunPlan,
        publisher: Publisher,
        pressure: Pressure,
        breathe: Callable[[float], bool],
        now_ms: Callable[[], int] = lambda: int(time.time() * 1000),
    ) -> None:
        self.source = source
        self.dropped = 0
        self.away: str | None = "not connected yet"
        self._plan = plan
        self._publisher = publisher
        self._pressure = pressure
        self._breathe = breathe
        self._now_ms = now_ms
        self._dropping_since = 0

    def listen(self) -> None:
        """Publish until the run is over."""
        try:
            first = self._begin()
            if first is None:
                return
            self._send(first)
            while self._breathe(TURN_S):
                self._send(self.source.take(0))
                if self._over():
                    self._end()
                    return
        finally:
            self.source.close()

    def _begin(self) -> list[Event] | None:
        """Reach the source; the clock goes on meanwhile. None when the run is over first."""
        backoff = Backoff(first=FIRST_RETRY_S, longest=LONGEST_RETRY_S)
        while True:
            attempt = _Attempt(self.source, self._publisher.position.resume)
            while not attempt.done:
                if not self._pass_time():
                    return None
            if attempt.error is None:
                self.away = None
                return attempt.events
            self.away = str(attempt.error)
            _log.warning("source_away", reason=self.away, attempt=backoff.attempts)
            again = time.monotonic() + backoff.next_delay()
            while time.monotonic() < again:
                if not self._pass_time():
                    return None

    def _pass_time(self) -> bool:
        goes_on = self._breathe(TURN_S)
        if goes_on:
            self._send([])
        return goes_on

    def _send(self, events: list[Event]) -> None:
        self._pressure.look()
        events = self._within_memory(events)
        second = self._now_ms() // SECOND_MS * SECOND_MS
        if second > self._publisher.position.clock:
            events.insert(0, ticks.clock(self._plan.run_id, second))
        if events:
            # Before the source was reached it knows nothing: what was kept still counts.
            resume = self.source.resume_state() if self.away is None else None
            self._publisher.send(events, resume=resume)

    def _within_memory(self, events: list[Event]) -> list[Event]:
        if self._pressure.memory_full:
            kept = [event for event in events if not isinstance(event, MarketData)]
            self.dropped += len(events) - len(kept)
            if not self._dropping_since:
                self._dropping_since = self._now_ms()
                kept.append(self._gap(ConditionPhase.BEGAN, self._pressure.why()))
            return kept
        if self._dropping_since:
            detail = f"{self.dropped} ticks dropped so far, since {self._dropping_since}"
            events = [self._gap(ConditionPhase.CLEARED, detail), *events]
            self._dropping_since = 0
        return events

    def _gap(self, phase: ConditionPhase, detail: str) -> Event:
        unique = f"memory {self._dropping_since}"
        return data_gap(self._plan.run_id, self._now_ms(), phase, detail=detail, unique=unique)

    def _over(self) -> bool:
        position, duration = self._publisher.position, self._plan.duration_ms
        return bool(duration and position.began and position.clock >= position.began + duration)

    def _end(self) -> None:
        detail = f"the run's duration is over, {self._publisher.position.ticks} ticks"
        now = self._publisher.position.clock
        self._publisher.send([source_ended(self._plan.run_id, now, detail)], ended=True)
