"""Resolves which part of a recording is meant: all of it, days, a symbol, single files."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from services.cdb_ws.data_error import DataError
from services.cdb_ws.recording import store, write_ahead_log
from services.cdb_ws.recording.store import Part, Segment

EVERYTHING: Final = "give the recording's folder, a day of it, or a symbol of a day"


class Selected(NamedTuple):
    """The chosen files of one segment.

    Attributes:
        day: The folder.
        parts: Files with events: ticks by symbol, and what has no symbol.
        whole: Whether that is all of the segment.
    """

    day: Path
    segment: Segment
    parts: tuple[Part, ...]
    whole: bool


class _Wanted(NamedTuple):
    """``None`` stands for all of them."""

    symbol: str | None
    file: str | None


def root_of(path: Path) -> Path | None:
    """The recording that contains a path; None if there is none."""
    path = path.resolve()
    for folder, depth in ((path, 0), *((parent, 1) for parent in path.parents[:3])):
        if (folder / store.STATE).is_file() and store.days(folder):
            return folder
        if depth == 0 and (folder / store.LOG_FOLDER).is_dir():
            return folder
    return None


def select(paths: Sequence[Path]) -> tuple[Selected, ...]:
    """The files that a replay of these paths reads, in the order in which they were recorded.

    Raises:
        DataError: A path is of no recording, they are of several, or nothing is packed there.
    """
    roots = {root_of(path) for path in paths}
    if None in roots or len(roots) != 1:
        raise DataError(
            paths[0], None, "these are not all of one recording", f"{EVERYTHING}, and nothing else"
        )
    wanted: dict[Path, set[_Wanted]] = defaultdict(set)
    for path in paths:
        for day, what in _wanted(path):
            wanted[day].add(what)
    [root] = roots
    assert root is not None
    whole = root in {path.resolve() for path in paths}
    _refuse_unpacked(root, None if whole else {day.name for day in wanted})
    selected = [
        found
        for day in sorted(wanted)
        for segment in store.read_manifest(day)
        if (found := _chosen(day, segment, wanted[day])) is not None
    ]
    if not selected:
        raise DataError(paths[0], None, "nothing is recorded there", EVERYTHING)
    return tuple(sorted(selected, key=lambda one: one.segment.segment))


def _refuse_unpacked(root: Path, days: Collection[str] | None) -> None:
    """Part of a day, or of the whole recording (None), would be taken for all of it."""
    waiting = (*write_ahead_log.open_segments(root), *write_ahead_log.full_segments(root))
    for path in waiting:
        if not days or write_ahead_log.day_of_segment(path) in days:
            raise DataError(
                path,
                None,
                "this part of the day is not packed yet",
                f"end the recorder if one is at work, then `claire data check --repair {root}`",
            )


def _wanted(path: Path) -> list[tuple[Path, _Wanted]]:
    path = path.resolve()
    if (path / store.MANIFEST).is_file():
        return [(path, _Wanted(None, None))]
    if (path.parent / store.MANIFEST).is_file():
        return [(path.parent, _Wanted(store.symbol_of(path.name), None))]
    if path.is_file() and (path.parents[1] / store.MANIFEST).is_file():
        name = path.relative_to(path.parents[1]).as_posix()
        return [(path.parents[1], _Wanted(None, name))]
    return [(day, _Wanted(None, None)) for day in store.days(path)]


def _chosen(day: Path, segment: Segment, wanted: set[_Wanted]) -> Selected | None:
    events = [part for part in segment.parts if part.content == store.TICKS]
    market = [part for part in events if part.symbol == store.MARKET]
    chosen = [
        part
        for part in events
        if part.symbol != store.MARKET
        and any(
            (one.symbol is None or one.symbol == part.symbol)
            and (one.file is None or one.file == part.file)
            for one in wanted
        )
    ]
    if not chosen and _Wanted(None, None) not in wanted:
        return None
    parts = (*market, *chosen)
    return Selected(day, segment, parts, whole=len(parts) == len(events)) if parts else None
