"""A seeded market for the fake exchange: any number of symbols and any trade rate."""

from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import accumulate, count
from random import Random
from typing import Final

from services.cdb_ws.sources.synthetic_paths import (
    DEFAULT_SYMBOLS,
    Market,
    Minute,
    market,
    noise,
    path,
)
from services.exchange_sim.markets.market import Fair, Funding, Happening, Print
from services.kernel.instruments.contracts import Instrument

MINUTE_MS: Final = 60_000
FAIR_EVERY_MS: Final = 1_000
FUNDING_EVERY_MS: Final = 60_000
HISTORY_TRADES_PER_MINUTE: Final = 4
TRADE_STREAM: Final = "deals"
"""Part of the seed of the trades: another word would make another market."""

HALF_SPREAD: Final = 0.0001
PRICE_NOISE: Final = 0.0002
TRADE_NOTIONAL: Final = 5_000
"""Typical size of a trade in quote currency."""

SWEEP_SHARE: Final = 0.15
"""How many takers need more than one trade: the next comes in the same millisecond."""

_BASE_RATE: Final = 0.0001
_RATE_STEP: Final = Decimal("0.000001")


def symbol_names(number: int) -> tuple[str, ...]:
    """That many symbols: the well-known ones first, then made-up ones."""
    made_up = (f"SIM{index:04}_USDT" for index in count(1))
    known = DEFAULT_SYMBOLS[:number]
    return (*known, *(next(made_up) for _ in range(number - len(known))))


class _Symbol:
    """One contract's path of prices."""

    def __init__(self, listed: Market, seed: int) -> None:
        self.tick = listed.tick_size
        self.base_ticks = float(listed.base_price / listed.tick_size)
        contract_value = float(listed.base_price * listed.lot_size)
        self.size = max(1.0, TRADE_NOTIONAL / contract_value)
        self._minutes = path(seed, listed.symbol)
        self._number = 0
        self.bar: Minute = next(self._minutes)

    def middle(self, minutes: float) -> float:
        """The middle of the book, in ticks; ``minutes`` never goes back by a whole minute."""
        while self._number < int(minutes):
            self.bar = next(self._minutes)
            self._number += 1
        bar = self.bar
        part = min(1.0, max(0.0, minutes - self._number))
        reached = (1.0 if part >= bar.jump_at else 0.0) if bar.jump_at else part
        return max(10.0, (bar.open + (bar.close - bar.open) * reached) * self.base_ticks)


class SyntheticMarket:
    """Contracts with trends, jumps and funding; the same seed gives the same trades.

    Args:
        seed: What the market is made from.
        symbols: Contracts; names that are not known get a market made from the name.
        trades_per_second: Takers of all symbols together, each of one or more trades. The first
            symbols trade more often than the last.
        speed: Minutes of the price's path per minute; the rate of trades does not change with it.
        history_minutes: Length of the past before the opening.
        opened_at_minute: Where on the price's path the exchange opens. An exchange that was
            restarted goes on with its prices if this goes on with the time.
    """

    def __init__(
        self,
        seed: int,
        symbols: Sequence[str] = DEFAULT_SYMBOLS,
        *,
        trades_per_second: float = 10.0,
        speed: float = 1.0,
        history_minutes: int = 60,
        opened_at_minute: float = 0.0,
    ) -> None:
        if trades_per_second <= 0 or speed <= 0:
            raise ValueError(
                f"trades_per_second {trades_per_second:g} and speed {speed:g} must be above 0"
            )
        listed = [market(name) for name in dict.fromkeys(symbols)]
        if not listed:
            raise ValueError("a market needs at least one symbol")
        self.contracts: tuple[Instrument, ...] = tuple(one.contract for one in listed)
        self._listed = listed
        self._seed = seed
        self._gap_ms = 1000.0 / trades_per_second
        self._speed = speed
        self._history_ms = history_minutes * MINUTE_MS
        self._opened_at = max(opened_at_minute, history_minutes * speed)

    def happenings(self) -> Iterator[Happening]:
        """History, then for ever what happens after the opening."""
        symbols = [_Symbol(one, self._seed) for one in self._listed]
        yield from self._history(symbols)
        prints = self._prints(symbols)
        random = Random(f"{self._seed} fair")  # noqa: S311 - a market, not a secret
        # One loop instead of a merge: a symbol's path goes forward only.
        for second in count():
            opened = second * FAIR_EVERY_MS
            if opened % FUNDING_EVERY_MS == 0:
                yield from _rates(symbols, opened)
            yield from self._fairs(random, symbols, opened)
            yield from prints(opened + FAIR_EVERY_MS)

    def _minutes_at(self, offset_ms: float) -> float:
        return self._opened_at + offset_ms / MINUTE_MS * self._speed

    def _history(self, symbols: list[_Symbol]) -> Iterator[Happening]:
        random = Random(f"{self._seed} history")  # noqa: S311 - a market, not a secret
        step = MINUTE_MS // HISTORY_TRADES_PER_MINUTE
        for offset in range(-self._history_ms, 0, step):
            for number, symbol in enumerate(symbols):
                yield self._print(random, number, symbol, offset)

    def _prints(self, symbols: list[_Symbol]) -> Callable[[int], Iterator[Print]]:
        """A function that gives the trades up to a time, going on where it stopped."""
        random = Random(f"{self._seed} {TRADE_STREAM}")  # noqa: S311 - a market, not a secret
        shares = list(accumulate(1 / (1 + rank) ** 0.6 for rank in range(len(symbols))))
        draw = random.random
        due = 2 * draw() * self._gap_ms

        def until(end_ms: int) -> Iterator[Print]:
            nonlocal due
            while due < end_ms:
                number = bisect(shares, draw() * shares[-1])
                made = self._print(random, number, symbols[number], due)
                yield made
                while draw() < SWEEP_SHARE:
                    made = _swept_on(random, made, symbols[number].tick)
                    yield made
                due += 2 * draw() * self._gap_ms

        return until

    def _print(self, random: Random, number: int, symbol: _Symbol, offset: float) -> Print:
        draw = random.random
        middle = symbol.middle(self._minutes_at(offset)) * (1 + PRICE_NOISE * noise(random))
        buys = draw() < 0.5
        bid = int(middle * (1 - HALF_SPREAD))
        ticks = max(bid + 1, int(middle * (1 + HALF_SPREAD))) if buys else bid
        contracts = 1 + int(symbol.size * draw() * draw() * 4)
        return Print(offset, number, symbol.tick * ticks, contracts, buys)

    def _fairs(self, random: Random, symbols: list[_Symbol], offset: int) -> Iterator[Fair]:
        minutes = self._minutes_at(offset)
        for number, symbol in enumerate(symbols):
            middle = symbol.middle(minutes)
            index = symbol.tick * int(middle * (1 + HALF_SPREAD * noise(random)))
            yield Fair(offset, number, symbol.tick * int(middle), index)


def _swept_on(random: Random, made: Print, tick: Decimal) -> Print:
    """The next trade of the same taker: at the same price or a tick further, often as large."""
    further = tick * (1 if made.buys else -1) if random.random() < 0.5 else 0
    alike = random.random() < 0.3
    contracts = made.contracts if alike else 1 + int(made.contracts * random.random())
    return made._replace(price=made.price + further, contracts=contracts)


def _rates(symbols: list[_Symbol], offset: int) -> Iterator[Funding]:
    """The rate leans with the trend: who follows it pays."""
    for number, symbol in enumerate(symbols):
        rate = _RATE_STEP * int((_BASE_RATE + symbol.bar.trend / 5) * 1_000_000)
        yield Funding(offset, number, rate)
