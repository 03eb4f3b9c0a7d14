"""Writes events into the segment of their day, with the notes that a reader needs."""

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from services.cdb_ws.recording import notes, store
from services.cdb_ws.recording.notes import Break, Carried
from services.cdb_ws.recording.store import State
from services.cdb_ws.recording.write_ahead_log import Entry, Kind, SegmentFile
from services.kernel.events import (
    Clock,
    Condition,
    ConditionName,
    ConditionPhase,
    Instruments,
)
from services.runtime.bus.encoded import Outgoing, Tick, body_of

SEGMENT_BYTES: Final = 128 << 20
SEGMENT_SECONDS: Final = 3600.0


class Frame:
    """One raw frame as it was received.

    Attributes:
        received_ms: Wall time, Unix milliseconds.
        symbol: Empty where the frame is of none.
    """

    __slots__ = ("body", "connection", "received_ms", "symbol")

    def __init__(self, received_ms: int, connection: int, symbol: str, body: bytes) -> None:
        self.received_ms = received_ms
        self.connection = connection
        self.symbol = symbol
        self.body = body


class Journal:
    """Writes events and frames into segments, one after the other.

    A segment ends with its day (the first clock of the next one begins another), with its size,
    or with its age.

    Args:
        folder: The recording's; held by this process.
        ended: Called when a segment is ready to be packed.
        now: A clock that never goes back, in seconds.
    """

    def __init__(
        self,
        folder: Path,
        state: State,
        ended: Callable[[], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state = state
        self._folder = folder
        self._ended = ended
        self._now = now
        self._segment: SegmentFile | None = None
        self._began_at = 0.0
        self._contracts: Instruments | None = None
        self._conditions: dict[tuple[str, str | None], Condition] = {}
        self._break: Break | None = None
        self._stage_ms = 0
        self._written_clock = state.clock

    @property
    def segment(self) -> str:
        """The name of the segment that is written now."""
        return self._segment.path.name if self._segment else ""

    def after_break(self, reason: str, dropped: int) -> None:
        """Note before the next event that something is missing."""
        self._expect_break(reason, self._written_clock, dropped)

    def events(self, events: Sequence[Outgoing]) -> int:
        """Record what was published; returns how many events that are.

        Raises:
            OSError: It cannot be written.
        """
        count = 0
        for event in events:
            if isinstance(event, Tick):
                kind, symbol = Kind.TICK, event.symbol
            elif _shapes_the_market(event):
                kind, symbol = Kind.MARKET, ""
            else:
                continue
            if event.run_id != self.state.run_id:
                self._turn_to_run(event)
            self._turn_to_day(event)
            segment = self._segment_of(event.timestamp)
            if self._break is not None:
                self._report_break(segment, event.timestamp)
            segment.add(Entry(kind, event.timestamp, symbol, 0, body_of(event)))
            self._restore(event)
            count += 1
        return count

    def miss(self, events: Iterable[Outgoing]) -> None:
        """Note events that cannot be written; their effects are recorded after the break."""
        for event in events:
            if _shapes_the_market(event):
                if event.run_id != self.state.run_id:
                    self._turn_to_run(event)
                self._turn_to_day(event)
                self._restore(event)

    def frame(self, frame: Frame) -> None:
        """Record what was received.

        Raises:
            OSError: It cannot be written.
        """
        entry = Entry(Kind.FRAME, frame.received_ms, frame.symbol, frame.connection, frame.body)
        self._segment_of(frame.received_ms).add(entry)

    def write(self, *, durable: bool) -> None:
        """Hand everything to the operating system, or to the disk.

        Raises:
            OSError: It cannot be written.
        """
        segment = self._segment
        if segment is None:
            return
        segment.write()
        self._written_clock = self.state.clock
        if durable:
            segment.sync()
        if segment.size >= SEGMENT_BYTES or self._now() - self._began_at >= SEGMENT_SECONDS:
            self.end_segment()

    def end_segment(self) -> None:
        """End the segment, if there is one, and keep where the recording stands.

        Raises:
            OSError: It cannot be written; the segment is then left for the next start to repair.
        """
        segment, self._segment = self._segment, None
        if segment is None:
            return
        try:
            segment.write()
        finally:
            segment.close()
            self._ended()
        store.write_state(self._folder, self.state)

    def _expect_break(self, reason: str, since_ms: int, dropped: int) -> None:
        before = self._break
        self._break = Break(
            reason=reason if before is None else before.reason,
            since_ms=since_ms if before is None else before.since_ms,
            dropped=dropped if before is None else before.dropped + dropped,
        )

    def _turn_to_run(self, event: Outgoing) -> None:
        """A new run: discard the state of the previous one."""
        if self.state.run_id:
            self._expect_break("another run was recorded before", self.state.clock, 0)
        self._contracts = None
        self._conditions.clear()
        self._stage_ms = 0
        self.state = replace(self.state, run_id=event.run_id)

    def _turn_to_day(self, event: Outgoing) -> None:
        """The day is the clock's; before the first it is that of the contract details."""
        if isinstance(event, Clock):
            segment = self._segment
            if segment is not None and segment.day != store.day_of(event.timestamp):
                self.end_segment()
            self._stage_ms = event.timestamp
        elif isinstance(event, Instruments):
            self._stage_ms = self._stage_ms or event.timestamp

    def _restore(self, event: Outgoing) -> None:
        """Keep the state that the reader of the next segment needs."""
        if isinstance(event, Clock):
            self.state = replace(self.state, clock=event.timestamp)
        elif isinstance(event, Instruments):
            known = self._contracts.instruments if self._contracts else ()
            merged = {contract.symbol: contract for contract in (*known, *event.instruments)}
            self._contracts = replace(event, instruments=tuple(merged.values()))
        elif isinstance(event, Condition):
            key = (event.name.value, event.symbol)
            if event.phase is ConditionPhase.BEGAN:
                self._conditions[key] = event
            else:
                self._conditions.pop(key, None)

    def _segment_of(self, time_ms: int) -> SegmentFile:
        if self._segment is None:
            number = self.state.next_segment
            self.state = replace(self.state, next_segment=number + 1)
            store.write_state(self._folder, self.state)
            day = store.day_of(self._stage_ms or time_ms)
            segment = SegmentFile(self._folder, day, number)
            self._segment = segment
            self._began_at = self._now()
            if self._break is not None:
                self._report_break(segment, time_ms)
            elif self._contracts is not None:
                segment.add(_entry(time_ms, self._carried()))
        return self._segment

    def _report_break(self, segment: SegmentFile, time_ms: int) -> None:
        assert self._break is not None
        segment.add(_entry(time_ms, self._break))
        segment.add(_entry(time_ms, self._carried()))
        self._break = None

    def _carried(self) -> Carried:
        conditions = tuple(self._conditions.values())
        return Carried(instruments=self._contracts, conditions=conditions)


def _entry(time_ms: int, note: notes.Note) -> Entry:
    return Entry(Kind.NOTE, time_ms, "", 0, notes.encode(note))


def _shapes_the_market(event: Outgoing) -> bool:
    """Whether a replay needs the event: clocks, contracts, gaps. The end follows from the data."""
    if isinstance(event, Condition):
        return event.name is not ConditionName.SOURCE_ENDED
    return isinstance(event, Clock | Instruments)
