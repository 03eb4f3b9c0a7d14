"""Fetching history over MEXC's REST: bars and settled funding rates, day by day, with resume."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Final, Protocol, TypeVar

import msgspec
from msgspec import Struct

from services.cdb_ws.recording import store
from services.cdb_ws.sources.files.file_names import FileKind, describe
from services.datasets.sets import DAY_MS, DataSet, Row, set_name
from services.kernel.bounded_json import Decoder
from services.kernel.instruments.contracts import Instrument
from services.kernel.market.bar_ticks import Bar
from services.runtime.service.backoff import Backoff
from services.venues.mexc.rest import MOST_BARS, VenueAwayError
from services.venues.mexc.rest_messages import FundingSettlement, RestError, decode_details, payload

EXCHANGE: Final = "mexc-perp"
ORIGIN: Final = "rest"
INSTRUMENTS: Final = f"{EXCHANGE}_instruments.json"
INTERVALS: Final = {
    "1m": ("Min1", 60_000),
    "5m": ("Min5", 300_000),
    "15m": ("Min15", 900_000),
    "30m": ("Min30", 1_800_000),
    "1h": ("Min60", 3_600_000),
    "4h": ("Hour4", 14_400_000),
    "8h": ("Hour8", 28_800_000),
    "1d": ("Day1", DAY_MS),
}
"""Length of a bar: the venue's name for it, and milliseconds."""

ATTEMPTS: Final = 5

Answer = TypeVar("Answer")


class History(Protocol):
    """What is asked of the venue; ``MexcRest`` is one."""

    async def details(self) -> bytes:
        """The contract details as the venue sends them."""

    async def bars(
        self, symbol: str, start_ms: int, end_ms: int, interval: str = "Min1"
    ) -> tuple[tuple[int, Bar], ...]:
        """The bars that opened in a span, their volume in contracts."""

    async def funding_history(self, symbol: str, page: int) -> tuple[FundingSettlement, ...]:
        """One page of settled rates, newest first, from page 1."""


class FetchError(Exception):
    """It could not be fetched; what was fetched is kept, and the next attempt goes on there."""


class Wanted(Struct, frozen=True, kw_only=True):
    """What to fetch.

    Attributes:
        step: Length of the bars; empty for none.
        funding: Whether to fetch settled rates.
        since_ms, until_ms: Unix milliseconds; the whole days that they lie in.
    """

    symbols: tuple[str, ...]
    step: str
    funding: bool
    since_ms: int
    until_ms: int

    @property
    def days(self) -> range:
        """The beginnings of the days, Unix milliseconds."""
        first = self.since_ms // DAY_MS * DAY_MS
        return range(first, max(self.until_ms, first + 1), DAY_MS)

    @property
    def work(self) -> int:
        """How often progress will be reported."""
        parts = int(bool(self.step)) + int(self.funding)
        return len(self.symbols) * parts * len(self.days)


class Fetched(Struct, kw_only=True):
    """What came of it: rows and days written, and days that were there already."""

    rows: int = 0
    days: int = 0
    known: int = 0


