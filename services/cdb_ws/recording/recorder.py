"""Records what is received and published, on a thread beside the market's.

It never delays the market: its queue is bounded, and a full disk stops the recording, not trading.
What is missing afterwards is noted in the recording itself.
"""

import contextlib
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from services.cdb_ws.conditions import alert
from services.cdb_ws.data_error import DataError
from services.cdb_ws.recording import store, write_ahead_log
from services.cdb_ws.recording.journal import Frame, Journal
from services.cdb_ws.recording.store import FolderBusyError, State
from services.cdb_ws.recording.write_ahead_log import Kind, SegmentReader
from services.kernel.events import (
    Alert,
    AlertLevel,
    AlertPhase,
    Clock,
    Event,
    codec,
)
from services.kernel.events.ids import make_id
from services.kernel.events.topics import WS
from services.runtime.bus.encoded import Outgoing
from services.runtime.service import logging

QUEUE_BYTES: Final = 64 << 20
EVENT_BYTES: Final = 600
"""Approximate size of an event in the queue."""

LEAST_FREE_BYTES: Final = 512 << 20
"""The recorder stops before the disk is full: the bus and the database may write on it too."""

MOST_EARLY: Final = 10_000
"""Maximum number of events kept while the folder cannot be opened; contract details among them."""

WRITE_EVERY_S: Final = 0.25
SYNC_EVERY_S: Final = 1.0
RETRY_EVERY_S: Final = 5.0

_log = logging.get(__name__)

Item = Sequence[Outgoing] | Frame


def free_bytes(folder: Path) -> int:
    """Free space of the disk that a folder is on."""
    return shutil.disk_usage(folder).free


