"""Reading one recorded csv file: rows to observations, in the order of time, bad rows counted.

Structural faults (columns missing, disorder beyond repair, a damaged archive) raise ``DataError``
with file and line. A single row that cannot be a market observation is counted and skipped.
"""

import csv
import gzip
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Context, Decimal, InvalidOperation
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Final, TextIO, cast

from services.cdb_ws.data_error import DataError
from services.cdb_ws.sources.files.file_names import DataFile, FileKind
from services.kernel.events import Side
from services.runtime.intake.event_time import MOST_AHEAD_MS

COLUMNS: Final[dict[FileKind, tuple[str, ...]]] = {
    FileKind.TRADES: ("ts_ms", "price", "qty", "side"),
    FileKind.KLINES: ("ts_ms", "open", "high", "low", "close", "volume"),
    FileKind.BOOK_TICKER: ("ts_ms", "bid", "bid_qty", "ask", "ask_qty"),
    FileKind.FUNDING: ("ts_ms", "rate"),
}
SORT_WINDOW_ROWS: Final = 512
"""Rows that stand at most this many rows from their place are put there.

One that is further ahead and whose time is more than 5 s ahead is skipped; those further behind are
handed out late. More late rows than this are an error.
"""

SIGNIFICANT_DIGITS: Final = 12
"""No venue's price has more; what is behind them was added by binary floating point."""

_FLOAT_NOISE = Context(prec=SIGNIFICANT_DIGITS, traps=[InvalidOperation])
_EARLIEST_MS, _LATEST_MS = 10**11, 10**14
_HIGHEST = Decimal("1e15")
_ZERO = Decimal(0)
_SIDES = {"buy": Side.BUY, "sell": Side.SELL, "": None}

PRICE_CELLS: Final[dict[FileKind, tuple[int, ...]]] = {
    FileKind.TRADES: (1,),
    FileKind.KLINES: (1, 2, 3, 4),
    FileKind.BOOK_TICKER: (1, 3),
    FileKind.FUNDING: (),
}
"""Which of a kind's `COLUMNS` are prices."""

Values = tuple[Decimal | Side | None, ...]
Row = tuple[int, int, Values]
"""Timestamp, line of the file, and the parsed columns after the timestamp."""

Parser = Callable[[list[str]], Values]


class SkippedRowError(Exception):
    """A row that is no market observation; its message is the reason it is counted under."""


def _price(text: str) -> Decimal:
    value = Decimal(text)
    if not _ZERO < value < _HIGHEST:
        raise SkippedRowError("price_not_positive" if value <= _ZERO else "price_not_finite")
    return value


def _quantity(text: str) -> Decimal:
    value = Decimal(text)
    if not _ZERO <= value < _HIGHEST:
        raise SkippedRowError("volume_negative" if value < _ZERO else "volume_not_finite")
    return value


def _trade(cells: list[str]) -> Values:
    price, quantity = _price(cells[0]), _quantity(cells[1])
    if not quantity:
        raise SkippedRowError("no_volume")
    side = cells[2].strip().lower()
    if side not in _SIDES:
        raise SkippedRowError("unknown_side")
    return price, quantity, _SIDES[side]


def _bar(cells: list[str]) -> Values:
    open_, high, low, close = map(_price, cells[:4])
    volume = _quantity(cells[4])
    if high < low:
        raise SkippedRowError("high_below_low")
    if not volume:
        raise SkippedRowError("no_volume")
    return open_, high, low, close, volume


def _book_ticker(cells: list[str]) -> Values:
    bid, ask = _price(cells[0]), _price(cells[2])
    if bid > ask:
        raise SkippedRowError("crossed_quote")
    return bid, _quantity(cells[1]), ask, _quantity(cells[3])


def _funding(cells: list[str]) -> Values:
    rate = Decimal(cells[0])
    if not -1 < rate < 1:
        raise SkippedRowError("rate_out_of_range")
    return (rate,)


