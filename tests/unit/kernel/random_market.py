"""A market with everything in it, drawn from one seed: the input of the property tests."""

from decimal import Decimal
from random import Random
from typing import Any

from services.kernel.events import (
    ConditionName,
    ConditionPhase,
    Event,
    MarketData,
    OrderType,
    Side,
    TimeInForce,
)
from tests import builders
from tests.builders import BTC, ETH, MIDNIGHT, MINUTE_MS, SOL

SYMBOLS = (BTC, ETH, SOL)
LIVELY = {
    "LOOKBACK_MINUTES": "1",
    "SIGNAL_THRESHOLD_PCT": "0.001",
    "SIGNAL_COOLDOWN_SEC": "5",
    "MAX_TRADES_PER_HOUR": "200",
    "STOP_LOSS_PCT": "0.005",
    "MAX_COST_SHARE": "1",
    "MAX_CONSECUTIVE_LOSSES": "3",
    "LOSS_COOLDOWN_SEC": "1800",
    "RISK_PER_TRADE_PCT": "0.0005",
    "MAX_DAILY_DRAWDOWN_PCT": "0.01",
    "DATA_STALE_TIMEOUT_SEC": "30",
    "MAX_PRICE_JUMP_PCT": "0.02",
    "ORDER_EXPIRY_SEC": "10",
    "TRAILING_STOP_PCT": "0.004",
    "TAKE_PROFIT_PCT": "0.006",
}
START = MIDNIGHT + 86_400_000 - 6 * MINUTE_MS  # so that midnight lies within


class RandomMarket:
    """Ticks of every kind, gaps, jumps, hand-made signals, commands and conditions.

    Args:
        seed: The same seed makes the same events, ids included.
        symbols: Each has a path of its own; a symbol's path does not depend on the others.
        disturbed: Whether operators and conditions interfere.
    """

    def __init__(
        self,
        seed: int,
        *,
        symbols: tuple[str, ...] = SYMBOLS,
        settings: dict[str, str] | None = None,
        disturbed: bool = True,
    ) -> None:
        self.symbols = symbols
        self.settings = LIVELY if settings is None else settings
        self.disturbed = disturbed
        self.now = START
        self._seed = seed
        self._random = Random(f"{seed} time")  # noqa: S311  repeatable on purpose
        self._paths = {
            symbol: Random(f"{seed} {n}")  # noqa: S311  as above
            for n, symbol in enumerate(symbols)
        }
        self._prices = {symbol: Decimal(10_000) / (n + 1) for n, symbol in enumerate(symbols)}
        self._made = 0

    def events(self, steps: int = 300) -> list[Event]:
        """The run from its start to its end, ``steps`` clocks long."""
        contracts = [builders.instrument(symbol) for symbol in self.symbols]
        started = builders.run_started(self.settings, at=self.now)
        events: list[Event] = [started, builders.instruments(*contracts, at=self.now)]
        for _ in range(steps):
            self.now += self._random.choice((1000, 1000, 1000, 2000, 15_000))
            if self._random.random() < 0.01:
                self.now += 45_000  # long enough to be stale
            events.append(builders.clock(self.now))
            for symbol in self.symbols:
                events += self._of_symbol(symbol)
            if self.disturbed:
                events += self._disturbance()
        events.append(builders.run_ended(self.now))
        return [self._named(event) for event in events]

    def _of_symbol(self, symbol: str) -> list[Event]:
        random, at = self._paths[symbol], self.now + self._paths[symbol].randrange(900)
        move = Decimal(random.randrange(-12, 13)) / 10_000
        if random.random() < 0.005:
            move *= 40
        price = (self._prices[symbol] * (1 + move)).quantize(Decimal("0.01"))
        self._prices[symbol] = price
        kind = random.random()
        if kind < 0.6:
            volume = Decimal(random.randrange(1, 5000)) / 1000
            return [builders.trade(symbol, price, at, volume, backfill=random.random() < 0.02)]
        if kind < 0.8:
            half = Decimal(random.choice((1, 1, 1, 2, 30))) / 100
            return [_quote_or_book(random, symbol, price, half, at)]
        if kind < 0.88:
            rate = Decimal(random.randrange(-5, 6)) / 10_000
            told = builders.funding(symbol, rate, at + random.randrange(300_000), at)
            return [builders.mark(symbol, price, at) if kind < 0.85 else told]
        if kind < 0.94:
            quantity = Decimal(random.randrange(1, 3000)) / 1000
            side = random.choice(list(Side))
            reduce_only = random.random() < 0.4
            terms: dict[str, Any] = {"quantity": quantity, "reduce_only": reduce_only}
            terms |= _terms(random, side, price)
            return [builders.signal(symbol, side, price, at, **terms)]
        return []

    def _disturbance(self) -> list[Event]:
        random, at = self._random, self.now
        fate = random.random()
        symbol = random.choice(self.symbols)
        phase = random.choice(list(ConditionPhase))
        name = random.choice((ConditionName.DATABASE_AWAY, ConditionName.DATA_GAP))
        choices: list[tuple[float, Any]] = [
            (0.008, lambda: builders.halt(at=at)),
            (0.04, lambda: builders.reset(at=at)),
            (0.05, lambda: builders.pause(random.choice((symbol, None)), at=at)),
            (0.09, lambda: builders.resume(random.choice((symbol, None)), at=at)),
            (0.10, lambda: builders.condition(name, phase, symbol=symbol, at=at)),
            (0.11, lambda: builders.order(symbol, at=at, external=True, approved_by=None)),
        ]
        for below, make in choices:
            if fate < below:
                event: Event = make()
                return [event]
        return []

    def _named(self, event: Event) -> Event:
        """The builders count through all tests; here the ids follow from the seed."""
        self._made += 1
        fields: dict[str, Any] = {name: getattr(event, name) for name in event.__struct_fields__}
        old = fields["event_id"]
        for name, value in fields.items():
            if value == old or name == "order_id":
                fields[name] = f"{self._seed}-{self._made}"
        return type(event)(**fields)


def _quote_or_book(
    random: Random, symbol: str, price: Decimal, half: Decimal, at: int
) -> MarketData:
    """Best prices at half a spread from the price, or a thin book from there on."""
    if random.random() < 0.5:
        return builders.quote(symbol, price - half, price + half, at)
    steps = [(half * n, Decimal(random.randrange(1, 900)) / 1000) for n in (1, 2, 5)]
    bids, asks = ([(price + s * step, size) for step, size in steps] for s in (-1, 1))
    return builders.depth(symbol, bids, asks, at)


def _terms(random: Random, side: Side, price: Decimal) -> dict[str, Any]:
    """A market order mostly; else one with a limit or a trigger near the price, or nonsense."""
    kind = random.choice((OrderType.MARKET,) * 3 + tuple(OrderType))
    step = price * random.randrange(-4, 8) / 10_000 * side.sign
    terms: dict[str, Any] = {"order_type": kind, "time_in_force": random.choice(list(TimeInForce))}
    if kind in (OrderType.LIMIT, OrderType.STOP_LIMIT):
        terms |= {"limit_price": price - step, "post_only": random.random() < 0.5}
    if kind in (OrderType.STOP, OrderType.STOP_LIMIT):
        terms["trigger_price"] = price + step
    return terms
