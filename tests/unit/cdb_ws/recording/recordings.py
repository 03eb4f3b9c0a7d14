"""Recordings as tests make them: in this process, packed at once."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from services.cdb_ws.recording import packing
from services.cdb_ws.recording.recorder import Recorder
from services.cdb_ws.sources.recording import Recording
from services.kernel.events import Event
from services.runtime.bus.encoded import Outgoing

DISK_FREE = 1 << 40


def no_packer(_folder: Path) -> "subprocess.Popen[bytes]":
    """The test packs by itself."""
    return subprocess.Popen(
        [sys.executable, "-c", ""], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def recorder(folder: Path) -> Recorder:
    found = Recorder(folder, no_packer, lambda _: DISK_FREE)
    found.open()
    found.start()
    return found


def record(folder: Path, *batches: Sequence[Outgoing]) -> None:
    """Record batches of events in one session, and pack them."""
    writer = recorder(folder)
    for batch in batches:
        writer.events(batch)
    writer.close()
    packing.pack(folder)


def replayed(*paths: Path, run_id: str = "again") -> list[Event]:
    return [event for _, event in Recording(paths, run_id).steps()]
