"""What the exchange remembers of one contract: trades, bars, book, prices. Bounded."""

from collections import deque
from decimal import Decimal
from random import Random
from typing import Final, NamedTuple

from msgspec.structs import replace

from services.exchange_sim.markets.market import Fair, Funding, Print, Touch
from services.kernel.instruments.contracts import Instrument

RECENT_TRADES: Final = 100
"""As many trades as REST gives."""

KEPT_MINUTES: Final = 2_000
MINUTE_MS: Final = 60_000
LEVELS: Final = 20
HOUR_MS: Final = 3_600_000
FIRST_VERSION: Final = 8_000_000_000

Level = tuple[Decimal, int, int]
"""Price, contracts, number of orders."""


class MadeTrade(NamedTuple):
    """A trade as the exchange made it.

    Attributes:
        symbol: ``BASE_QUOTE``.
        t: Unix milliseconds.
        p: Price.
        v: Contracts.
        buys: Whether the taker bought.
        i: Id; rises over all symbols, not dense.
    """

    symbol: str
    t: int
    p: Decimal
    v: int
    buys: bool
    i: int


class MinuteBar:
    """One minute of trades; ``opened_s`` is its beginning in Unix seconds."""

    __slots__ = ("amount", "close", "high", "low", "open", "opened_s", "previous_close", "volume")

    def __init__(self, opened_s: int, price: Decimal, previous_close: Decimal) -> None:
        self.opened_s = opened_s
        self.open = self.high = self.low = self.close = price
        self.previous_close = previous_close
        self.volume = 0
        self.amount = Decimal(0)


class Ledger:
    """One contract's market.

    Args:
        contract: Its details.
        random: Where the sizes of the book come from.
    """

    def __init__(self, contract: Instrument, random: Random) -> None:
        self.contract = contract
        self.symbol = contract.symbol
        self.recent: deque[MadeTrade] = deque(maxlen=RECENT_TRADES)
        self.bars: deque[MinuteBar] = deque(maxlen=KEPT_MINUTES)
        self.version = FIRST_VERSION
        self.last: Decimal | None = None
        self.bid = self.ask = Decimal(0)
        self.fair = self.index = Decimal(0)
        self.rate = Decimal("0.0001")
        self.first_price = Decimal(0)
        self.high = self.low = Decimal(0)
        self.volume = 0
        self.amount = Decimal(0)
        self._last_t = 0
        self._random = random

    def trade(self, made: Print, t_ms: int, number: int) -> MadeTrade:
        """Book a trade; its time is never before that of the trade before it."""
        t_ms = self._last_t = max(t_ms, self._last_t)
        price, tick = made.price, self.contract.tick_size
        trade = MadeTrade(self.symbol, t_ms, price, made.contracts, made.buys, number)
        self.recent.append(trade)
        if self.last is None:
            self.first_price = self.high = self.low = price
            if not self.fair:
                self.fair = self.index = price
        elif price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self._add_to_bar(price, made.contracts, t_ms)
        self.last = price
        if made.buys:
            self.bid, self.ask = max(price - tick, tick), max(price, tick * 2)
        else:
            self.bid, self.ask = price, price + tick
        return trade

    def touch(self, quote: Touch) -> None:
        """Take over a best bid and ask."""
        if quote.bid < quote.ask:
            self.bid, self.ask = quote.bid, quote.ask

    def value(self, fair: Fair) -> None:
        """Take over fair and index price."""
        self.fair, self.index = fair.fair_price, fair.index_price

    def fund(self, funding: Funding) -> None:
        """Take over a funding rate."""
        self.rate = funding.rate

    def halve_leverage(self) -> None:
        """The contract allows half of its leverage, but never less than 1."""
        halved = max(Decimal(1), self.contract.max_leverage / 2)
        self.contract = replace(self.contract, max_leverage=halved)

    def next_settlement(self, now_ms: int) -> int:
        """The next multiple of the funding interval since 00:00 UTC, Unix milliseconds."""
        interval = max(1, self.contract.funding_interval_hours) * HOUR_MS
        return (now_ms // interval + 1) * interval

    def book(self, levels: int = LEVELS) -> tuple[list[Level], list[Level]]:
        """Bids and asks around the last price, best first; a new version."""
        self.version += 1 + int(self._random.random() * 40)
        return self._side(self.bid, -self.contract.tick_size, levels), self._side(
            self.ask, self.contract.tick_size, levels
        )

    def change_of_the_day(self) -> Decimal:
        """Last price against the first, a fraction."""
        if self.last is None or not self.first_price:
            return Decimal(0)
        return (self.last / self.first_price - 1).quantize(Decimal("0.0001"))

    def _side(self, best: Decimal, step: Decimal, levels: int) -> list[Level]:
        draw = self._random.random
        lots = max(1, int(Decimal(20_000) / (max(best, abs(step)) * self.contract.contract_size)))
        side: list[Level] = []
        price = best
        for _ in range(levels):
            if price <= 0:
                break
            orders = 1 + int(draw() * 8)
            side.append((price, 1 + int(lots * draw() * orders / 4), orders))
            price += step
        return side

    def _add_to_bar(self, price: Decimal, contracts: int, t_ms: int) -> None:
        opened_s = t_ms // MINUTE_MS * 60
        bar = self.bars[-1] if self.bars else None
        if bar is None or bar.opened_s < opened_s:
            bar = MinuteBar(opened_s, price, price if bar is None else bar.close)
            self.bars.append(bar)
        elif price > bar.high:
            bar.high = price
        elif price < bar.low:
            bar.low = price
        bar.close = price
        amount = price * contracts * self.contract.contract_size
        bar.volume += contracts
        bar.amount += amount
        self.volume += contracts
        self.amount += amount
