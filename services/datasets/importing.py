"""Importing market data of other sources: CSV or Parquet, with their own columns and units."""

import csv
import itertools
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct, field
from msgspec.structs import replace

from services.cdb_ws.data_error import DataError
from services.cdb_ws.recording import store
from services.cdb_ws.sources.files.csv_files import COLUMNS, CsvRows, digest, open_text, unreadable
from services.cdb_ws.sources.files.file_names import DataFile, FileKind
from services.datasets.sets import DataSet, Row
from services.kernel.events import Side

TIME_UNITS: Final = ("s", "ms", "us", "ns", "iso")
VOLUME_UNITS: Final = ("base", "contracts", "quote")
SIDES: Final = {"buy": "buy", "b": "buy", "bid": "buy", "sell": "sell", "s": "sell", "ask": "sell"}

_MS: Final = {
    "s": Decimal(1000),
    "ms": Decimal(1),
    "us": Decimal("0.001"),
    "ns": Decimal("0.000001"),
}
_STEP: Final = Decimal("0.00000001")
_QUANTITIES: Final[dict[FileKind, tuple[tuple[int, int], ...]]] = {
    FileKind.TRADES: ((2, 1),),
    FileKind.KLINES: ((5, 4),),
    FileKind.BOOK_TICKER: ((2, 1), (4, 3)),
    FileKind.FUNDING: (),
}
"""Columns that are quantities, each with the one of its price; a bar's is the close."""

_ROWS_AT_ONCE: Final = 20_000
_REPORT_EVERY: Final = 10_000


class Dialect(Struct, frozen=True, kw_only=True):
    """How a source writes what it has.

    Attributes:
        columns: Our column to the source's, where its name differs; a number counts from 0.
        header: Whether a csv file's first line names the columns.
        time_unit: Of the time column: ``s``, ``ms``, ``us``, ``ns`` or ``iso``.
        volume_unit: ``base``; ``contracts`` of ``contract_size`` base; ``quote``, the money value
            in units of ``contract_size`` (1 for money itself, or an inverse contract's worth).
        sides: Its words for the taker's side to ``buy`` and ``sell``.
    """

    columns: Mapping[str, str] = {}
    header: bool = True
    time_unit: str = "ms"
    volume_unit: str = "base"
    contract_size: Decimal = Decimal(1)
    sides: Mapping[str, str] = field(default_factory=SIDES.copy)


class Imported(Struct, kw_only=True):
    """What became of a file.

    Attributes:
        skipped: Rows left out, by reason.
        days: Days written.
        known: Days that held the same file's rows already.
    """

    data_set: str
    accepted: int = 0
    skipped: dict[str, int] = {}
    days: int = 0
    known: int = 0


