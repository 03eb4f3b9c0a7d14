"""Is the data what it says it is: content, order, duplicates, holes, impossible prices."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from services.cdb_ws.data_error import DataError
from services.cdb_ws.publishing.clocks import SILENCE_MS
from services.cdb_ws.recording import notes, store, tables, write_ahead_log
from services.cdb_ws.recording.notes import Break
from services.cdb_ws.recording.selection import Selected, root_of
from services.cdb_ws.recording.store import Part, Segment
from services.cdb_ws.sources.files.csv_files import CsvRows
from services.cdb_ws.sources.files.file_names import FileKind, describe
from services.cdb_ws.sources.files.tick_files import open_rows
from services.cdb_ws.sources.recording import load
from services.kernel.events import Clock, Condition, ConditionName, MarketDataKind, codec

UNLIKELY_JUMP: Final = Decimal("0.5")
"""A price that differs from the one before it by more than this part of it is worth a look."""

QUIET_MS: Final = 15 * 60_000
"""Trades or quotes that are further apart are listed as a hole."""

ROWS_AT_ONCE: Final = 10_000


class Hole(Struct, frozen=True, kw_only=True):
    """A span in which data is missing, or may be.

    Attributes:
        symbol: Empty where it is the whole market's.
        from_ms, to_ms: Unix milliseconds: what was there before and after.
    """

    symbol: str
    from_ms: int
    to_ms: int
    why: str


class Report(Struct, kw_only=True):
    """What a check found.

    Attributes:
        wrong: Findings that make the data unusable or untrue.
        odd: How often something unlikely was seen, by what it was.
    """

    path: str
    rows: int = 0
    wrong: list[str] = []
    odd: Counter[str] = Counter()
    holes: list[Hole] = []

    @property
    def sound(self) -> bool:
        """Nothing is wrong; there may be holes."""
        return not self.wrong


def check(path: Path) -> Report:
    """Check a recording, a data set or a data file.

    Raises:
        DataError: It is none of them.
    """
    root = root_of(path)
    if root is not None:
        return _RecordingCheck(root).report()
    return _check_rows(open_rows(describe(path)))


def _check_rows(rows: CsvRows) -> Report:
    file = rows.file
    found = Report(path=str(file.path), odd=Counter(), wrong=[], holes=[])
    before, price = 0, Decimal(0)
    longest = file.step_ms if file.kind is FileKind.KLINES else QUIET_MS
    try:
        for timestamp, line, values in rows:
            found.rows += 1
            if timestamp < before:
                found.wrong.append(
                    f"line {line}: its time {timestamp} is {before - timestamp} ms before a row far"
                    " above it; sort the file by ts_ms"
                )
                continue
            if before and timestamp - before > longest and file.kind is not FileKind.FUNDING:
                found.holes.append(
                    Hole(symbol=file.symbol, from_ms=before, to_ms=timestamp, why="no rows")
                )
            if timestamp == before and file.kind in (FileKind.KLINES, FileKind.FUNDING):
                found.wrong.append(f"line {line}: a second row of {timestamp}")
            if file.kind is not FileKind.FUNDING:
                now = values[0]
                assert isinstance(now, Decimal)
                if price and abs(now - price) > UNLIKELY_JUMP * price:
                    found.odd["jump"] += 1
                price = now
            before = timestamp
    except DataError as error:
        found.wrong.append(str(error))
    found.odd.update(rows.skipped)
    if rows.reordered:
        found.odd["reordered"] = rows.reordered
    return found


class _RecordingCheck:
    """One pass over a recording."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._found = Report(path=str(root), odd=Counter(), wrong=[], holes=[])
        self._clock = 0
        self._broken = False
        self._last_trade: dict[str, tuple[int, int]] = {}
        self._price: dict[str, Decimal] = {}

    def report(self) -> Report:
        found = self._found
        for path in (
            *write_ahead_log.open_segments(self._root),
            *write_ahead_log.full_segments(self._root),
        ):
            found.odd["segment not packed"] += 1
            if path.suffix == write_ahead_log.OPEN_SUFFIX:
                found.odd["segment being written, or left by a killed recorder"] += 1
        segments = [(day, one) for day in store.days(self._root) for one in _manifest(day, found)]
        for day, segment in sorted(segments, key=lambda both: both[1].segment):
            self._segment(day, segment)
        listed = {day / part.file for day, segment in segments for part in segment.parts}
        for stray in sorted(set(self._root.glob("????-??-??/*/*.parquet")) - listed):
            found.wrong.append(f"{stray}: it is in no manifest")
        return found

    def _segment(self, day: Path, segment: Segment) -> None:
        if segment.cut_off:
            self._found.odd["segment whose last entry was not finished"] += 1
        for content, count in ((store.TICKS, segment.events), (store.FRAMES, segment.frames)):
            seen = bytearray(count)
            for part in segment.parts:
                if part.content == content:
                    self._part(Selected(day, segment, (part,), whole=False), part, seen)
            missing = seen.count(0)
            if missing:
                self._found.wrong.append(
                    f"{day.name}: {missing} of {count} {content} of segment {segment.segment}"
                    " are missing"
                )

    def _part(self, selected: Selected, part: Part, seen: bytearray) -> None:
        path = selected.day / part.file
        try:
            table = load(selected, part)
        except DataError as error:
            self._found.wrong.append(str(error))
            return
        if table.num_rows != part.rows:
            self._found.wrong.append(f"{path}: {table.num_rows} rows, {part.rows} in the manifest")
        for row in table.column("row").to_pylist():
            if row >= len(seen) or seen[row]:
                self._found.wrong.append(f"{path}: row {row} is there twice, or too many")
                return
            seen[row] = 1
        self._found.rows += table.num_rows
        if part.content == store.TICKS and part.symbol == store.MARKET:
            self._market(path, table)
        elif part.content == store.TICKS:
            for row, tick in tables.TickFields(table).rows(ROWS_AT_ONCE):
                self._tick(f"{path} row {row}", tick)

    def _market(self, path: Path, table: Any) -> None:
        types, bodies = (table.column(name).to_pylist() for name in ("type", "body"))
        for kind, body in zip(types, bodies, strict=True):
            if kind == "break":
                lost = notes.decode(body.encode())
                self._broken = isinstance(lost, Break)
            elif kind in ("clock", "condition"):
                event = codec.decode(body.encode())
                if isinstance(event, Clock):
                    self._time(path, event.timestamp)
                elif isinstance(event, Condition):
                    self._holes(event)

    def _time(self, path: Path, now: int) -> None:
        if now <= self._clock:
            self._found.wrong.append(f"{path}: clock {now} after {self._clock}")
        elif self._clock and (self._broken or now - self._clock > SILENCE_MS):
            why = "nothing was recorded" if self._broken else "no clock"
            self._found.holes.append(Hole(symbol="", from_ms=self._clock, to_ms=now, why=why))
        self._clock = max(now, self._clock)
        self._broken = False

    def _holes(self, event: Condition) -> None:
        if event.name is not ConditionName.DATA_GAP:
            return
        if event.lost_from is not None and event.lost_to is not None:
            self._found.holes.append(
                Hole(
                    symbol=event.symbol or "",
                    from_ms=event.lost_from,
                    to_ms=event.lost_to,
                    why=event.detail,
                )
            )

    def _tick(self, where: str, tick: dict[str, Any]) -> None:
        wrong = self._found.wrong
        for name in ("price", "volume", "bid", "ask", "mark_price", "index_price"):
            value = tick.get(name)
            if value is not None and not value > 0:
                wrong.append(f"{where}: {name} is {value}")
        bid, ask = tick.get("bid"), tick.get("ask")
        if bid is not None and ask is not None and bid > ask:
            wrong.append(f"{where}: bid {bid} above ask {ask}")
        if tick["kind"] is not MarketDataKind.TRADE:
            return
        if tick.get("backfill"):
            self._found.odd["backfilled"] += 1
            return
        symbol, timestamp = tick["symbol"], tick["timestamp"]
        before = self._price.get(symbol)
        price = tick.get("price") or before or Decimal(1)
        if before and abs(price - before) > UNLIKELY_JUMP * before:
            self._found.odd["jump"] += 1
        self._price[symbol] = price
        number = tick.get("trade_id", "")
        trade = (timestamp, int(number) if number.isdecimal() else 0)
        last = self._last_trade.get(symbol, (0, 0))
        if trade < last:
            wrong.append(f"{where}: the trade at {timestamp} comes after one at {last[0]}")
        elif trade == last and trade[1]:
            wrong.append(f"{where}: trade {number} is there twice")
        self._last_trade[symbol] = max(trade, last)


def _manifest(day: Path, found: Report) -> Iterator[Segment]:
    try:
        yield from store.read_manifest(day)
    except (DataError, msgspec.DecodeError) as error:
        found.wrong.append(str(error))
