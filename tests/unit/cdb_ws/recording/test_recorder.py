"""The recorder on bad days: a full disk, a kill, a market that is too fast, two of them at once."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from services.cdb_ws.conditions import data_gap
from services.cdb_ws.recording import packing, recorder, store, write_ahead_log
from services.cdb_ws.recording.journal import Journal
from services.cdb_ws.recording.recorder import Recorder
from services.cdb_ws.recording.store import FolderBusyError
from services.cdb_ws.recording.write_ahead_log import SegmentFile
from services.kernel.events import Alert, AlertPhase, Condition, ConditionPhase, Event, MarketData
from tests.deadline import DEADLINE_S, wait_until
from tests.unit.cdb_ws.recording import recordings
from tests.unit.cdb_ws.recording.events import NOON, RUN, clock, details, said, trade

pytestmark = pytest.mark.unit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "recording"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "WRITE_EVERY_S", 0.01)
    monkeypatch.setattr(recorder, "SYNC_EVERY_S", 0.0)
    monkeypatch.setattr(recorder, "RETRY_EVERY_S", 0.05)


def second(number: int) -> list[Event]:
    """A clock, and a trade of its second."""
    at = NOON + 1000 * number
    return [clock(at), trade(at + 1, f"{100 + number}")]


def test_raw_frames_are_kept_as_they_were_received(folder: Path) -> None:
    writer = recordings.recorder(folder)
    writer.frame(NOON, 1, None, '{"channel":"pong"}')
    writer.events([details(), clock(NOON)])
    writer.frame(NOON + 1, 2, "BTC_USDT", b"\x1f\x8b\xff")
    writer.frame(NOON + 2, 2, "BTC_USDT", '{"p":1.0}')
    writer.close()
    packing.pack(folder)

    day = folder / store.day_of(NOON)
    trades = pq.read_table(day / "BTC_USDT" / "frames-000001.parquet").to_pylist()
    assert [(f["row"], f["received_ms"], f["connection"], f["body"]) for f in trades] == [
        (1, NOON + 1, 2, b"\x1f\x8b\xff"), (2, NOON + 2, 2, b'{"p":1.0}'),
    ]  # fmt: skip
    others = pq.read_table(day / "_market" / "frames-000001.parquet").to_pylist()
    assert [frame["body"] for frame in others] == [b'{"channel":"pong"}']
    segment = store.read_manifest(day)[0]
    assert (segment.events, segment.frames, segment.runs) == (2, 3, (RUN,))
    assert {part.file: part.rows for part in segment.parts} == {
        "BTC_USDT/frames-000001.parquet": 2,
        "_market/events-000001.parquet": 2,
        "_market/frames-000001.parquet": 1,
    }
    assert all(store.file_digest(day / part.file) == part.sha256 for part in segment.parts)


def test_two_full_disks_at_one_event_time_are_two_alerts(folder: Path) -> None:
    free = [1 << 40]
    writer = Recorder(folder, recordings.no_packer, lambda _: free[0])
    writer.start()
    writer.events([details(), *second(0)])
    wait_until(lambda: writer.events_written == 3, "3 events")
    for _ in range(2):
        free[0] = 1 << 20
        wait_until(lambda: writer.trouble is not None, "trouble")
        free[0] = 1 << 40
        wait_until(lambda: writer.trouble is None, "no trouble")
    writer.close()
    reported = writer.alerts(RUN, NOON)
    assert len(reported) == 4
    assert len({event.event_id for event in reported}) == 4


def test_a_full_disk_is_reported_once_and_afterwards_recording_goes_on(folder: Path) -> None:
    free = [1 << 40]
    writer = Recorder(folder, recordings.no_packer, lambda _: free[0])
    writer.start()
    gap = data_gap(RUN, NOON, ConditionPhase.BEGAN, detail="away", unique=1)
    writer.events([details(), *second(0), gap])
    wait_until(lambda: writer.events_written == 4, "4 events")

    free[0] = 1 << 20
    wait_until(lambda: writer.trouble is not None, "trouble")
    back = data_gap(RUN, NOON + 1500, ConditionPhase.CLEARED, detail="back", unique=1)
    writer.events([*second(1), back])
    wait_until(lambda: writer.dropped == 3, "dropped 3")
    began = writer.alerts(RUN, NOON)
    free[0] = 1 << 40
    wait_until(lambda: writer.trouble is None, "no trouble")
    writer.events(second(60))
    writer.close()
    packing.pack(folder)

    cleared = writer.alerts(RUN, NOON + 1)
    assert [(a.code, a.phase) for a in [*began, *cleared] if isinstance(a, Alert)] == [
        ("RECORDER_STOPPED", AlertPhase.BEGAN), ("RECORDER_STOPPED", AlertPhase.CLEARED),
    ]  # fmt: skip
    again = recordings.replayed(folder)
    assert said([e for e in again if isinstance(e, MarketData)]) == said(
        [second(0)[1], second(60)[1]]
    )
    reported = [(c.phase, c.detail.split(":")[0], c.lost_from, c.lost_to) for c in again
            if isinstance(c, Condition)]  # fmt: skip
    assert reported == [
        (ConditionPhase.BEGAN, "away", None, None),
        (ConditionPhase.BEGAN, "not recorded", None, None),
        (ConditionPhase.CLEARED, "away", None, None),
        (ConditionPhase.CLEARED, "not recorded", NOON, NOON + 60_000),
    ]


def test_an_entry_that_could_not_be_written_leaves_the_segment_whole(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = recordings.recorder(folder)
    writer.events([details(), *second(0)])
    wait_until(lambda: writer.events_written == 3, "3 events")
    really = SegmentFile.write

    def full(segment: SegmentFile) -> None:
        raw = os.write

        def half(handle: int, data: memoryview) -> int:
            raw(handle, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(os, "write", half)
            really(segment)

    monkeypatch.setattr(SegmentFile, "write", full)
    writer.events(second(1))
    wait_until(lambda: writer.dropped == 2, "dropped 2")
    monkeypatch.setattr(SegmentFile, "write", really)
    wait_until(lambda: writer.trouble is None, "no trouble")
    writer.events(second(2))
    writer.close()
    packing.pack(folder)

    days = store.read_manifest(store.days(folder)[0])
    assert [segment.cut_off for segment in days] == [False, False]
    ticks = [event for event in recordings.replayed(folder) if isinstance(event, MarketData)]
    assert said(ticks) == said([second(0)[1], second(2)[1]])
    assert "No space left" in str(writer.alerts(RUN, NOON)[0])


def test_too_much_at_once_is_one_hole_in_the_recording(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "QUEUE_BYTES", 3 * recorder.EVENT_BYTES)
    monkeypatch.setattr(recorder, "WRITE_EVERY_S", 0.2)
    writer = recordings.recorder(folder)
    writer.events([details(), *second(0)])
    writer.events(second(1))
    writer.events([clock(NOON + 2000)])
    wait_until(lambda: writer.events_written == 3, "3 events")
    writer.events(second(3))
    writer.close()
    packing.pack(folder)

    assert writer.dropped == 3
    holes = [e for e in recordings.replayed(folder) if isinstance(e, Condition)]
    assert [(hole.lost_from, hole.lost_to) for hole in holes] == [
        (None, None), (NOON, NOON + 3000),
    ]  # fmt: skip


KILLED = """
import sys, time
from pathlib import Path
from tests.unit.cdb_ws.recording import recordings
from tests.unit.cdb_ws.recording.events import details
from tests.unit.cdb_ws.recording.test_recorder import second
writer = recordings.recorder(Path(sys.argv[1]))
writer.events([details(), *second(0), *second(1)])
while writer.events_written < 5:
    time.sleep(0.01)