def start_packer(folder: Path) -> "subprocess.Popen[bytes]":
    """Pack a recording's segments in a process of its own."""
    command = [sys.executable, "-m", "services.cdb_ws.recording.packing", str(folder)]
    return subprocess.Popen(  # noqa: S603 - our own program
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


class Recorder:
    """Records one market into one folder.

    Args:
        folder: Created if missing; one recorder at a time.
        packer: Starts the packing of full segments.
        free: Returns the free bytes of the folder's disk.
        frames: Whether raw frames are recorded in addition to events.

    Attributes:
        trouble: Why nothing can be recorded now; None while it can.
        events_written, frames_written, dropped: Totals so far.
    """

    def __init__(
        self,
        folder: Path,
        packer: Callable[[Path], "subprocess.Popen[bytes]"] = start_packer,
        free: Callable[[Path], int] = free_bytes,
        *,
        frames: bool = True,
    ) -> None:
        self.folder = folder
        self.trouble: str | None = None
        self.events_written = 0
        self.frames_written = 0
        self.dropped = 0
        self._start_packer = packer
        self._free = free
        self._frames = frames
        self._packer: subprocess.Popen[bytes] | None = None
        self._pack_wanted = False
        self._held = contextlib.ExitStack()
        self._queue: deque[Item] = deque()
        self._queued_bytes = 0
        self._lock = threading.Lock()
        self._missing = 0
        self._news: deque[tuple[AlertPhase, str]] = deque(maxlen=100)
        self._began_ns = time.time_ns()
        self._reported = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._journal: Journal | None = None
        self._early: deque[Outgoing] = deque(maxlen=MOST_EARLY)
        self._sync_at = self._retry_at = 0.0

    def open(self) -> None:
        """Take the folder, and repair what a killed recorder left.

        Raises:
            FolderBusyError: Another recorder writes there.
            DataError: Its content is damaged.
            OSError: It cannot be written.
        """
        write_ahead_log.repair(self.folder)
        self._held.enter_context(store.taken(self.folder, "record"))
        self._journal = Journal(self.folder, _stands_at(self.folder), self._want_packing)
        self._pack_wanted = bool(write_ahead_log.full_segments(self.folder))

    def start(self) -> None:
        """Begin; a folder that is not open yet is opened as soon as it can be."""
        self._thread.start()

    # -- what the market's threads call -----------------------------------------------------------

    def events(self, events: Sequence[Outgoing]) -> None:
        """Record what was published; never waits."""
        if events:
            self._put(tuple(events), EVENT_BYTES * len(events), len(events))

    def frame(
        self, received_ms: int, connection: int, symbol: str | None, body: str | bytes
    ) -> None:
        """Record what was received; never waits."""
        if not self._frames:
            return
        raw = body.encode() if isinstance(body, str) else body
        self._put(Frame(received_ms, connection, symbol or "", raw), len(raw) + EVENT_BYTES, 1)

    def alerts(self, run_id: str, timestamp: int) -> list[Event]:
        """The alerts of the recorder since the last call."""
        reported: list[Event] = []
        while self._news:
            phase, message = self._news.popleft()
            self._reported += 1
            unique = f"{self._began_ns}:{self._reported}"
            reported.append(_alert(run_id, timestamp, phase, message, unique))
        return reported

    def counts(self) -> dict[str, object]:
        """What was recorded, JSON-able."""
        return {
            "folder": str(self.folder),
            "segment": self._journal.segment if self._journal else "",
            "events": self.events_written,
            "frames": self.frames_written,
            "dropped": self.dropped,
            "queued_bytes": self._queued_bytes,
            "trouble": self.trouble,
        }

    def close(self, seconds: float = 5.0) -> None:
        """Write the queue, pack it if there is time, and release the folder.

        The rest is packed by the next recorder, or by ``claire data check --repair``.
        """
        until = time.monotonic() + seconds
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(seconds)
            self._look_after_packer()
        if self._packer is not None:
            try:
                self._packer.communicate(timeout=max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._packer.terminate()
                self._packer.communicate()
        self._held.close()

    def _put(self, item: Item, size: int, count: int) -> None:
        with self._lock:
            # After the first loss all is dropped until the queue is empty: one gap, not many.
            if self._missing or self._queued_bytes + size > QUEUE_BYTES:
                self.dropped += count
                self._missing += count
                return
            self._queue.append(item)
            self._queued_bytes += size

    # -- the recorder's own thread ----------------------------------------------------------------

    def _work(self) -> None:
        while not self._stopping.wait(WRITE_EVERY_S):
            self._turn()
        self._turn()
        if self.trouble is None and self._journal is not None:
            try:
                self._journal.end_segment()
            except OSError as error:
                _log.warning("recorder_not_closed", reason=str(error))

    def _turn(self) -> None:
        with self._lock:
            items, self._queue = self._queue, deque()
            missing, self._missing, self._queued_bytes = self._missing, 0, 0
        now = time.monotonic()
        self._look_after_packer()
        if self.trouble is not None and now < self._retry_at:
            self._drop(items, self.trouble)
            return
        try:
            self._check_space(now)
            if self._journal is None:
                self.open()
            journal = self._journal
            assert journal is not None
            if self._early:
                journal.miss(self._early)
                journal.after_break(self.trouble or "the recorder began late", 0)
                self._early.clear()
            events, frames = _record(journal, items)
            journal.write(durable=now >= self._sync_at)
        except (OSError, DataError, FolderBusyError) as error:
            self._stop(items, str(error))
            return
        except Exception as error:  # a silent end of the thread would drop everything after it
            _log.exception("recorder_failed")
            self._stop(items, repr(error))
            return
        self.events_written += events
        self.frames_written += frames
        if now >= self._sync_at:
            self._sync_at = now + SYNC_EVERY_S
        if self.trouble is not None:
            self._news.append((AlertPhase.CLEARED, f"recording again, {self.dropped} lost so far"))
            _log.warning("recorder_resumes", dropped=self.dropped)
            self.trouble = None
        if missing:  # taken in order: these came after all that was just written
            journal.after_break("the recorder could not keep up", missing)
            _log.warning("recorder_too_slow", dropped=missing)

    def _check_space(self, now: float) -> None:
        if now < self._sync_at and self.trouble is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        free = self._free(self.folder)
        if free < LEAST_FREE_BYTES:
            raise OSError(
                f"{free >> 20} MiB are free in {self.folder}, {LEAST_FREE_BYTES >> 20} must stay"
                " free: delete old days"
            )

    def _stop(self, items: "deque[Item]", reason: str) -> None:
        """Nothing can be written: report it once, and try again later."""
        self._retry_at = time.monotonic() + RETRY_EVERY_S
        if self._journal is not None:
            with contextlib.suppress(OSError):
                self._journal.end_segment()
        self._drop(items, reason)
        if self.trouble is None:
            _log.error("recorder_stopped", reason=reason)
            self._news.append((AlertPhase.BEGAN, reason))
        self.trouble = reason

    def _drop(self, items: "deque[Item]", reason: str) -> None:
        journal = self._journal
        count = 0
        for item in items:
            if isinstance(item, Frame):
                count += 1
            else:
                count += len(item)
                if journal is None:
                    self._early += item
                else:
                    journal.miss(item)
        if journal is not None:
            journal.after_break(reason, count)
        with self._lock:
            self.dropped += count

    def _want_packing(self) -> None:
        self._pack_wanted = True

    def _look_after_packer(self) -> None:
        packer = self._packer
        if packer is not None and packer.poll() is not None:
            _, said = packer.communicate()
            if packer.returncode:
                _log.warning("packing_failed", reason=said.decode(errors="replace")[-500:])
            self._packer = None
        if self._pack_wanted and self._packer is None:
            self._pack_wanted = False
            try:
                self._packer = self._start_packer(self.folder)
            except OSError as error:
                _log.warning("packing_not_started", reason=str(error))


def _record(journal: Journal, items: "deque[Item]") -> tuple[int, int]:
    """Put items into the journal; returns how many events and frames that were."""
    events = frames = 0
    for item in items:
        if isinstance(item, Frame):
            journal.frame(item)
            frames += 1
        else:
            events += journal.events(item)
    return events, frames


def _stands_at(folder: Path) -> State:
    """The state of the recording, including what a killed recorder wrote last."""
    state = store.read_state(folder)
    for path in write_ahead_log.full_segments(folder):
        reader = SegmentReader(path)
        for _, entry in reader.scan():
            if entry.kind is Kind.MARKET:
                event = codec.decode(entry.body)
                if isinstance(event, Clock):
                    state = msgspec.structs.replace(
                        state, run_id=event.run_id, clock=event.timestamp
                    )
        reader.close()
    return state


def _alert(run_id: str, timestamp: int, phase: AlertPhase, message: str, unique: str) -> Alert:
    code = "RECORDER_STOPPED"
    event_id = make_id(run_id, WS, "alert", code, phase, unique)
    return alert(event_id, run_id, timestamp, AlertLevel.WARNING, code, message, phase=phase)