_PARSERS: Final[dict[FileKind, Parser]] = {
    FileKind.TRADES: _trade,
    FileKind.KLINES: _bar,
    FileKind.BOOK_TICKER: _book_ticker,
    FileKind.FUNDING: _funding,
}


class CsvRows:
    """The usable rows of one file, each once, in the order of time.

    Attributes:
        accepted: Rows handed out so far.
        skipped: Rows counted and left out, by reason.
        reordered: Rows that stood before an earlier one and were put in their place.
    """

    def __init__(self, file: DataFile) -> None:
        self.file = file
        self.accepted = 0
        self.skipped: Counter[str] = Counter()
        self.reordered = 0
        self._late = 0
        self._first_late = (0, 0, 0)

    def __iter__(self) -> Iterator[Row]:
        """Read the file from its beginning.

        Raises:
            DataError: A structural fault, with the line it is in.
        """
        self.accepted, self.reordered = 0, 0
        self.skipped.clear()
        self._late = 0
        released = 0
        held: list[Row] = []
        rows = self._parsed()
        older = old = 0  # the first lines of the last two chunks
        while chunk := list(islice(rows, SORT_WINDOW_ROWS)):
            first = chunk[0][1]
            held += chunk
            held.sort()
            ready = len(held) - SORT_WINDOW_ROWS
            if ready > 0:
                self._count_late(held[:ready], released)
                released = max(released, held[ready - 1][0])
                yield from held[:ready]
                held = self._in_time(held[ready:], older, released + MOST_AHEAD_MS)
            older, old = old, first
        self._count_late(held, released)
        yield from held
        if not self.accepted:
            raise DataError(
                self.file.path, None, f"no usable row ({self._why()})", "check the file's content"
            )

    def _count_late(self, rows: list[Row], released: int) -> None:
        """Count the rows that are older than one that was handed out before.

        Raises:
            DataError: There are too many: the file is not in the order of time.
        """
        late = next((place for place, row in enumerate(rows) if row[0] >= released), len(rows))
        if late and not self._late:
            self._first_late = (*rows[0][:2], released)
        self._late += late
        if self._late > SORT_WINDOW_ROWS:
            timestamp, line, released = self._first_late
            raise DataError(
                self.file.path,
                line,
                f"its time {timestamp} is {released - timestamp} ms before a row more than "
                f"{SORT_WINDOW_ROWS} lines above it, and {self._late - 1} others are as late",
                "sort the file by ts_ms",
            )

    def _in_time(self, rows: list[Row], before_line: int, latest: int) -> list[Row]:
        """Leave out rows that the file has overtaken by more than the window and that are ahead."""
        kept = [row for row in rows if row[1] >= before_line or row[0] <= latest]
        ahead = len(rows) - len(kept)
        if ahead:
            self.skipped["time_ahead"] += ahead
            self.accepted -= ahead
        return kept

    def _why(self) -> str:
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.skipped.items())
        return f"skipped: {reasons}" if reasons else "it is empty"

    def _parsed(self) -> Iterator[Row]:
        path = self.file.path
        parse = _PARSERS[self.file.kind]
        latest = 0
        for line, cells in self._cells():
            try:
                timestamp = int(cells[0])
                values = parse(cells[1:])
            except SkippedRowError as reason:
                self.skipped[str(reason)] += 1
                continue
            except IndexError:
                self.skipped["columns_missing"] += 1
                continue
            except (ValueError, InvalidOperation):
                self.skipped["not_a_number"] += 1
                continue
            if not _EARLIEST_MS < timestamp < _LATEST_MS:
                if not self.accepted:
                    raise _not_milliseconds(path, line, timestamp)
                self.skipped["time_ahead" if timestamp > latest else "time_behind"] += 1
                continue
            if timestamp < latest:
                self.reordered += 1
            else:
                latest = timestamp
            self.accepted += 1
            yield timestamp, line, values

    def _cells(self) -> Iterator[tuple[int, list[str]]]:
        """The line, and the cells of the kind's columns; none where the row is too short."""
        path, line = self.file.path, 1
        try:
            with open_text(path) as text:
                reader = csv.reader(text)
                wanted = _wanted_columns(self.file, next(reader, []))
                for cells in reader:
                    line = reader.line_num
                    if cells:
                        whole = len(cells) > max(wanted)
                        yield line, [cells[column] for column in wanted] if whole else []
        except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
            raise unreadable(path, line, error) from error

    def price_texts(self) -> Iterator[str]:
        """The file's prices as they are written; none of a kind without prices.

        Raises:
            DataError: The file is damaged, or columns are missing.
        """
        places = PRICE_CELLS[self.file.kind]
        for _, cells in self._cells() if places else ():
            for place in places if cells else ():
                yield cells[place]

    def digest(self) -> str:
        """The file's part of a tick's id.

        Raises:
            DataError: The file cannot be read.
        """
        return digest(self.file.path)

    def counts(self) -> dict[str, object]:
        """Outcome of the file's rows, for status and log."""
        return {
            "file": self.file.path.name,
            "accepted": self.accepted,
            "skipped": dict(sorted(self.skipped.items())),
            "reordered": self.reordered,
        }


