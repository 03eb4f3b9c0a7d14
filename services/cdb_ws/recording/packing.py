"""Packs a segment of the write-ahead log into Parquet files and a line of the manifest.

It runs in a process of its own (``python -m services.cdb_ws.recording.packing FOLDER``), so that it
takes no time from the market. Killed at any moment, it starts the segment again; a packed segment
is never packed twice.
"""

import os
import sys
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from services.cdb_ws.recording import store, tables, write_ahead_log
from services.cdb_ws.recording.store import FolderBusyError, Part, Segment
from services.cdb_ws.recording.write_ahead_log import Kind, SegmentReader
from services.kernel.events import codec

ROWS_AT_ONCE: Final = 10_000
NICENESS: Final = 10


class _Group:
    """The entries of one file: their places in the segment, and their rows."""

    def __init__(self) -> None:
        self.places = array("Q")
        self.rows = array("Q")
        self.first_ms = 1 << 62
        self.last_ms = 0

    def add(self, place: int, row: int, time_ms: int) -> None:
        self.places.append(place)
        self.rows.append(row)
        self.first_ms = min(self.first_ms, time_ms)
        self.last_ms = max(self.last_ms, time_ms)


def pack(folder: Path, packed: Callable[[Path], None] = lambda _: None) -> int:
    """Pack all full segments of a recording; returns how many there were.

    Args:
        folder: The recording.
        packed: Called with each segment's file when it is done.

    Raises:
        FolderBusyError: Another process packs it.
        OSError: It cannot be written.
    """
    with store.taken(folder, "pack"):
        waiting = write_ahead_log.full_segments(folder)
        for path in waiting:
            _pack_segment(folder, path)
            packed(path)
        return len(waiting)


def _pack_segment(folder: Path, path: Path) -> None:
    day = folder / write_ahead_log.day_of_segment(path)
    day.mkdir(exist_ok=True)
    number = write_ahead_log.number_of(path)
    if all(segment.segment != number for segment in store.read_manifest(day)):
        reader = SegmentReader(path)
        try:
            segment = _write_parts(day, number, reader)
        finally:
            reader.close()
        if segment.events or segment.frames:
            store.append_manifest(day, segment)
    path.unlink()


def _write_parts(day: Path, number: int, reader: SegmentReader) -> Segment:
    groups: dict[tuple[str, str], _Group] = {}
    events = frames = 0
    runs: dict[str, None] = {}
    for place, entry in reader.scan():
        if entry.kind is Kind.FRAME:
            content, row = store.FRAMES, frames
            frames += 1
        else:
            content, row = store.TICKS, events
            events += 1
            if entry.kind is Kind.MARKET:
                runs[codec.decode(entry.body).run_id] = None
        group = groups.setdefault((entry.symbol or store.MARKET, content), _Group())
        group.add(place, row, entry.time_ms)
    parts = tuple(
        _write_part(day, number, symbol, content, group, reader)
        for (symbol, content), group in sorted(groups.items())
    )
    return Segment(
        segment=number,
        events=events,
        frames=frames,
        first_ms=min((part.first_ms for part in parts), default=0),
        last_ms=max((part.last_ms for part in parts), default=0),
        runs=tuple(runs),
        parts=parts,
        cut_off=reader.cut_off,
    )


def _write_part(
    day: Path, number: int, symbol: str, content: str, group: _Group, reader: SegmentReader
) -> Part:
    folder = day / store.folder_name(symbol)
    folder.mkdir(exist_ok=True)
    path = folder / f"{content}-{number:06d}.parquet"
    beside = path.with_name(f".{path.name}.tmp")
    about = {"symbol": symbol, "content": content, "day": day.name, "segment": str(number)}
    schema = _schema(symbol, content)
    with beside.open("wb") as file:
        # Text columns with few different values are dictionaries; zstd finds the rest.
        with pq.ParquetWriter(file, schema.with_metadata(about), compression="zstd") as writer:
            for table in _tables(symbol, content, group, reader):
                writer.write_table(table.replace_schema_metadata(about))
        file.flush()
        os.fsync(file.fileno())
    digest = store.file_digest(beside)
    beside.replace(path)
    store.sync_folder(folder)
    return Part(
        file=path.relative_to(day).as_posix(),
        content=content,
        symbol=symbol,
        rows=len(group.rows),
        bytes=path.stat().st_size,
        first_ms=group.first_ms,
        last_ms=group.last_ms,
        sha256=digest,
    )


def _schema(symbol: str, content: str) -> pa.Schema:
    if content == store.FRAMES:
        return tables.FRAMES
    return tables.MARKET if symbol == store.MARKET else tables.TICKS


def _tables(symbol: str, content: str, group: _Group, reader: SegmentReader) -> Iterator[pa.Table]:
    for start in range(0, len(group.rows), ROWS_AT_ONCE):
        rows = group.rows[start : start + ROWS_AT_ONCE]
        entries = [reader.at(place) for place in group.places[start : start + ROWS_AT_ONCE]]
        bodies = [entry.body for entry in entries]
        if content == store.FRAMES:
            times = [entry.time_ms for entry in entries]
            yield tables.frames_table(rows, times, [e.connection for e in entries], bodies)
        elif symbol == store.MARKET:
            yield tables.market_table(rows, [entry.time_ms for entry in entries], bodies)
        else:
            yield tables.ticks_table(rows, bodies)


def main(arguments: list[str]) -> int:
    """Pack the folder that the one argument names."""
    os.nice(NICENESS)
    try:
        pack(Path(arguments[0]))
    except FolderBusyError:
        return 0  # the other one packs it
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
