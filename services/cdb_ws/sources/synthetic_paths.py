"""The prices of the synthetic market: trends, noise and jumps, minute by minute, from a seed.

Only multiplication, addition and ``Random.random`` are used, whose results are the same on every
machine and Python version; ``math.exp`` or ``gauss`` would not promise that.
"""

from collections.abc import Iterator
from decimal import Decimal
from hashlib import blake2b
from random import Random
from typing import Final, NamedTuple

from msgspec import Struct

from services.kernel.instruments.contracts import MAKER_FEE_RATE, TAKER_FEE_RATE, Instrument

DEFAULT_SYMBOLS: Final = ("BTC_USDT", "ETH_USDT", "SOL_USDT", "XRP_USDT", "DOGE_USDT")
FUNDING_INTERVAL_HOURS: Final = 8

SHORTEST_TREND_MINUTES: Final = 8
LONGEST_TREND_MINUTES: Final = 24
WEAKEST_DRIFT: Final = 0.0001
STRONGEST_DRIFT: Final = 0.0006
FLAT_SHARE: Final = 0.3
MINUTE_NOISE: Final = 0.0022
JUMP_CHANCE: Final = 1 / 600
BIG_JUMP_SHARE: Final = 0.15

_MAINTENANCE_MARGIN_RATE: Final = Decimal("0.005")
_MAX_LEVERAGE: Final = Decimal(50)


class Market(Struct, frozen=True, kw_only=True):
    """One symbol of the synthetic market.

    Attributes:
        base_price: The price it begins with and is drawn back to, quote per base.
        tick_size: Smallest price step.
        lot_size: Smallest quantity, which is also the contract's size.
    """

    symbol: str
    base_price: Decimal
    tick_size: Decimal
    lot_size: Decimal

    @property
    def contract(self) -> Instrument:
        """The contract's details."""
        return Instrument(
            symbol=self.symbol,
            contract_size=self.lot_size,
            tick_size=self.tick_size,
            lot_size=self.lot_size,
            taker_fee_rate=TAKER_FEE_RATE,
            maker_fee_rate=MAKER_FEE_RATE,
            maintenance_margin_rate=_MAINTENANCE_MARGIN_RATE,
            max_leverage=_MAX_LEVERAGE,
            funding_interval_hours=FUNDING_INTERVAL_HOURS,
            generic=False,
        )


_KNOWN: Final = {
    "BTC_USDT": ("64000", "0.1", "0.0001"),
    "ETH_USDT": ("3100", "0.01", "0.01"),
    "SOL_USDT": ("150", "0.001", "0.1"),
    "XRP_USDT": ("0.62", "0.0001", "1"),
    "DOGE_USDT": ("0.16", "0.00001", "10"),
}


def market(symbol: str) -> Market:
    """The market of a symbol; of one that is not listed here, made from its name."""
    known = _KNOWN.get(symbol)
    if known is None:
        number = int.from_bytes(blake2b(symbol.encode(), digest_size=4).digest(), "big")
        price = Decimal(1 + number % 9_999) / 10 ** (number % 4)
        tick = Decimal(1).scaleb(price.adjusted() - 4)
        lot = Decimal(1).scaleb(-max(0, price.adjusted()))
        return Market(symbol=symbol, base_price=price, tick_size=tick, lot_size=lot)
    price, tick, lot = map(Decimal, known)
    return Market(symbol=symbol, base_price=price, tick_size=tick, lot_size=lot)


class Minute(NamedTuple):
    """What one minute does to one price, as multiples of the base price.

    Attributes:
        trend: Drift per minute of the trend that rules, a fraction.
        jump_at: The part of the minute (0 to 1) at which the price jumps; 0 without a jump.
    """

    open: float
    close: float
    trend: float
    jump_at: float


def noise(random: Random) -> float:
    """Roughly normal with mean 0 and standard deviation 1, from exact arithmetic."""
    return (random.random() + random.random() + random.random() - 1.5) * 2


def path(seed: int, symbol: str) -> Iterator[Minute]:
    """The minutes of one symbol, for ever; the same for the same seed and symbol."""
    random = Random(f"{seed} {symbol} path")  # noqa: S311 - a market, not a secret
    price, trend, left = 1.0, 0.0, 0
    while True:
        if left == 0:
            trend, left = _new_trend(random, price)
        left -= 1
        change = trend + MINUTE_NOISE * noise(random)
        jump_at = 0.0
        if random.random() < JUMP_CHANCE:
            jump_at = 0.1 + 0.8 * random.random()
            change += _jump(random)
        opened = price
        price *= 1 + change
        yield Minute(opened, price, trend, jump_at)


def _new_trend(random: Random, price: float) -> tuple[float, int]:
    """A drift per minute and how long it lasts; far from the base price it tends back to it."""
    minutes = SHORTEST_TREND_MINUTES + int(
        random.random() * (LONGEST_TREND_MINUTES - SHORTEST_TREND_MINUTES)
    )
    strength = WEAKEST_DRIFT + random.random() * (STRONGEST_DRIFT - WEAKEST_DRIFT)
    upward = random.random() < 0.5 - 2 * (price - 1)
    if random.random() < FLAT_SHARE:
        strength = 0.0
    return (strength if upward else -strength), minutes


def _jump(random: Random) -> float:
    size = 0.01 + 0.02 * random.random()
    if random.random() < BIG_JUMP_SHARE:
        size += 0.035
    return size if random.random() < 0.5 else -size