class Fetcher:
    """Fetches into a folder of data sets.

    Args:
        venue: Asked at its own pace.
        folder: Data sets, and the contract details beside them.
        now_ms: Wall time: the running bar and day are not final.
        progress: Called with how many days more are done.
    """

    def __init__(
        self,
        venue: History,
        folder: Path,
        now_ms: Callable[[], int],
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._venue = venue
        self._folder = folder
        self._now_ms = now_ms
        self._progress = progress
        self.fetched = Fetched()

    async def fetch(self, wanted: Wanted) -> Fetched:
        """Fetch what is missing.

        Raises:
            FetchError: The venue does not answer, or does not know a symbol.
            DataError: A data set that is there is damaged.
            OSError: It cannot be written.
        """
        contracts = await self._contracts(wanted.symbols)
        for symbol in wanted.symbols:
            if wanted.step:
                await self._bars(contracts[symbol], wanted)
            if wanted.funding:
                await self._funding(symbol, wanted)
        return self.fetched

    async def _contracts(self, symbols: Sequence[str]) -> dict[str, Instrument]:
        body = await self._ask(self._venue.details)
        known, _ = decode_details(body)
        missing = [symbol for symbol in symbols if symbol not in known]
        if missing:
            raise FetchError(f"MEXC has no contract {', '.join(missing)} that can be traded")
        self._keep_details(body, set(symbols))
        return {symbol: known[symbol] for symbol in symbols}

    def _keep_details(self, body: bytes, symbols: set[str]) -> None:
        """The rows as the venue sent them: ``--instruments`` of a replay."""
        path = self._folder / INSTRUMENTS
        rows = _by_symbol(path.read_bytes()) if path.exists() else {}
        progress = _by_symbol(bytes(payload(body)))
        rows |= {symbol: row for symbol, row in progress.items() if symbol in symbols}
        self._folder.mkdir(parents=True, exist_ok=True)
        store.write_whole(path, msgspec.json.encode(list(rows.values())))

    async def _bars(self, contract: Instrument, wanted: Wanted) -> None:
        name, step_ms = INTERVALS[wanted.step]
        data = self._data_set(contract.symbol, FileKind.KLINES, wanted.step)
        at_once = max(1, MOST_BARS * step_ms // DAY_MS)
        days = self._missing(data, wanted)
        for start in range(0, len(days), at_once):
            span = days[start : start + at_once]
            begin, end = span[0], span[-1] + DAY_MS
            # Asked for up to the last bar's opening: the venue counts both ends.
            question = partial(self._venue.bars, contract.symbol, begin, end - step_ms, name)
            found = await self._ask(question)
            final = min(end, self._now_ms() - step_ms + 1)
            rows: dict[str, list[Row]] = defaultdict(list)
            for opened, bar in found:
                if begin <= opened < final:
                    base = bar.volume * contract.contract_size
                    cells = (bar.open, bar.high, bar.low, bar.close, base)
                    rows[store.day_of(opened)].append((opened, tuple(map(str, cells))))
            for day in span:
                self._keep(data, day, rows[store.day_of(day)])

    async def _funding(self, symbol: str, wanted: Wanted) -> None:
        data = self._data_set(symbol, FileKind.FUNDING)
        days = self._missing(data, wanted)
        if not days:
            return
        settled = [
            (one.settle_time, (str(one.rate),)) async for one in self._settlements(symbol, days[0])
        ]
        by_day = {
            day: list(rows) for day, rows in groupby(sorted(settled), lambda r: store.day_of(r[0]))
        }
        for day in days:
            self._keep(data, day, by_day.get(store.day_of(day), []))

    async def _settlements(self, symbol: str, since_ms: int) -> AsyncIterator[FundingSettlement]:
        page = 0
        while True:
            page += 1
            found = await self._ask(partial(self._venue.funding_history, symbol, page))
            for one in found:
                yield one
            if not found or min(one.settle_time for one in found) < since_ms:
                return

    def _data_set(self, symbol: str, kind: FileKind, step: str = "") -> DataSet:
        return DataSet(describe(self._folder / set_name(EXCHANGE, symbol, kind, step)))

    def _missing(self, data: DataSet, wanted: Wanted) -> list[int]:
        days = [day for day in wanted.days if not data.has(store.day_of(day))]
        known = len(wanted.days) - len(days)
        self.fetched.known += known
        self._progress(known)
        return days

    def _keep(self, data: DataSet, day: int, rows: Sequence[Row]) -> None:
        complete = day + DAY_MS <= self._now_ms()
        if rows or complete:
            data.add(store.day_of(day), rows, ORIGIN, complete=complete)
            self.fetched.days += 1
            self.fetched.rows += len(rows)
        self._progress(1)

    async def _ask(self, question: Callable[[], Awaitable[Answer]]) -> Answer:
        backoff = Backoff()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await question()
            except RestError as refused:
                raise FetchError(f"{refused}; run the command again to go on") from refused
            except VenueAwayError as away:
                if attempt == ATTEMPTS:
                    raise FetchError(f"{away}; run the command again to go on") from away
                await asyncio.sleep(backoff.next_delay())
        raise AssertionError("the last attempt returns or raises")


class _Named(Struct):
    symbol: str


def _by_symbol(body: bytes) -> dict[str, msgspec.Raw]:
    rows = Decoder(list[msgspec.Raw]).decode(body)
    return {Decoder(_Named).decode(row).symbol: row for row in rows}
