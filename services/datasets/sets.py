"""Writing data sets: a folder per exchange, symbol and kind, in it a Parquet file per UTC day."""

import os
from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from services.cdb_ws.recording import store
from services.cdb_ws.sources.files.csv_files import COLUMNS
from services.cdb_ws.sources.files.file_names import DataFile, FileKind
from services.cdb_ws.sources.files.parquet_files import DataDay, read_data_set

DAY_MS: Final = 86_400_000

Cells = tuple[str, ...]
Row = tuple[int, Cells]
"""Time in Unix milliseconds, and the kind's other columns as text."""


class Overlap(Exception):
    """New rows of a day cannot be distinguished from those that are there."""


def set_name(exchange: str, symbol: str, kind: FileKind, step: str = "") -> str:
    """The name of a data set's folder, which names its content."""
    return "_".join(filter(None, (exchange, symbol, kind.value, step)))


class DataSet:
    """One data set that is written.

    Args:
        file: What it holds; ``path`` is its folder, which is made when a day is written.

    Raises:
        DataError: What is there is damaged.
    """

    def __init__(self, file: DataFile) -> None:
        self.file = file
        self.days: dict[str, DataDay] = {}
        if (file.path / store.MANIFEST).is_file():
            self.days = read_data_set(file.path)

    def has(self, day: str, origin: str | None = None) -> bool:
        """Whether a day is there for good, or already holds what came from ``origin``."""
        known = self.days.get(day)
        return known is not None and (known.complete if origin is None else origin in known.origins)

    def add(self, day: str, rows: Sequence[Row], origin: str, *, complete: bool = False) -> None:
        """Write a day's rows, together with those that are there.

        Bars and funding rates of the same time replace the former ones.

        Args:
            day: Of all the rows, as ``2026-11-21``.
            rows: In the order of time.
            origin: What they come from.
            complete: Nothing is to be added later.

        Raises:
            Overlap: Trades or quotes of the day are there, and lie in the same span of time.
            OSError: The file cannot be written.
        """
        known = self.days.get(day)
        before = self._read(known) if known else []
        merged = self._merge(day, before, list(rows))
        origins = tuple(dict.fromkeys((*(known.origins if known else ()), origin)))
        self._write(day, merged, origins, complete=complete)

    def _merge(self, day: str, before: list[Row], rows: list[Row]) -> list[Row]:
        if self.file.kind in (FileKind.KLINES, FileKind.FUNDING):
            return sorted((dict(before) | dict(rows)).items())
        if before and rows and before[0][0] <= rows[-1][0] and rows[0][0] <= before[-1][0]:
            raise Overlap(
                f"{self.file.path}: {day} has rows of the same time from another file; remove that"
                " day, or import into another folder with --to"
            )
        return sorted(before + rows, key=lambda row: row[0])

    def _read(self, day: DataDay) -> list[Row]:
        table = pq.read_table(self.file.path / day.file)
        times, *cells = (table.column(name).to_pylist() for name in COLUMNS[self.file.kind])
        return list(zip(times, zip(*cells, strict=True), strict=True))

    def _write(
        self, day: str, rows: Sequence[Row], origins: tuple[str, ...], *, complete: bool
    ) -> None:
        self.file.path.mkdir(parents=True, exist_ok=True)
        path = self.file.path / f"{day}.parquet"
        beside = path.with_name(f".{path.name}.tmp")
        with beside.open("wb") as file:
            pq.write_table(self._table(rows), file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        digest = store.file_digest(beside)
        beside.replace(path)
        store.sync_folder(self.file.path)
        entry = DataDay(
            file=path.name,
            rows=len(rows),
            bytes=path.stat().st_size,
            first_ms=rows[0][0] if rows else 0,
            last_ms=rows[-1][0] if rows else 0,
            sha256=digest,
            complete=complete,
            origins=origins,
        )
        store.append_manifest(self.file.path, entry)
        self.days[day] = entry

    def _table(self, rows: Sequence[Row]) -> pa.Table:
        first, *others = COLUMNS[self.file.kind]
        columns = {first: pa.array([row[0] for row in rows], pa.int64())}
        for index, name in enumerate(others):
            columns[name] = pa.array([row[1][index] for row in rows], pa.string())
        return pa.table(columns)
