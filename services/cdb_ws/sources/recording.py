"""The source ``replay`` from a recording: the events as they were published, in their order.

Clocks, contract details and conditions are the recorded ones, so a run on a recording makes the
decisions of the recorded run. Only what the recorder itself missed is reported as ``DATA_GAP``.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from heapq import merge
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec.structs import replace

from services.cdb_ws.conditions import data_gap
from services.cdb_ws.data_error import DataError
from services.cdb_ws.publishing import ticks
from services.cdb_ws.publishing.clocks import ClockRule
from services.cdb_ws.publishing.ticks import TickMaker
from services.cdb_ws.recording import notes, store, tables
from services.cdb_ws.recording.notes import Break, Carried
from services.cdb_ws.recording.selection import Selected, select
from services.cdb_ws.recording.store import Part
from services.cdb_ws.sources.files import instrument_file
from services.cdb_ws.sources.recorded import Step
from services.kernel.events import (
    Clock,
    Condition,
    ConditionPhase,
    Event,
    Instruments,
    MarketData,
    codec,
)
from services.kernel.events.ids import make_id
from services.kernel.events.topics import WS
from services.kernel.instruments.contracts import Instrument

ROWS_AT_ONCE: Final = 50_000
"""Rows that are events at the same time, over all files of a segment."""

_NOTES: Final = ("break", "carried")

Remade = TypeVar("Remade", bound=Event)

Row = tuple[int, int, Any]
"""Place in the segment, number of the file, and a tick's fields, or type and JSON of the rest."""


class Recording:
    """A recording, or a part of one, as a market.

    Args:
        paths: Of one recording: its folder, days, symbols of a day, or files.
        run_id: The run that the events belong to.
        instruments: A file with contract details that are to be used instead of the recorded ones.

    Raises:
        DataError: It cannot be read, or has no contract details.
    """

    def __init__(self, paths: Sequence[Path], run_id: str, instruments: Path | None = None) -> None:
        self._run_id = run_id
        self._selected = select(paths)
        self._instead = instrument_file.read(instruments) if instruments else {}
        whole = all(one.whole for one in self._selected)
        self._symbols = None if whole else {p.symbol for one in self._selected for p in one.parts}
        self._makers: dict[tuple[str, str], TickMaker] = {}
        self._read: Counter[str] = Counter()
        first = self._first_details()
        self.contracts: tuple[Instrument, ...] = first.instruments
        self.first_timestamp = first.timestamp

    def steps(self, after: int = 0) -> Iterator[Step]:
        """All events behind the cursor ``after``; the cursor counts the events.

        Raises:
            DataError: A file is damaged or missing, or two runs in it overlap.
        """
        self._read.clear()
        reading = _Reading(self)
        cursor = 0
        for selected in self._selected:
            for event in reading.segment(selected):
                cursor += 1
                if cursor > after:
                    yield cursor, event

    def counts(self) -> dict[str, object]:
        """How much was read so far."""
        return {"segments": len(self._selected), "events": dict(sorted(self._read.items()))}

    def rows(self) -> Iterator[tuple[str, str, int]]:
        """Per symbol how many events were read."""
        for symbol, count in sorted(self._read.copy().items()):
            yield symbol, "accepted", count

    def details(self, event: Instruments) -> Instruments:
        """Recorded contract details, as far as their symbols are played: all of these may trade."""
        kept = tuple(
            self._instead[contract.symbol].with_tick(contract.tick_size)
            if contract.symbol in self._instead
            else contract
            for contract in event.instruments
            if self._symbols is None or contract.symbol in self._symbols
        )
        return replace(event, instruments=kept, universe=None)

    def plays(self, symbol: str | None) -> bool:
        """Whether a symbol is among the chosen ones; None stands for the whole market."""
        return symbol is None or self._symbols is None or symbol in self._symbols

    def tick(self, segment: int, row: int, fields: dict[str, Any]) -> MarketData:
        """A tick of this run, as it was recorded."""
        symbol, source = fields["symbol"], fields["source"]
        maker = self._makers.get((symbol, source))
        if maker is None:
            maker = TickMaker(self._run_id, source, symbol, "recording")
            self._makers[symbol, source] = maker
        self._read[symbol] += 1
        return maker.make(event_id=maker.make_id(segment, row), **fields)

    def remade(self, event: Remade, segment: int, row: object) -> Remade:
        """Another event as one of this run."""
        event_id = make_id(self._run_id, WS, "recording", segment, row)
        return replace(event, run_id=self._run_id, event_id=event_id)

    def clock(self, timestamp: int) -> Clock:
        """A clock of this run."""
        return ticks.clock(self._run_id, timestamp)

    def hole(self, timestamp: int, phase: ConditionPhase, lost: Break, until: int | None) -> Event:
        """The gap that the recorder left."""
        return data_gap(
            self._run_id,
            timestamp,
            phase,
            detail=f"not recorded: {lost.reason}",
            unique=f"recording {lost.since_ms}",
            lost=None if until is None else (lost.since_ms, until),
        )

    def _first_details(self) -> Instruments:
        for selected in self._selected:
            for part in selected.parts:
                if part.symbol != store.MARKET:
                    continue
                table = load(selected, part)
                for kind, body in zip(
                    table.column("type").to_pylist(), table.column("body").to_pylist(), strict=True
                ):
                    found = _details(kind, body)
                    if found is not None:
                        return self.details(found)
        raise DataError(
            self._selected[0].day,
            None,
            "the recording has no contract details",
            "choose a part that begins where a run began",
        )


