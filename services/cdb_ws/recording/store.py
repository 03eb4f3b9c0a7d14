"""A recording on disk: its folders, its manifest, and who may write.

::

    <folder>/
      state.json                 the next segment's number, and where the recording stands
      spool/                     the write-ahead log: segments not packed yet
      2026-11-21/manifest.jsonl  one line per packed segment: files, rows, hashes
      2026-11-21/_market/events-000007.parquet      clocks, contract details, conditions
      2026-11-21/BTC_USDT/events-000007.parquet     ticks
      2026-11-21/BTC_USDT/frames-000007.parquet     raw frames

A day is that of publication, in UTC: a backfilled tick stays in the day in which it became known.
"""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

import msgspec
from msgspec import Struct

from services.cdb_ws.data_error import DataError
from services.kernel.bounded_json import Decoder

MARKET: Final = "_market"
"""The folder of events and frames without a symbol."""

MANIFEST: Final = "manifest.jsonl"
LOG_FOLDER: Final = "spool"
STATE: Final = "state.json"
TICKS: Final = "events"
FRAMES: Final = "frames"


class FolderBusyError(Exception):
    """Another process records into the folder, or packs it."""


class Part(Struct, frozen=True, kw_only=True):
    """One Parquet file.

    Attributes:
        file: Its path below the day's folder.
        content: ``events`` or ``frames``.
        symbol: Whose; ``_market`` for what has none.
        first_ms, last_ms: Least and greatest timestamp in it.
        sha256: Of the file's bytes.
    """

    file: str
    content: str
    symbol: str
    rows: int
    bytes: int
    first_ms: int
    last_ms: int
    sha256: str


class Segment(Struct, frozen=True, kw_only=True, rename={"cut_off": "torn"}):
    """One packed segment: what was recorded without a break of the writing.

    Attributes:
        events, frames: How many; the rows of the parts are numbered from 0 to one less.
        cut_off: The writer was killed in the middle of its last entry, which is left out. The
            manifest names this field ``torn``.
    """

    segment: int
    events: int
    frames: int
    first_ms: int
    last_ms: int
    runs: tuple[str, ...]
    parts: tuple[Part, ...]
    cut_off: bool = False


class State(Struct, frozen=True, kw_only=True):
    """Where a recording stands.

    Attributes:
        next_segment: Number of the segment that is begun next.
        run_id: The run that was recorded last.
        clock: Its last clock, Unix milliseconds; 0 before the first.
    """

    next_segment: int = 1
    run_id: str = ""
    clock: int = 0


_segments = Decoder(Segment)
_states = Decoder(State)


def day_of(timestamp: int) -> str:
    """The UTC day of a time in Unix milliseconds, as ``2026-11-21``."""
    return datetime.fromtimestamp(timestamp / 1000, UTC).date().isoformat()


def folder_name(symbol: str) -> str:
    """A symbol as the name of a folder, whatever a venue calls its contracts."""
    return quote(symbol, safe="")


def symbol_of(folder: str) -> str:
    """The symbol of a folder."""
    return unquote(folder)


def read_state(folder: Path) -> State:
    """Where the recording stands; the beginning where there is none.

    Raises:
        DataError: The file is damaged.
    """
    path = folder / STATE
    try:
        return _states.decode(path.read_bytes())
    except FileNotFoundError:
        return State()
    except (OSError, msgspec.DecodeError) as error:
        raise DataError(path, None, f"it cannot be read ({error})", "restore it") from error


def write_state(folder: Path, state: State) -> None:
    """Keep where the recording stands."""
    write_whole(folder / STATE, msgspec.json.encode(state))


def read_manifest(day: Path) -> list[Segment]:
    """The packed segments of a day, in their order; empty where there are none.

    A line that was not written to its end belongs to a segment that is packed again.

    Raises:
        DataError: A line is damaged.
    """
    path = day / MANIFEST
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(path, None, f"it cannot be read ({error})", "check the path") from error
    found: dict[int, Segment] = {}
    for number, line in enumerate(lines[:-1], start=1):
        try:
            segment = _segments.decode(line)
        except msgspec.DecodeError as error:
            raise DataError(
                path, number, f"it is damaged ({error})", "restore it from a backup"
            ) from error
        found[segment.segment] = segment
    return [found[number] for number in sorted(found)]


def append_manifest(folder: Path, line: Struct) -> None:
    """Add a line to a folder's manifest, all of it or nothing."""
    path = folder / MANIFEST
    with path.open("ab+") as file:
        whole = _length_of_whole_lines(file.fileno())
        os.ftruncate(file.fileno(), whole)
        file.write(msgspec.json.encode(line) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    sync_folder(folder)


def _length_of_whole_lines(handle: int) -> int:
    size = os.fstat(handle).st_size
    content = os.pread(handle, size, 0)
    return content.rfind(b"\n") + 1


def days(folder: Path) -> list[Path]:
    """The folders of a recording's days, in their order."""
    return sorted(path.parent for path in folder.glob(f"????-??-??/{MANIFEST}"))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it has either its old content or its new one."""
    beside = path.with_name(f".{path.name}.tmp")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def taken(folder: Path, purpose: str) -> Iterator[None]:
    """Hold the folder for one purpose (``record``, ``pack``).

    Raises:
        FolderBusyError: Another process holds it.
        OSError: The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f".{purpose}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderBusyError(
                f"{folder}: another process is busy with it ({purpose}); wait for it, or choose"
                " another folder"
            ) from None
        yield
