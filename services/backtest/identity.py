"""Which backtest it is: equal data, settings, code and seed give an equal run id."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from services.kernel.events.ids import make_id
from services.reports.run_facts import DataFile

CHUNK: Final = 1 << 20


def digests(paths: Iterable[Path]) -> list[DataFile]:
    """The SHA-256 of every file, a folder's files included, by name."""
    files = [file for path in paths for file in _files_of(path)]
    return sorted(DataFile(name, _sha256(path)) for name, path in files)


def run_id_of(
    settings: Mapping[str, str], data: Iterable[DataFile], *, code_version: str, seed: int
) -> str:
    """The run id of a backtest.

    Args:
        settings: As ``run_started`` records them; names of files in them change nothing.
        data: Files of its market; none of a synthetic one.
        code_version: Of this program.
        seed: Of the run.
    """
    named = sorted(settings.items())
    chosen = (f"{name}={value}" for name, value in named if name not in _FILE_NAMES)
    return make_id("backtest", code_version, seed, *(file.sha256 for file in data), *chosen)


_FILE_NAMES: Final = frozenset({"CDB_DATA", "CDB_INSTRUMENTS"})


def _files_of(path: Path) -> list[tuple[str, Path]]:
    if path.is_dir():
        inside = sorted(file for file in path.rglob("*") if file.is_file())
        return [(f"{path.name}/{file.relative_to(path).as_posix()}", file) for file in inside]
    return [(path.name, path)]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
