"""Mean reversion: enter against a price far from the window's mean, leave at the mean."""

from collections.abc import Mapping
from decimal import Decimal

import msgspec
from msgspec import Struct

from services.kernel.events import MarketData, MarketDataKind, Side
from services.kernel.instruments.rounding import rounded
from services.kernel.market.bars import Bar
from services.kernel.settings.model import TradingSettings
from services.kernel.strategies.price_window import PriceWindow
from services.kernel.strategies.protocol import Intent
from services.kernel.units import ONE, ZERO

STRENGTH_STEP = Decimal("0.0001")
FIGURE_STEP = Decimal("0.00000001")


class SymbolReversion(Struct, kw_only=True):
    """One symbol's window and the strategy's own last signal.

    Attributes:
        price_sum: Sum of the window's prices, the reference's bucket included.
        side: Direction of the last entry that has had no exit.
        rest_until: No entry before it, Unix milliseconds.
    """

    window: PriceWindow
    price_sum: Decimal = ZERO
    side: Side | None = None
    rest_until: int = 0

    @property
    def count(self) -> int:
        """Traded seconds in the window."""
        return len(self.window.seconds) - self.window.head

    def add(self, now: int, price: Decimal, volume: Decimal) -> None:
        """Take a trade into the window and keep the sum of the window's prices."""
        window = self.window
        seconds, prices = window.seconds, window.prices
        begin = (now - window.length_ms) // 1000
        oldest, last = window.head, len(seconds) - 1
        while oldest < last and seconds[oldest + 1] <= begin:
            self.price_sum -= prices[oldest]
            oldest += 1
        second = now // 1000
        if not seconds or second > seconds[-1]:
            self.price_sum += price
        elif second == seconds[-1]:
            self.price_sum += price - prices[-1]
        window.add(now, price, volume)


class MeanReversion:
    """Distance of a trade from the mean price of ``LOOKBACK_MINUTES`` of event time.

    Mean: of the last prices of the window's traded seconds, this trade's included. Entry: the
    price is ``SIGNAL_THRESHOLD_PCT`` or more below the mean for BUY, above it for SELL, the window
    has no hole longer than ``DATA_STALE_TIMEOUT_SEC``, and its traded value reaches
    ``VOLUME_FLOOR``. Exit: the price is back at or beyond the mean; a hole prevents no exit.
    After an exit the symbol rests for ``SIGNAL_COOLDOWN_SEC``.
    """

    strategy_id = "mean_reversion-1"

    def __init__(self, settings: TradingSettings) -> None:
        self._length_ms = settings.lookback_minutes * 60_000
        self._max_hole_ms = settings.data_stale_timeout_sec * 1000
        self._threshold = settings.signal_threshold_pct
        self._volume_floor = settings.volume_floor
        self._cooldown_ms = settings.signal_cooldown_sec * 1000
        self._symbols: dict[str, SymbolReversion] = {}

    def seed(self, sides: Mapping[str, Side], rests: Mapping[str, int]) -> None:
        """Continue from the signals of the run before."""
        for symbol in sorted(sides.keys() | rests.keys()):
            known = self._of(symbol)
            known.side, known.rest_until = sides.get(symbol), rests.get(symbol, 0)

    def on_tick(self, tick: MarketData) -> Intent | None:
        """Take one tick; only trades count."""
        price, volume = tick.price, tick.volume
        if tick.kind is not MarketDataKind.TRADE or volume is None:
            return None
        known = self._symbols.get(tick.symbol) or self._of(tick.symbol)
        now = tick.timestamp
        if price is None:
            known.window.add_volume(volume)
            return None
        known.add(now, price, volume)
        if tick.backfill or known.window.reference(now) is None:
            return None
        if known.side is None:
            return self._entry(known, now, price)
        return self._exit(known, known.side, now, price)

    def on_bar(self, _: Bar) -> Intent | None:
        """Bars are not used."""
        return None

    def snapshot(self) -> bytes:
        """The windows and past signals of all symbols."""
        return msgspec.json.encode(self._symbols)

    def restore(self, snapshot: bytes) -> None:
        """Become what `snapshot` was made from."""
        self._symbols = msgspec.json.decode(snapshot, type=dict[str, SymbolReversion])

    def status(self) -> dict[str, object]:
        """Per symbol: the side of its open entry, and how far its window is filled."""
        return {
            symbol: {"wants": known.side, "seconds_in_window": known.count}
            for symbol, known in self._symbols.items()
        }

    def _of(self, symbol: str) -> SymbolReversion:
        known = self._symbols.get(symbol)
        if known is None:
            window = PriceWindow(length_ms=self._length_ms, max_hole_ms=self._max_hole_ms)
            known = self._symbols[symbol] = SymbolReversion(window=window)
        return known

    def _entry(self, known: SymbolReversion, now: int, price: Decimal) -> Intent | None:
        scaled = price * known.count  # compared with the sum: a mean would have to be rounded
        if scaled <= known.price_sum * (ONE - self._threshold):
            side, position = Side.BUY, "below"
        elif scaled >= known.price_sum * (ONE + self._threshold):
            side, position = Side.SELL, "above"
        else:
            return None
        window = known.window
        if now < known.rest_until or not window.is_unbroken or window.total < self._volume_floor:
            return None
        known.side = side
        distance = scaled / known.price_sum - ONE
        return Intent(
            direction=side,
            strength=rounded(min(ONE, abs(distance) / self._threshold / 2), STRENGTH_STEP),
            price=price,
            reason=f"price {position} the window's mean by at least {self._threshold}",
            indicators=self._indicators(known, distance),
            reduce_only=False,
        )

    def _exit(self, known: SymbolReversion, side: Side, now: int, price: Decimal) -> Intent | None:
        scaled = price * known.count
        if scaled < known.price_sum if side is Side.BUY else scaled > known.price_sum:
            return None
        known.side = None
        known.rest_until = now + self._cooldown_ms
        return Intent(
            direction=side.opposite,
            strength=ONE,
            price=price,
            reason="the price is back at the window's mean",
            indicators=self._indicators(known, scaled / known.price_sum - ONE),
            reduce_only=True,
        )

    def _indicators(self, known: SymbolReversion, distance: Decimal) -> dict[str, Decimal]:
        return {
            "distance_pct": rounded(distance, FIGURE_STEP),
            "mean_price": rounded(known.price_sum / known.count, FIGURE_STEP),
            "threshold_pct": self._threshold,
            "window_value": known.window.total,
        }
