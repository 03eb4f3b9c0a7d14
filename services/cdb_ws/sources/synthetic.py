"""The source ``synthetic``: a seeded market of several symbols, the same for the same seed."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import count
from random import Random
from typing import Any, Final

from services.cdb_ws.publishing import ticks
from services.cdb_ws.publishing.clocks import HOUR_MS, ClockRule
from services.cdb_ws.publishing.ticks import TickMaker
from services.cdb_ws.sources.recorded import Step
from services.cdb_ws.sources.synthetic_paths import (
    DEFAULT_SYMBOLS,
    FUNDING_INTERVAL_HOURS,
    Market,
    Minute,
    market,
    noise,
    path,
)
from services.kernel.events import MarketData, MarketDataKind, Side

START_MS: Final = 1_767_225_600_000
"""When the market opens: 2026-01-01 00:00 UTC, always, so that a seed gives one result."""

MINUTE_MS: Final = 60_000
TRADES_PER_MINUTE: Final = 20
QUOTE_EVERY: Final = 2
"""A quote comes with every second trade."""

MARK_EVERY_MS: Final = 15_000
CURSORS_PER_MINUTE: Final = 1_000_000
HALF_SPREAD: Final = 0.0001
JUMP_SPREAD_MULTIPLE: Final = 4
PATH_NOISE: Final = 0.0002
TRADE_NOTIONAL: Final = 60_000
"""Typical size of a trade in quote currency."""

_BASE_RATE: Final = 0.0001
_RATE_STEP: Final = Decimal("0.000001")

_Item = tuple[int, int, int, MarketDataKind, dict[str, Any]]
"""Milliseconds after the minute's beginning, number of symbol, index, kind, and its fields."""


class _Symbol:
    """One market, its path, and how its ticks are made."""

    def __init__(self, listed: Market, number: int, run_id: str, seed: int) -> None:
        self.number = number
        self.maker = TickMaker(run_id, "synthetic", listed.symbol, seed)
        self.tick = listed.tick_size
        self.lot = listed.lot_size
        self.base_ticks = float(listed.base_price / listed.tick_size)
        self.lots = max(1.0, TRADE_NOTIONAL / float(listed.base_price * listed.lot_size))
        self.minutes = path(seed, listed.symbol)


