"""What data is there: per data set, and per symbol of a recording, from when to when."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

from msgspec import Struct

from services.cdb_ws.recording import notes, store, write_ahead_log
from services.cdb_ws.recording.notes import Break
from services.cdb_ws.recording.selection import Selected, root_of
from services.cdb_ws.sources.files.file_names import describe
from services.cdb_ws.sources.files.parquet_files import DataDay, read_data_set
from services.cdb_ws.sources.recording import load
from services.datasets.sets import DAY_MS
from services.kernel.events import Condition, ConditionName, ConditionPhase, codec

WITHOUT_SYMBOL: Final = "clock, contracts, conditions"


class Coverage(Struct, kw_only=True):
    """One kind of data of one symbol.

    Attributes:
        what: Folder of the recording or data set.
        content: ``trades``, ``klines 1m``, ...; of a recording ``events`` or ``frames``.
        first_ms, last_ms: Times of the first and last row, Unix milliseconds.
        holes: Spans in which something is missing: days without a file, breaks, data gaps.
        waiting: Bytes that are recorded and not packed yet.
    """

    what: str
    symbol: str
    content: str
    days: int = 0
    rows: int = 0
    bytes: int = 0
    first_ms: int = 0
    last_ms: int = 0
    holes: int = 0
    waiting: int = 0

    def add(self, rows: int, size: int, first_ms: int, last_ms: int) -> None:
        """Count one file."""
        if rows:
            self.first_ms = min(self.first_ms or first_ms, first_ms)
            self.last_ms = max(self.last_ms, last_ms)
        self.rows += rows
        self.bytes += size


def coverage(path: Path) -> list[Coverage]:
    """What lies in a folder: a recording, a data set, or a folder of them.

    Raises:
        DataError: A manifest or a file is damaged.
    """
    if not path.is_dir():
        return []
    root = root_of(path)
    if root is not None:
        return list(_of_recording(root))
    if (path / store.MANIFEST).is_file():
        return [_of_data_set(path)]
    inner = sorted(folder for folder in path.iterdir() if folder.is_dir())
    return [found for folder in inner for found in coverage(folder)]


def _of_data_set(folder: Path) -> Coverage:
    file = describe(folder)
    days = read_data_set(folder)
    found = Coverage(
        what=str(folder),
        symbol=file.symbol,
        content=" ".join(filter(None, (file.kind.value, file.step))),
        days=len(days),
    )
    for day in days.values():
        found.add(day.rows, day.bytes, day.first_ms, day.last_ms)
    found.holes = _missing_days(list(days.values()))
    return found


def _missing_days(days: list[DataDay]) -> int:
    """Spans of days without a file between the first and the last."""
    there = [day.first_ms // DAY_MS for day in days if day.rows]
    return sum(after - before > 1 for before, after in pairwise(there))


def _of_recording(root: Path) -> Iterator[Coverage]:
    found: dict[tuple[str, str], Coverage] = {}
    days: dict[tuple[str, str], set[str]] = {}
    holes: dict[str, int] = {}
    for day in store.days(root):
        for segment in store.read_manifest(day):
            for part in segment.parts:
                key = (part.symbol, part.content)
                if key not in found:
                    symbol = WITHOUT_SYMBOL if part.symbol == store.MARKET else part.symbol
                    found[key] = Coverage(what=str(root), symbol=symbol, content=part.content)
                found[key].add(part.rows, part.bytes, part.first_ms, part.last_ms)
                days.setdefault(key, set()).add(day.name)
                if key == (store.MARKET, store.TICKS):
                    for symbol in _holes(Selected(day, segment, (part,), whole=False)):
                        holes[symbol] = holes.get(symbol, 0) + 1
    waiting = sum(
        path.stat().st_size
        for path in (*write_ahead_log.open_segments(root), *write_ahead_log.full_segments(root))
    )
    if not found:
        found[store.MARKET, store.TICKS] = Coverage(
            what=str(root), symbol=WITHOUT_SYMBOL, content=store.TICKS
        )
    for key, one in sorted(found.items()):
        one.days = len(days.get(key, ()))
        one.holes = holes.get(key[0], 0) if key[1] == store.TICKS else 0
        one.waiting = waiting if key == (store.MARKET, store.TICKS) else 0
        yield one


def _holes(selected: Selected) -> Iterator[str]:
    """The symbol of each hole; those of the whole market are counted without one."""
    table = load(selected, selected.parts[0])
    types, bodies = (table.column(name).to_pylist() for name in ("type", "body"))
    for kind, body in zip(types, bodies, strict=True):
        if kind == "break" and isinstance(notes.decode(body.encode()), Break):
            yield store.MARKET
        elif kind == "condition":
            event = codec.decode(body.encode())
            if (
                isinstance(event, Condition)
                and event.name is ConditionName.DATA_GAP
                and event.phase is ConditionPhase.BEGAN
            ):
                yield event.symbol or store.MARKET
