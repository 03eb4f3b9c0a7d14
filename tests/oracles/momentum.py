"""Momentum's signals from raw observations, in the words of the contract and nothing else.

It follows rules 3.16, 4.6 and 4.7 of CONTRACT.md. It is slow and plain on purpose, and
it imports nothing of the program: what both make of a market is right, or misread twice.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from statistics import median
from typing import NamedTuple

QUOTE_AGE_MS = 5_000
SHORTEST_WAIT_MS = 3_000


class Observation(NamedTuple):
    """What the market shows of one symbol; times in milliseconds, prices in quote per base.

    ``kind`` is ``trade``, ``quote``, ``mark`` or ``clock``; the other fields are those of the kind.
    """

    kind: str
    at: int
    price: Decimal = Decimal(0)
    volume: Decimal = Decimal(0)
    bid: Decimal = Decimal(0)
    ask: Decimal = Decimal(0)
    backfill: bool = False


@dataclass(frozen=True)
class Rules:
    """The settings that the rules depend on, in their units."""

    lookback_ms: int = 900_000
    threshold: Decimal = Decimal("0.01")
    stale_ms: int = 60_000
    max_jump: Decimal = Decimal("0.05")
    cooldown_ms: int = 60_000
    volume_floor: Decimal = Decimal(0)


class Confirmed(NamedTuple):
    """A trade that counts.

    Attributes:
        known_at: When it was confirmed; for one that time confirms, the earliest that this can be.
        by_time: Nothing but time confirmed it: the next observation or clock shows it.
        silent: It may trigger nothing: it was backfilled, or confirmed by a backfilled trade.
        voided: Its price does not count.
    """

    at: int
    price: Decimal
    volume: Decimal
    known_at: int
    by_time: bool = False
    silent: bool = False
    voided: bool = False


class OracleSignal(NamedTuple):
    """A signal that must come."""

    side: str
    is_exit: bool
    price: Decimal
    reference: Decimal
    value: Decimal
    known_at: int
    by_time: bool


@dataclass
class _Print:
    """The print that waits."""

    trade: Observation
    until: int


@dataclass
class Confirmation:
    """Which trades count: a state that walks through the observations."""

    rules: Rules
    last: Decimal | None = None
    waiting: _Print | None = None
    mark: tuple[int, Decimal] | None = None
    quote: tuple[int, Decimal, Decimal] | None = None
    times: list[int] = field(default_factory=list)

    def take(self, seen: Observation) -> Iterator[Confirmed]:
        """The trades that count because of this observation."""
        if seen.kind == "mark" and not seen.backfill:
            self.mark = (seen.at, seen.price)
        if seen.kind == "quote" and not seen.backfill:
            self.quote = (seen.at, seen.bid, seen.ask)
        if seen.kind == "trade":
            yield from self._trade(seen)
        elif self.waiting is not None and not seen.backfill:
            waiting = self.waiting
            if seen.at >= waiting.until:
                yield self._confirm(waiting.trade, waiting.until, by_time=True)
            elif seen.kind == "quote" and self._quoted(waiting.trade.price, seen.at):
                yield self._confirm(waiting.trade, seen.at)

    def _trade(self, trade: Observation) -> Iterator[Confirmed]:
        self.times.append(trade.at)
        if self.waiting is not None:
            yield self._decide(self.waiting, trade)
        if self._is_print(trade):
            self.waiting = _Print(trade, trade.at + self._wait())
        else:
            yield self._confirm(trade, trade.at)

    def _decide(self, waiting: _Print, trade: Observation) -> Confirmed:
        """The next trade came: within the limit of the print, or further its way?"""
        assert self.last is not None
        printed = waiting.trade
        if trade.at >= waiting.until:
            confirmed = self._confirm(printed, waiting.until, by_time=True)
        else:
            up = printed.price > self.last
            further = trade.price >= printed.price if up else trade.price <= printed.price
            if not further and self._beyond(trade.price, printed.price):
                self.waiting = None
                return Confirmed(
                    printed.at, self.last, printed.volume, trade.at, silent=True, voided=True
                )
            confirmed = self._confirm(printed, trade.at)
        return confirmed._replace(silent=confirmed.silent or trade.backfill)

    def _confirm(self, trade: Observation, at: int, *, by_time: bool = False) -> Confirmed:
        self.waiting = None
        self.last = trade.price
        return Confirmed(trade.at, trade.price, trade.volume, at, by_time, trade.backfill)

    def _is_print(self, trade: Observation) -> bool:
        """Beyond the limit against the last confirmed trade and a fresh mark, and not quoted."""
        if self.last is None or not self._beyond(trade.price, self.last):
            return False
        fresh = self.mark is not None and trade.at - self.mark[0] <= self.rules.stale_ms
        if fresh and self.mark is not None and not self._beyond(trade.price, self.mark[1]):
            return False
        return not self._quoted(trade.price, trade.at)

    def _quoted(self, price: Decimal, now: int) -> bool:
        if self.quote is None or self.last is None or now - self.quote[0] > QUOTE_AGE_MS:
            return False
        return self.quote[1] >= price if price > self.last else self.quote[2] <= price

    def _wait(self) -> float:
        """3 s, or three times the median of the last 15 pauses, at most the stale timeout."""
        pauses = [after - before for before, after in pairwise(self.times[-16:])]
        usual = median(pauses) if pauses else 0
        return min(max(SHORTEST_WAIT_MS, 3 * usual), self.rules.stale_ms)

    def _beyond(self, price: Decimal, other: Decimal) -> bool:
        return abs(price / other - 1) > self.rules.max_jump


@dataclass
class Momentum:
    """Entries and exits of one symbol: all confirmed trades, searched each time."""

    rules: Rules
    trades: list[Confirmed] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    values: list[Decimal] = field(default_factory=list)
    side: str | None = None
    rests_until: int = 0

    def take(self, trade: Confirmed) -> OracleSignal | None:
        """The signal that this trade makes, if it makes one."""
        value = trade.price * trade.volume
        if trade.voided:  # it counts where the last confirmed trade does
            self.values[-1] += value
            return None
        self.values.append(value)
        self.trades.append(trade)
        self.times.append(trade.at)
        began = self._window(trade.at)
        if trade.silent or began is None:
            return None
        first, reference = began
        if self.side is None:
            return self._entry(trade, first, reference)
        back = trade.price <= reference if self.side == "BUY" else trade.price >= reference
        if not back:
            return None
        leaving = "SELL" if self.side == "BUY" else "BUY"
        self.side, self.rests_until = None, trade.at + self.rules.cooldown_ms
        return self._signal(leaving, True, trade, first, reference)

    def _window(self, now: int) -> tuple[int, Decimal] | None:
        """The first trade of the newest traded second not later than the window's, and the price.

        The price is the last one of that second.
        """
        second = (now - self.rules.lookback_ms) // 1000
        behind = bisect_right(self.times, second * 1000 + 999)
        if not behind:
            return None
        newest = self.times[behind - 1] // 1000
        return bisect_left(self.times, newest * 1000), self.trades[behind - 1].price

    def _entry(self, trade: Confirmed, first: int, reference: Decimal) -> OracleSignal | None:
        change = trade.price / reference - 1
        if abs(change) < self.rules.threshold or trade.at < self.rests_until:
            return None
        window = self.times[first:]
        if any(after - before > self.rules.stale_ms for before, after in pairwise(window)):
            return None
        if sum(self.values[first:]) < self.rules.volume_floor:
            return None
        self.side = "BUY" if change > 0 else "SELL"
        return self._signal(self.side, False, trade, first, reference)

    def _signal(
        self, side: str, is_exit: bool, trade: Confirmed, first: int, reference: Decimal
    ) -> OracleSignal:
        value = sum(self.values[first:], Decimal(0))
        return OracleSignal(
            side, is_exit, trade.price, reference, value, trade.known_at, trade.by_time
        )


def signals(observations: Iterable[Observation], rules: Rules) -> Iterator[OracleSignal]:
    """All signals of one symbol, in order.

    Args:
        observations: In the order of time.
        rules: The settings.
    """
    confirmation, momentum = Confirmation(rules), Momentum(rules)
    for seen in observations:
        for trade in confirmation.take(seen):
            signal = momentum.take(trade)
            if signal is not None:
                yield signal
