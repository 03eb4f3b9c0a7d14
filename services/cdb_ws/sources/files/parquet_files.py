"""Reading data sets: Parquet by day, each file's content proved by its hash.

A data set is a folder named as a data file is (``mexc-perp_BTC_USDT_klines_1m``) with a file per
UTC day and a manifest. Its columns are those of the csv files; volumes are in base currency.
Decimals are text. A single Parquet file with such a name is read as well, whatever its types.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct

from services.cdb_ws.data_error import DataError
from services.cdb_ws.recording import store
from services.cdb_ws.sources.files.csv_files import (
    COLUMNS,
    PRICE_CELLS,
    CsvRows,
    digest,
    unreadable,
)
from services.kernel.bounded_json import Decoder

ROWS_AT_ONCE: Final = 20_000


class DataDay(Struct, frozen=True, kw_only=True):
    """One file of a data set.

    Attributes:
        file: Its name.
        first_ms, last_ms: Times of its first and last row.
        complete: Nothing of that day is to be added: it was over when it was fetched.
        origins: What it was made of: digests of imported files, or ``rest``.
    """

    file: str
    rows: int
    bytes: int
    first_ms: int
    last_ms: int
    sha256: str
    complete: bool
    origins: tuple[str, ...]


_days = Decoder(DataDay)


def read_data_set(folder: Path) -> dict[str, DataDay]:
    """The files of a data set by their day, in the order of time.

    Raises:
        DataError: The manifest is missing or damaged.
    """
    path = folder / store.MANIFEST
    found: dict[str, DataDay] = {}
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise DataError(folder, None, f"it is no data set ({error})", "check the path") from error
    for number, line in enumerate(lines[:-1], start=1):
        try:
            day = _days.decode(line)
        except msgspec.DecodeError as error:
            raise DataError(path, number, f"it is damaged ({error})", "fetch it again") from error
        found[day.file.removesuffix(".parquet")] = day
    return {day: found[day] for day in sorted(found)}


class ParquetRows(CsvRows):
    """The usable rows of a data set or of one Parquet file; lines count through all its files."""

    def digest(self) -> str:
        """The data's part of a tick's id: the digest of its files' digests."""
        path = self.file.path
        if path.is_file():
            return digest(path)
        listed = "".join(day.sha256 for day in read_data_set(path).values())
        return hashlib.sha256(listed.encode()).hexdigest()

    def price_texts(self) -> Iterator[str]:
        """The file's prices as they are written, each once in some thousand rows."""
        kind = self.file.kind
        prices = [COLUMNS[kind][place] for place in PRICE_CELLS[kind]]
        for columns in self._batches(prices) if prices else ():
            for column in columns:
                yield from filter(None, column.unique().to_pylist())

    def _cells(self) -> Iterator[tuple[int, list[str]]]:
        line = 1
        for columns in self._batches(COLUMNS[self.file.kind]):
            for cells in zip(*(column.to_pylist() for column in columns), strict=True):
                line += 1
                yield line, [cell or "" for cell in cells]

    def _files(self) -> Iterator[Path]:
        folder = self.file.path
        if folder.is_file():
            yield folder
            return
        for day in read_data_set(folder).values():
            path = folder / day.file
            try:
                content = store.file_digest(path)
            except OSError as error:
                raise unreadable(path, 1, error) from error
            if content != day.sha256:
                raise DataError(path, None, "its content has changed", "fetch or import it again")
            yield path

    def _batches(self, wanted: Sequence[str]) -> Iterator[list[pa.Array]]:
        """The wanted columns of some thousand rows at a time, as text."""
        line = 1
        for path in self._files():
            try:
                file = pq.ParquetFile(path)
                names = self._names(path, file.schema_arrow.names)
                stored = [names[name] for name in wanted]
                for batch in file.iter_batches(ROWS_AT_ONCE, columns=stored):
                    yield [batch.column(name).cast(pa.string()) for name in stored]
                    line += batch.num_rows
            except (OSError, pa.ArrowException) as error:
                raise unreadable(path, line, error) from error

    def _names(self, path: Path, found: Sequence[str]) -> dict[str, str]:
        """Our names of the columns to the file's."""
        names = {name.lower(): name for name in found}
        missing = [name for name in COLUMNS[self.file.kind] if name not in names]
        if missing:
            raise DataError(
                path,
                None,
                f"column(s) {', '.join(missing)} missing, found {','.join(names)[:100]!r}",
                "name the columns with `claire data import --columns`",
            )
        return names
