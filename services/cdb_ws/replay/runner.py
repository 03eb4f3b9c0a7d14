"""Runs a replay: publishes the steps of a recorded market at the run's pace."""

from collections.abc import Callable, Iterator
from typing import Final

from services.cdb_ws.conditions import source_ended, source_failed
from services.cdb_ws.data_error import DataError
from services.cdb_ws.publishing.backpressure import Pressure
from services.cdb_ws.publishing.publisher import Publisher
from services.cdb_ws.replay.duration import within_duration
from services.cdb_ws.replay.pacing import FloodPace, LockStepPace, Pace, TimedPace
from services.cdb_ws.run_plan import RunPlan
from services.cdb_ws.sources.recorded import RecordedSource, Step
from services.kernel.events import Clock, Event, Instruments
from services.runtime.bus.bus import Bus
from services.runtime.bus.lockstep import LockStep
from services.runtime.service import logging

HELD_WAIT_S: Final = 0.02

PollControl = Callable[[float], bool]
"""Receives control events for some seconds; returns whether the run goes on."""

_log = logging.get(__name__)


class PlaceMissing(Exception):
    """The source lacks the event after which it should continue; the argument is its id."""


def pace_of(speed: str, bus: Bus, poll_control: PollControl) -> Pace:
    """The pace of a run: ``max``, ``flood``, or a factor."""
    if speed == "max":
        return LockStepPace(LockStep(bus))
    if speed == "flood":
        return FloodPace()
    return TimedPace(float(speed), poll_control)


class ReplayRunner:
    """Publishes one recorded source for one run.

    Args:
        source: The recorded market.
        plan: What the run asks for.
        publisher: Publishes and keeps the position.
        pace: Decides when the next steps are due.
        pressure: Decides when the market waits.
        poll_control: Called between the batches.
        recovered_ms: The bus lost the position; everything up to this clock is known already.

    Attributes:
        held_by: What the market waits for; None while it goes on.
        failed: Why the source could not be read any further; None while it can.
    """

    def __init__(
        self,
        source: RecordedSource,
        plan: RunPlan,
        publisher: Publisher,
        pace: Pace,
        pressure: Pressure,
        poll_control: PollControl,
        recovered_ms: int = 0,
    ) -> None:
        self.source = source
        self.held_by: str | None = None
        self.failed: str | None = None
        self._plan = plan
        self._publisher = publisher
        self._pace = pace
        self._pressure = pressure
        self._poll_control = poll_control
        lost = publisher.position.clock < recovered_ms and not publisher.position.behind
        self._known_until = recovered_ms if lost else 0

    def play(self) -> None:
        """Publish all steps after the run's position, then the end; returns when the run is over.

        A fault in the data ends the market there, with an alert that names file and line.

        Raises:
            PlaceMissing, DataError: The run's position is not in the data; nothing was published.
        """
        unpublished = self._unpublished()
        for batch in self._pace.batches(self._readable_steps(unpublished)):
            if not self._publish(batch):
                return
        self._end()

    def _publish(self, batch: list[Step]) -> bool:
        """Publish a batch and wait until the next one may come; False when the run is over."""
        if batch:
            self._publisher.send([event for _, event in batch], cursor=batch[-1][0])
        while not self._pace.settled():
            self.held_by = "the stages have not handled the last step"
            if not self._poll_control(0):
                return False
        self.held_by = None
        if not self._poll_control(0):
            return False
        self._pressure.look()
        while self._pressure.high:
            self.held_by = self._pressure.why()
            if not self._poll_control(HELD_WAIT_S):
                return False
            self._pressure.look()
        self.held_by = None
        return True

    def _readable_steps(self, unpublished: Iterator[Step]) -> Iterator[Step]:
        """The steps as far as the source can be read."""
        try:
            yield from self._steps(unpublished)
        except DataError as error:
            self.failed = str(error)

    def _steps(self, unpublished: Iterator[Step]) -> Iterator[Step]:
        """The source's steps, to the end of the run's duration in event time."""
        began = self._publisher.position.began
        return within_duration(self._unknown(unpublished), self._plan.duration_ms, began)

    def _unknown(self, unpublished: Iterator[Step]) -> Iterator[Step]:
        """The steps behind the clock up to which everything is known already."""
        for step in unpublished:
            event = step[1]
            if self._known_until and not isinstance(event, Instruments):
                if not isinstance(event, Clock) or event.timestamp <= self._known_until:
                    continue
                self._known_until = 0
            yield step

    def _unpublished(self) -> Iterator[Step]:
        """The steps after the run's position, or after the event that it names instead."""
        behind = self._publisher.position.behind
        steps = self.source.steps(self._publisher.position.cursor)
        if not behind:
            return steps
        for cursor, event in steps:
            self._publisher.pass_over(cursor, event)
            if event.event_id == behind:
                return steps
        raise PlaceMissing(behind)

    def _end(self) -> None:
        publisher, run_id = self._publisher, self._plan.run_id
        timestamp = publisher.last_event_ms
        last: list[Event] = []
        if self.failed is not None:
            _log.error("source_failed", reason=self.failed)
            last.append(source_failed(run_id, timestamp, self.failed))
        counts = self.source.counts()
        _log.info("source_ended", ticks=publisher.position.ticks, **counts)
        detail = self.failed or f"{publisher.position.ticks} ticks"
        last.append(source_ended(run_id, timestamp, detail))
        publisher.send(last, ended=True)
