"""Rows of a market, and the ones that no stage may skip: what depends on the market alone."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct

from services.kernel.events import Clock, Event, MarketData, MarketDataKind
from services.kernel.market.prices import is_jump
from services.kernel.settings.model import TradingSettings


class _Trades(NamedTuple):
    rows: list[int]
    ticks: list[MarketData]


class Rows:
    """Consecutive events of a market.

    Attributes:
        events: Ticks and clocks, and whatever else the shells publish.
    """

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self._woken: list[int] = []
        self._clock_rows: list[int] = []
        self._clock_times: list[int] = []
        self._trades: dict[str, _Trades] = defaultdict(lambda: _Trades([], []))

    def note(self, row: int, event: Event, *, is_ordinary: bool) -> None:
        """The next event was scanned."""
        if not is_ordinary:
            self._woken.append(row)
        elif type(event) is MarketData:
            trades = self._trades[event.symbol]
            trades.rows.append(row)
            trades.ticks.append(event)
        if type(event) is Clock:
            self._clock_rows.append(row)
            self._clock_times.append(event.timestamp)

    def next_woken(self, row: int) -> int:
        """The first row from ``row`` on that every stage must handle; the end without one."""
        index = bisect_left(self._woken, row)
        return self._woken[index] if index < len(self._woken) else len(self.events)

    def first_clock(self, row: int, time: int) -> int:
        """The row of the first clock at ``time`` (Unix ms) or later, and at least ``row``."""
        index = bisect_left(self._clock_times, time)
        found = self._clock_rows[index] if index < len(self._clock_rows) else len(self.events)
        return max(row, found)

    def clocks(self, row: int, upto: int) -> list[int]:
        """Times of the clocks in a range of rows."""
        rows = self._clock_rows
        return self._clock_times[bisect_left(rows, row) : bisect_left(rows, upto)]

    def trades(self, row: int, upto: int) -> list[tuple[str, list[MarketData]]]:
        """The ordinary trades in a range of rows, by symbol; symbols without one are left out."""
        found = []
        for symbol, (rows, ticks) in self._trades.items():
            first, last = bisect_left(rows, row), bisect_left(rows, upto)
            if first < last:
                found.append((symbol, ticks[first:last]))
        return found


class _Seen(Struct):
    """The scan's state of one symbol; ``follows``: its last event was a trade in order."""

    trade: MarketData | None = None
    seen_at: int = 0
    newest: int = 0
    follows: bool = False
    stale: bool = False


class MarketScan:
    """Finds the rows that are not ordinary; feed it all events of a run, in order.

    Ordinary are a clock, unless silence of a symbol begins with it, and a live trade that follows a
    trade of its symbol, in time and without a jump, unless it ends a silence.
    """

    def __init__(self, settings: TradingSettings) -> None:
        self._max_jump = settings.max_price_jump_pct
        self._stale_ms = settings.data_stale_timeout_sec * 1000
        self._symbols: dict[str, _Seen] = {}

    def scan(self, events: Sequence[Event]) -> Rows:
        """The next events as rows."""
        rows = Rows(events)
        for row, event in enumerate(events):
            if type(event) is MarketData:
                is_ordinary = self._on_tick(event)
            else:
                is_ordinary = type(event) is Clock and not self._begins_silence(event.timestamp)
            rows.note(row, event, is_ordinary=is_ordinary)
        return rows

    def _on_tick(self, tick: MarketData) -> bool:
        seen = self._symbols.get(tick.symbol)
        if seen is None:
            seen = self._symbols[tick.symbol] = _Seen()
        was_stale, followed = seen.stale, seen.follows
        time, price, last = tick.timestamp, tick.price, seen.trade
        if not tick.backfill:
            seen.stale = False
            seen.seen_at = max(seen.seen_at, time)
        seen.follows = False
        if tick.kind is not MarketDataKind.TRADE or price is None or price <= 0:
            return False
        is_late, seen.newest, seen.trade = time < seen.newest, max(time, seen.newest), tick
        if tick.backfill or tick.volume is None or is_late:
            return False
        if last is not None and last.price is not None and price != last.price:
            seen.follows = not is_jump(price, last.price, self._max_jump)
        else:
            seen.follows = True
        return seen.follows and followed and not was_stale

    def _begins_silence(self, now: int) -> bool:
        begins = False
        for seen in self._symbols.values():
            if seen.seen_at and not seen.stale and now - seen.seen_at > self._stale_ms:
                seen.stale = begins = True
        return begins