class Synthetic:
    """A market with trends, jumps, spreads, quotes, mark prices and funding.

    It begins with ``lookback_minutes`` of backfilled trades, so that windows are full at the start,
    and then never ends.

    Args:
        run_id: The run that the events belong to.
        seed: The same seed gives the same market.
        symbols: What is traded; names that are not known get a market made from the name.
        lookback_minutes: Length of the history that is published first.
        trades_per_minute: Of each symbol.
    """

    def __init__(
        self,
        run_id: str,
        seed: int,
        symbols: Sequence[str] = (),
        lookback_minutes: int = 15,
        trades_per_minute: int = TRADES_PER_MINUTE,
    ) -> None:
        listed = [market(symbol) for symbol in dict.fromkeys(symbols or DEFAULT_SYMBOLS)]
        self.contracts = tuple(one.contract for one in listed)
        self.first_timestamp = START_MS - lookback_minutes * MINUTE_MS
        self._run_id = run_id
        self._seed = seed
        self._listed = listed
        self._lookback = lookback_minutes
        self._trades = trades_per_minute
        self._clock_rule = ClockRule((FUNDING_INTERVAL_HOURS,))

    def steps(self, after: int = 0) -> Iterator[Step]:
        """All events behind the cursor ``after``, for ever.

        A cursor is the number of the minute and of the event in it, so that going on costs one
        look at each minute before, not at each tick.
        """
        if after < 1:
            yield 1, ticks.instruments(self._run_id, self.first_timestamp, self.contracts)
        symbols = [
            _Symbol(one, number, self._run_id, self._seed)
            for number, one in enumerate(self._listed)
        ]
        for minute in count():
            bars = [next(symbol.minutes) for symbol in symbols]
            cursor = (minute + 1) * CURSORS_PER_MINUTE
            if cursor + CURSORS_PER_MINUTE <= after:
                continue
            for event in self._minute(minute, symbols, bars, max(0, after - cursor)):
                yield cursor + event[0], event[1]

    def counts(self) -> dict[str, object]:
        """What the market is made of."""
        return {"seed": self._seed, "symbols": [one.symbol for one in self._listed]}

    def rows(self) -> Iterator[tuple[str, str, int]]:
        """None: there is no file."""
        return iter(())

    def _minute(
        self, minute: int, symbols: list[_Symbol], bars: list[Minute], skip: int
    ) -> Iterator[Step]:
        started = self.first_timestamp + minute * MINUTE_MS
        backfill = minute < self._lookback
        random = Random(f"{self._seed} {minute}")  # noqa: S311 - a market, not a secret
        items: list[_Item] = []
        for symbol, bar in zip(symbols, bars, strict=True):
            items += self._trades_and_quotes(random, symbol, bar)
            items += _marks(random, symbol, bar)
            items.append(_funding(symbol, bar, started))
        if backfill:
            items = [item for item in items if item[3] is MarketDataKind.TRADE]
        items.sort(key=lambda item: item[:3])
        timed = ((started + item[0], item) for item in items)
        stream = timed if backfill else self._clock_rule.insert(timed, started - MARK_EVERY_MS)
        for index, (timestamp, item) in enumerate(stream, 1):
            if index <= skip:
                continue
            if item is None:
                yield index, ticks.clock(self._run_id, timestamp)
            else:
                yield index, _tick(symbols[item[1]], minute, timestamp, item, backfill)

    def _trades_and_quotes(self, random: Random, symbol: _Symbol, bar: Minute) -> list[_Item]:
        items: list[_Item] = []
        spacing = MINUTE_MS / self._trades
        draw = random.random
        tick, lot = symbol.tick, symbol.lot
        for index in range(self._trades):
            offset = int((index + draw()) * spacing)
            middle = _price(bar, offset / MINUTE_MS, PATH_NOISE * noise(random))
            multiple = JUMP_SPREAD_MULTIPLE if _in_jump(bar, offset) else 1
            bid = int(middle * (1 - HALF_SPREAD * multiple) * symbol.base_ticks)
            ask = max(bid + 1, int(middle * (1 + HALF_SPREAD * multiple) * symbol.base_ticks))
            lots = 1 + int(symbol.lots * draw() * draw() * 4)
            buys = draw() < 0.5
            if index % QUOTE_EVERY == 0:
                fields: dict[str, Any] = {
                    "bid": tick * bid,
                    "ask": tick * ask,
                    "bid_size": lot * (lots + int(symbol.lots * 8 * draw())),
                    "ask_size": lot * (lots + int(symbol.lots * 8 * draw())),
                }
                items.append((offset, symbol.number, 2 * index, MarketDataKind.QUOTE, fields))
            fields = {
                "price": tick * (ask if buys else bid),
                "volume": lot * lots,
                "side": Side.BUY if buys else Side.SELL,
            }
            items.append((offset, symbol.number, 2 * index + 1, MarketDataKind.TRADE, fields))
        return items


def _price(bar: Minute, part: float, shift: float) -> float:
    """The middle of the book at a part (0 to 1) of the minute, as multiple of the base price."""
    jumped = 1.0 if part >= bar.jump_at else 0.0
    reached = jumped if bar.jump_at else part
    bridge = 4 * part * (1 - part)
    return (bar.open + (bar.close - bar.open) * reached) * (1 + shift * bridge)


def _in_jump(bar: Minute, offset: int) -> bool:
    return bar.jump_at > 0 and 0 <= offset - bar.jump_at * MINUTE_MS < MARK_EVERY_MS


def _marks(random: Random, symbol: _Symbol, bar: Minute) -> list[_Item]:
    """Mark and index price at fixed seconds, the first of the minute at its beginning."""
    items: list[_Item] = []
    for number in range(MINUTE_MS // MARK_EVERY_MS):
        offset = number * MARK_EVERY_MS
        middle = _price(bar, offset / MINUTE_MS, 0.0) * symbol.base_ticks
        fields: dict[str, Any] = {
            "mark_price": symbol.tick * int(middle),
            "index_price": symbol.tick * int(middle * (1 + HALF_SPREAD * noise(random))),
        }
        items.append((offset, symbol.number, 1000 + number, MarketDataKind.MARK, fields))
    return items


def _funding(symbol: _Symbol, bar: Minute, started: int) -> _Item:
    """The rate has the sign of the trend: positions that follow it pay."""
    rate = _RATE_STEP * int((_BASE_RATE + bar.trend / 5) * 1_000_000)
    interval = FUNDING_INTERVAL_HOURS * HOUR_MS
    fields = {
        "funding_rate": rate,
        "next_funding_time": (started // interval + 1) * interval,
    }
    return 0, symbol.number, 2000, MarketDataKind.FUNDING, fields


def _tick(symbol: _Symbol, minute: int, timestamp: int, item: _Item, backfill: bool) -> MarketData:
    return symbol.maker.make(
        event_id=symbol.maker.make_id(minute, item[2]),
        timestamp=timestamp,
        kind=item[3],
        backfill=backfill,
        **item[4],
    )