def open_text(path: Path) -> TextIO:
    """A text file, compressed or not.

    Raises:
        OSError: It cannot be opened.
    """
    if path.suffix == ".gz":
        return cast("TextIO", gzip.open(path, "rt", encoding="utf-8-sig", newline=""))
    return path.open(encoding="utf-8-sig", newline="")


def _wanted_columns(file: DataFile, header: list[str]) -> list[int]:
    names = [name.strip().lower() for name in header]
    missing = [name for name in COLUMNS[file.kind] if name not in names]
    if missing:
        raise DataError(
            file.path,
            1,
            f"column(s) {', '.join(missing)} missing, found {','.join(header)[:100]!r}",
            f"a {file.kind} file begins with {','.join(COLUMNS[file.kind])}",
        )
    return [names.index(name) for name in COLUMNS[file.kind]]


def _not_milliseconds(path: Path, line: int, timestamp: int) -> DataError:
    return DataError(
        path, line, f"ts_ms {timestamp} is no time in Unix milliseconds", "convert the column"
    )


def unreadable(path: Path, line: int, error: Exception) -> DataError:
    """The message for a file that cannot be read, by cause."""
    if isinstance(error, FileNotFoundError):
        return DataError(path, None, "there is no such file", "check the path given with --data")
    if isinstance(error, PermissionError):
        return DataError(path, None, "it may not be read", "check its permissions")
    return DataError(
        path, line, f"it cannot be read ({error})", "the file is damaged: fetch it again"
    )


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal; part of a tick's id.

    Raises:
        DataError: The file cannot be read.
    """
    found = sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                found.update(block)
    except OSError as error:
        raise unreadable(path, 1, error) from error
    return found.hexdigest()


def price_decimals(rows: CsvRows) -> int | None:
    """The most decimals that a price of the file has; None where it has no price.

    All rows count, those that are skipped later too. Trailing zeros do not: ``61800.20`` has one
    decimal. Nor does float noise: prices are taken at `SIGNIFICANT_DIGITS`, so that
    ``1.2147000000000001`` has four.

    Raises:
        DataError: The file is damaged, or columns are missing.
    """
    most: int | None = None
    for text in rows.price_texts():
        plain = "e" not in text and "E" not in text
        if plain and most is not None and len(text.partition(".")[2].rstrip("0")) <= most:
            continue
        try:
            price = _FLOAT_NOISE.create_decimal(text)
            usable = _ZERO < price < _HIGHEST
        except InvalidOperation:
            continue
        if usable:
            most = max(most or 0, len(format(price.normalize(), "f").partition(".")[2]))
    return most
