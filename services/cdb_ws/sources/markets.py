"""Recorded data as a market: which source reads what ``CDB_DATA`` names."""

from collections.abc import Sequence
from pathlib import Path

from services.cdb_ws.data_error import DataError
from services.cdb_ws.recording import store
from services.cdb_ws.recording.selection import root_of
from services.cdb_ws.sources.recorded import RecordedSource
from services.cdb_ws.sources.replay import Refuse, Replay
from services.runtime.intake.event_time import STALE_MS


def open_market(
    paths: Sequence[Path],
    run_id: str,
    instruments: Path | None = None,
    *,
    behind_ms: int = STALE_MS,
    refuse: Refuse = lambda _: None,
) -> RecordedSource:
    """The market in some files and folders: a recording, or data files merged by time.

    Args:
        paths: Parts of one recording; or data files, data sets, and folders of data sets.
        run_id: The run that the events belong to.
        instruments: A file with contract details, if there is one.
        behind_ms: The stale timeout. A row of a data file that is older is left out; recorded
            events are never judged again.
        refuse: Called with each tick that is left out.

    Raises:
        DataError: Something is missing, given twice, or unusable.
    """
    for path in paths:
        if not path.exists():
            raise DataError(path, None, "there is no such file", "check the path given with --data")
    if any(root_of(path) for path in paths):
        # Loaded only for data that needs it: 40 MB.
        from services.cdb_ws.sources.recording import Recording  # noqa: PLC0415

        return Recording(paths, run_id, instruments)
    files = [file for path in paths for file in _data_files(path)]
    return Replay(files, run_id, instruments, behind_ms=behind_ms, refuse=refuse)


def _data_files(path: Path) -> list[Path]:
    """A file or data set as it is; a folder's data sets."""
    if not path.is_dir() or (path / store.MANIFEST).is_file():
        return [path]
    found = sorted(manifest.parent for manifest in path.glob(f"*/{store.MANIFEST}"))
    if not found:
        raise DataError(
            path, None, "the folder holds neither a recording nor data sets", "name its files"
        )
    return found