print("written", flush=True)
time.sleep(60)
"""


def test_what_a_killed_recorder_wrote_is_packed_by_the_next(folder: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=DEADLINE_S)
    left = write_ahead_log.open_segments(folder)[0]
    with left.open("ab") as file:
        file.write(b"\x40\0\0\0half an entry")

    recordings.record(folder, second(2))

    events = [details(), *second(0), *second(1), *second(2)]
    assert said(recordings.replayed(folder)) == said(events)
    assert [s.cut_off for s in store.read_manifest(store.days(folder)[0])] == [True, False]


def test_a_segment_is_packed_once_however_often_packing_is_killed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = recordings.recorder(folder)
    writer.events([details(), *second(0)])
    writer.close()
    segment = write_ahead_log.full_segments(folder)[0]
    content = segment.read_bytes()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(store, "append_manifest", killed)
        with pytest.raises(KeyboardInterrupt):
            packing.pack(folder)
    assert packing.pack(folder) == 1
    segment.write_bytes(content)  # as if it was killed before the segment was removed
    assert packing.pack(folder) == 1

    assert len(store.read_manifest(store.days(folder)[0])) == 1
    assert said(recordings.replayed(folder)) == said([details(), *second(0)])


def test_a_manifest_line_that_was_not_finished_is_written_again(folder: Path) -> None:
    recordings.record(folder, [details(), *second(0)])
    manifest = store.days(folder)[0] / store.MANIFEST
    manifest.write_bytes(manifest.read_bytes() + b'{"segment":2,"ev')

    recordings.record(folder, second(1))

    assert said(recordings.replayed(folder)) == said([details(), *second(0), *second(1)])


def test_one_recorder_at_a_time(folder: Path) -> None:
    writer = recordings.recorder(folder)
    with pytest.raises(FolderBusyError, match="another process is busy"):
        recordings.recorder(folder)
    writer.close()
    recordings.recorder(folder).close()


def test_a_folder_that_cannot_be_opened_yet_holds_nobody_up(folder: Path) -> None:
    folder.write_text("a file is in the way")
    writer = Recorder(folder, recordings.no_packer, lambda _: 1 << 40)
    writer.start()
    writer.events([details(), *second(0)])
    wait_until(lambda: writer.trouble is not None, "trouble")
    folder.unlink()
    wait_until(lambda: writer.trouble is None, "no trouble")
    writer.events(second(1))
    writer.close()
    packing.pack(folder)

    assert writer.dropped == 3
    assert said(recordings.replayed(folder)) == said([details(), *second(1)])


def test_segments_are_packed_beside_the_recorder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.cdb_ws.recording.journal.SEGMENT_BYTES", 1)
    writer = Recorder(folder, free=lambda _: 1 << 40)
    writer.start()
    writer.events([details(), *second(0)])
    wait_until(lambda: bool(store.days(folder)), "a day of the recording")
    writer.close()

    assert said(recordings.replayed(folder)) == said([details(), *second(0)])


def test_an_unexpected_error_ends_no_recorder_in_silence(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = recordings.recorder(folder)
    writer.events([details(), *second(0)])
    wait_until(lambda: writer.events_written == 3, "3 events")
    with monkeypatch.context() as patched:

        def fails(*_: object) -> int:
            raise RuntimeError("a defect")

        patched.setattr(Journal, "events", fails)
        writer.events(second(1))
        wait_until(lambda: writer.dropped == 2, "dropped 2")
    wait_until(lambda: writer.trouble is None, "no trouble")
    writer.events(second(2))
    wait_until(lambda: writer.events_written == 5, "5 events")
    writer.close()

    assert writer.dropped == 2
    assert [alert.phase for alert in writer.alerts(RUN, NOON) if isinstance(alert, Alert)] == [
        AlertPhase.BEGAN,
        AlertPhase.CLEARED,
    ]