class _Reading:
    """The state of one reading from the beginning."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._clock = 0
        self._began = False
        self._last_ms: dict[str, int] = {}
        self._missing: Break | None = None
        self._holding: dict[tuple[str, str | None], Condition] = {}
        self._rule = ClockRule(c.funding_interval_hours for c in recording.contracts)

    def segment(self, selected: Selected) -> Iterator[Event]:
        """The events of one segment."""
        number = selected.segment.segment
        for expected, (row, file, content) in enumerate(_rows(selected)):
            if selected.whole and row != expected:
                raise DataError(
                    selected.day / selected.parts[file].file,
                    None,
                    f"after event {expected - 1} of segment {number} comes {row}",
                    "the recording is damaged: see `claire data check`",
                )
            if selected.parts[file].symbol == store.MARKET:
                yield from self._market(number, row, *content)
            elif not self._known_already(content):
                yield self._recording.tick(number, row, content)

    def _known_already(self, tick: dict[str, Any]) -> bool:
        """Whether history of a run repeats what was recorded before a break."""
        timestamp, symbol = tick["timestamp"], tick["symbol"]
        if self._missing is not None and tick.get("backfill", False):
            return bool(timestamp <= self._last_ms.get(symbol, 0))
        self._last_ms[symbol] = timestamp
        return False

    def _market(self, number: int, row: int, kind: str, body: str) -> Iterator[Event]:
        recording = self._recording
        if kind in _NOTES:
            yield from self._note(number, row, notes.decode(body.encode()))
            return
        event = codec.decode(body.encode())
        if isinstance(event, Clock):
            yield from self._time(event)
        elif isinstance(event, Instruments):
            self._began = True
            yield recording.remade(recording.details(event), number, row)
        elif isinstance(event, Condition) and recording.plays(event.symbol):
            yield self._condition(event, number, row)

    def _time(self, event: Clock) -> Iterator[Event]:
        recording, lost, now = self._recording, self._missing, event.timestamp
        if now <= self._clock:
            if lost is None or now == self._clock:
                return
            raise DataError(
                Path("CDB_DATA"),
                None,
                f"it holds several runs that overlap in time (clock {now} after {self._clock})",
                "replay one of its days or files, and record each run in a folder of its own",
            )
        reported = lost is not None and self._clock > 0
        if reported:
            for due in self._rule.between(self._clock, now):
                yield recording.clock(due)
        yield recording.clock(now)
        if lost is not None and reported:
            yield recording.hole(now, ConditionPhase.CLEARED, lost, now)
        self._missing = None
        self._clock = now

    def _note(self, number: int, row: int, note: notes.Note) -> Iterator[Event]:
        recording = self._recording
        if isinstance(note, Break):
            if self._began and self._missing is None:
                self._missing = note
                if self._clock:  # nothing can be missing before the first clock
                    yield recording.hole(self._clock, ConditionPhase.BEGAN, note, None)
        elif not self._began or self._missing is not None:
            if note.instruments is not None:
                self._began = True
                yield recording.remade(recording.details(note.instruments), number, row)
            yield from self._hold_only(note.conditions, number, row)

    def _hold_only(
        self, conditions: Sequence[Condition], number: int, row: int
    ) -> Iterator[Condition]:
        """The conditions that hold now: others ended, or began, while nothing was recorded."""
        now = {(held.name.value, held.symbol): held for held in conditions}
        changes = [
            replace(held, phase=ConditionPhase.CLEARED, timestamp=self._clock)
            for key, held in self._holding.items()
            if key not in now
        ]
        changes += [held for key, held in now.items() if key not in self._holding]
        for index, change in enumerate(changes):
            if self._recording.plays(change.symbol):
                yield self._condition(change, number, f"{row} {index}")

    def _condition(self, event: Condition, number: int, row: object) -> Condition:
        key = (event.name.value, event.symbol)
        if event.phase is ConditionPhase.BEGAN:
            self._holding[key] = event
        else:
            self._holding.pop(key, None)
        return self._recording.remade(event, number, row)


def _details(kind: str, body: str) -> Instruments | None:
    if kind == "carried":
        note = notes.decode(body.encode())
        return note.instruments if isinstance(note, Carried) else None
    event = codec.decode(body.encode()) if kind == "instruments" else None
    return event if isinstance(event, Instruments) else None


def _rows(selected: Selected) -> Iterator[Row]:
    batch = max(64, ROWS_AT_ONCE // len(selected.parts))
    streams = [
        _stream(number, part, load(selected, part), batch)
        for number, part in enumerate(selected.parts)
    ]
    return streams[0] if len(streams) == 1 else merge(*streams)


def _stream(number: int, part: Part, table: pa.Table, batch: int) -> Iterator[Row]:
    if part.symbol != store.MARKET:
        for row, fields in tables.TickFields(table).rows(batch):
            yield row, number, fields
        return
    names = ("row", "type", "body")
    for row, kind, body in zip(*(table.column(name).to_pylist() for name in names), strict=True):
        yield row, number, (kind, body)


def load(selected: Selected, part: Part) -> pa.Table:
    """One file of a recording, its content proved.

    Raises:
        DataError: It is missing, or not what was recorded.
    """
    path = selected.day / part.file
    try:
        if store.file_digest(path) != part.sha256:
            raise DataError(
                path, None, "its content is not what was recorded", "restore it from a backup"
            )
        return pq.read_table(path)
    except FileNotFoundError as error:
        raise DataError(path, None, "the file is missing", "restore it from a backup") from error
    except (OSError, pa.ArrowException, msgspec.DecodeError) as error:
        raise DataError(path, None, f"it cannot be read ({error})", "restore it") from error
