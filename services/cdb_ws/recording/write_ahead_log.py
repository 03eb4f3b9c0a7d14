"""The write-ahead log of a recording: entries are appended here first and are never lost.

An entry that was not written to its end (process killed, disk full) is found by its checksum and
left out.
"""

import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Final, NamedTuple

from services.cdb_ws.recording.store import LOG_FOLDER, sync_folder, taken

OPEN_SUFFIX: Final = ".open"
FULL_SUFFIX: Final = ".full"
BUFFER_BYTES: Final = 1 << 20

_HEAD = struct.Struct("<IIqBHi")
_MAGIC = b"CDBSPOOL1\n"


class Kind(IntEnum):
    """What an entry is."""

    TICK = 0
    MARKET = 1
    FRAME = 2
    NOTE = 3


class Entry(NamedTuple):
    """One entry.

    Attributes:
        time_ms: Timestamp of an event, time of receipt of a frame.
        connection: Of a frame; 0 else.
        body: JSON of an event, the frame as it was received, the recorder's own note.
    """

    kind: Kind
    time_ms: int
    symbol: str
    connection: int
    body: bytes


class SegmentFile:
    """The segment that is being written.

    Args:
        folder: The recording.
        day: Day of its entries.
        number: Number of the segment.

    Raises:
        OSError: It cannot be written.
    """

    def __init__(self, folder: Path, day: str, number: int) -> None:
        log = folder / LOG_FOLDER
        log.mkdir(parents=True, exist_ok=True)
        self.path = log / f"{day}.{number:06d}{OPEN_SUFFIX}"
        self.day = day
        self.size = 0
        self._durable = 0
        self._waiting: list[bytes] = []
        self._handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        self._waiting.append(_MAGIC)

    def add(self, entry: Entry) -> None:
        """Append an entry; ``write`` passes it to the operating system."""
        symbol = entry.symbol.encode()
        payload = symbol + entry.body
        head = _HEAD.pack(
            len(payload),
            zlib.crc32(payload),
            entry.time_ms,
            entry.kind,
            len(symbol),
            entry.connection,
        )
        self._waiting += (head, payload)

    def write(self) -> None:
        """Pass the appended entries to the operating system.

        Raises:
            OSError: The disk is full or broken; a partial write is undone.
        """
        data = b"".join(self._waiting)
        self._waiting.clear()
        try:
            written = 0
            while written < len(data):
                written += os.write(self._handle, memoryview(data)[written:])
        except OSError:
            os.ftruncate(self._handle, self.size)
            os.lseek(self._handle, self.size, os.SEEK_SET)
            raise
        self.size += len(data)

    def sync(self) -> None:
        """Make it durable.

        Raises:
            OSError: It could not be.
        """
        if self._durable != self.size:
            os.fsync(self._handle)
            self._durable = self.size

    def close(self) -> None:
        """End the segment: it can be packed."""
        try:
            self.sync()
        finally:
            os.close(self._handle)
        finish(self.path)


def finish(path: Path) -> Path:
    """Mark a segment without a writer as ready to be packed."""
    full = path.with_suffix(FULL_SUFFIX)
    path.replace(full)
    sync_folder(path.parent)
    return full


def open_segments(folder: Path) -> list[Path]:
    """Segments that are being written, or whose writer was killed."""
    return sorted((folder / LOG_FOLDER).glob(f"*{OPEN_SUFFIX}"), key=number_of)


def full_segments(folder: Path) -> list[Path]:
    """Segments that wait to be packed, in their order."""
    return sorted((folder / LOG_FOLDER).glob(f"*{FULL_SUFFIX}"), key=number_of)


def number_of(path: Path) -> int:
    """The number of a segment, from its name."""
    return int(path.name.split(".")[1])


def day_of_segment(path: Path) -> str:
    """The day of a segment's entries, from its name."""
    return path.name.split(".")[0]


def repair(folder: Path) -> int:
    """Make what a killed recorder left ready to be packed; returns how many segments that was.

    Raises:
        FolderBusyError: A recorder is at work.
        OSError: The folder cannot be written.
    """
    with taken(folder, "record"):
        left = open_segments(folder)
        for path in left:
            finish(path)
        return len(left)


class SegmentReader:
    """Reads a written segment: its entries in order, and any of them again by its place.

    Attributes:
        cut_off: Whether the last entry was not written to its end; known after ``scan``.
    """

    def __init__(self, path: Path) -> None:
        self.cut_off = False
        self._size = path.stat().st_size
        with path.open("rb") as file:
            self._bytes: mmap.mmap | bytes = (
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if self._size else b""
            )

    def scan(self) -> Iterator[tuple[int, Entry]]:
        """Each whole entry with its place."""
        self.cut_off = self._bytes[: len(_MAGIC)] != _MAGIC
        place = len(_MAGIC)
        while not self.cut_off and place < self._size:
            if place + _HEAD.size > self._size:
                self.cut_off = True
                return
            length, checksum, time_ms, kind, symbol_length, connection = _HEAD.unpack_from(
                self._bytes, place
            )
            begin = place + _HEAD.size
            payload = self._bytes[begin : begin + length]
            if len(payload) < length or zlib.crc32(payload) != checksum:
                self.cut_off = True
                return
            symbol = payload[:symbol_length].decode()
            yield place, Entry(Kind(kind), time_ms, symbol, connection, payload[symbol_length:])
            place = begin + length

    def at(self, place: int) -> Entry:
        """The entry at a place returned by ``scan``."""
        length, _, time_ms, kind, symbol_length, connection = _HEAD.unpack_from(self._bytes, place)
        begin = place + _HEAD.size
        symbol = self._bytes[begin : begin + symbol_length].decode()
        body = self._bytes[begin + symbol_length : begin + length]
        return Entry(Kind(kind), time_ms, symbol, connection, body)

    def close(self) -> None:
        """Close the file."""
        if isinstance(self._bytes, mmap.mmap):
            self._bytes.close()