class ForeignRows(CsvRows):
    """The rows of a source's file, as the rows of a data file."""

    def __init__(self, file: DataFile, dialect: Dialect) -> None:
        super().__init__(file)
        self._dialect = dialect

    def _cells(self) -> Iterator[tuple[int, list[str]]]:
        lines = self._from_parquet() if self.file.path.suffix == ".parquet" else self._from_csv()
        for line, cells in lines:
            yield line, self._ours(cells) if cells else []

    def _ours(self, cells: list[str]) -> list[str]:
        """The cells in our units; as they are where they make no sense, to be counted."""
        dialect = self._dialect
        try:
            cells[0] = str(_milliseconds(cells[0], dialect.time_unit))
            for quantity, price in _QUANTITIES[self.file.kind]:
                cells[quantity] = str(_base(cells[quantity], cells[price], dialect))
        except (ArithmeticError, ValueError):
            cells[0] = "not a number"
        if self.file.kind is FileKind.TRADES:
            side = cells[3].strip().lower()
            cells[3] = dialect.sides.get(side, side)
        return cells

    def _from_csv(self) -> Iterator[tuple[int, list[str]]]:
        path, line = self.file.path, 1
        try:
            with open_text(path) as text:
                reader = csv.reader(text)
                header = next(reader, [])
                if self._dialect.header:
                    places = self._places([name.strip() for name in header])
                    rows: Iterator[list[str]] = reader
                else:
                    places = self._places([str(number) for number in range(len(header))])
                    rows = itertools.chain([header], reader)
                for cells in rows:
                    line = reader.line_num
                    if cells:
                        whole = len(cells) > max(places)
                        yield line, [cells[at] if at >= 0 else "" for at in places] if whole else []
        except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
            raise unreadable(path, line, error) from error

    def _from_parquet(self) -> Iterator[tuple[int, list[str]]]:
        path, line = self.file.path, 0
        try:
            file = pq.ParquetFile(path)
            names = file.schema_arrow.names
            places = self._places(names)
            wanted = [names[place] for place in places if place >= 0]
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=wanted):
                columns = [
                    _texts(batch.column(names[place])) if place >= 0 else [""] * batch.num_rows
                    for place in places
                ]
                for cells in zip(*columns, strict=True):
                    line += 1
                    yield line, list(cells)
        except (OSError, pa.ArrowException) as error:
            raise unreadable(path, line, error) from error

    def _places(self, names: list[str]) -> list[int]:
        """Where our columns stand; -1 for a side that the source does not have."""
        low = [name.lower() for name in names]
        found = []
        for ours in COLUMNS[self.file.kind]:
            theirs = self._dialect.columns.get(ours, ours).lower()
            if theirs in low:
                found.append(low.index(theirs))
            elif ours == "side" and ours not in self._dialect.columns:
                found.append(-1)
            else:
                raise DataError(
                    self.file.path,
                    1,
                    f"there is no column {theirs!r} for {ours}, found {','.join(names)[:100]!r}",
                    f"name it with --columns {ours}=NAME",
                )
        return found


def _texts(column: pa.Array) -> list[str]:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("ms"), safe=False).cast(pa.int64())
    return ["" if text is None else text for text in column.cast(pa.string()).to_pylist()]


def _milliseconds(text: str, unit: str) -> int:
    if unit == "iso":
        moment = datetime.fromisoformat(text.strip())
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    return int(Decimal(text) * _MS[unit])


def _base(quantity: str, price: str, dialect: Dialect) -> Decimal | str:
    if dialect.volume_unit == "base":
        return quantity
    amount = Decimal(quantity) * dialect.contract_size
    if dialect.volume_unit == "contracts":
        return amount
    return (amount / Decimal(price)).quantize(_STEP, rounding=ROUND_DOWN)


def import_file(
    source: Path,
    target: DataFile,
    dialect: Dialect,
    progress: Callable[[int], None] = lambda _: None,
) -> Imported:
    """Import one file into a data set, day by day; a second time it changes nothing.

    Args:
        source: CSV (also ``.gz``) or Parquet, in the order of time but for small disorder.
        target: The data set; its ``path`` is the folder.
        dialect: How the source writes.
        progress: Called with the number of rows now and then.

    Raises:
        DataError: The file is unusable.
        Overlap: Its days hold other rows of the same time.
        OSError: The data set cannot be written.
    """
    rows = ForeignRows(replace(target, path=source), dialect)
    data = DataSet(target)
    origin = digest(source)
    found = Imported(data_set=str(target.path))
    for day, group in itertools.groupby(_counted(rows, progress), lambda row: store.day_of(row[0])):
        lines: list[Row] = list(group)
        if data.has(day, origin):
            found.known += 1
            continue
        data.add(day, lines, origin)
        found.days += 1
    found.accepted, found.skipped = rows.accepted, dict(rows.skipped)
    return found


def _counted(rows: CsvRows, progress: Callable[[int], None]) -> Iterator[Row]:
    for number, (timestamp, _, values) in enumerate(rows, start=1):
        if number % _REPORT_EVERY == 0:
            progress(number)
        yield timestamp, tuple(map(_cell, values))


def _cell(value: Decimal | Side | None) -> str:
    if value is None:
        return ""
    return value.value.lower() if isinstance(value, Side) else str(value)
