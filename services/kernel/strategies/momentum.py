"""Momentum: follow a price that moved far enough over the window, leave when the move is gone."""

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
from services.kernel.units import ONE

STRENGTH_STEP = Decimal("0.0001")
CHANGE_STEP = Decimal("0.00000001")


class SymbolMomentum(Struct, kw_only=True):
    """What the strategy remembers of one symbol: its window and its own last signal."""

    window: PriceWindow
    side: Side | None = None
    rest_until: int = 0


class Momentum:
    """Percent change over ``LOOKBACK_MINUTES`` of event time against ``SIGNAL_THRESHOLD_PCT``.

    Reference: the last price of the newest traded second not later than the one in which the
    window began. Entry: the change from it reaches the threshold, up for BUY, down for SELL, the
    window has no hole longer than ``DATA_STALE_TIMEOUT_SEC``, and its traded value reaches
    ``VOLUME_FLOOR``. Exit: the price is back at or beyond the reference; a hole prevents no exit.
    After an exit the symbol rests for ``SIGNAL_COOLDOWN_SEC``.
    """

    strategy_id = "momentum-1"

    def __init__(self, settings: TradingSettings) -> None:
        self._length_ms = settings.lookback_minutes * 60_000
        self._max_hole_ms = settings.data_stale_timeout_sec * 1000
        self._threshold = settings.signal_threshold_pct
        self._up = ONE + settings.signal_threshold_pct
        self._down = ONE - settings.signal_threshold_pct
        self._volume_floor = settings.volume_floor
        self._cooldown_ms = settings.signal_cooldown_sec * 1000
        self._symbols: dict[str, SymbolMomentum] = {}

    def seed(self, sides: Mapping[str, Side], rests: Mapping[str, int]) -> None:
        """Go on from the last run's signals."""
        for symbol in sorted(sides.keys() | rests.keys()):
            memory = self._memory(symbol)
            memory.side, memory.rest_until = sides.get(symbol), rests.get(symbol, 0)

    def on_tick(self, tick: MarketData) -> Intent | None:
        """Take one tick; only trades count."""
        price, volume = tick.price, tick.volume
        if tick.kind is not MarketDataKind.TRADE or volume is None:
            return None
        memory = self._symbols.get(tick.symbol) or self._memory(tick.symbol)
        now = tick.timestamp
        if price is None:
            memory.window.add_volume(volume)
            return None
        memory.window.add(now, price, volume)
        if tick.backfill:
            return None
        reference = memory.window.reference(now)
        if reference is None:
            return None
        if memory.side is None:
            return self._entry(memory, now, price, reference)
        return self._exit(memory, now, price, reference)

    def take_quietly(self, tick: MarketData) -> bool:
        """Take an ordinary trade, unless it may make an intent."""
        memory, price, now = self._symbols.get(tick.symbol), tick.price, tick.timestamp
        if memory is None or price is None or tick.volume is None:
            return False
        reference = memory.window.reference_at(now)
        if reference is not None:
            if memory.side is None:
                moved = price >= reference * self._up or price <= reference * self._down
                if moved and now >= memory.rest_until:
                    return False
            elif price <= reference if memory.side is Side.BUY else price >= reference:
                return False
        memory.window.add(now, price, tick.volume)
        return True

    def on_bar(self, _: Bar) -> Intent | None:
        """It looks at ticks only."""
        return None

    def snapshot(self) -> bytes:
        """The windows and past signals of all symbols."""
        return msgspec.json.encode(self._symbols)

    def restore(self, snapshot: bytes) -> None:
        """Become what `snapshot` was made from."""
        self._symbols = msgspec.json.decode(snapshot, type=dict[str, SymbolMomentum])

    def status(self) -> dict[str, object]:
        """Per symbol: whether its window is filled, since when it wants what."""
        return {
            symbol: {"wants": memory.side, "seconds_in_window": len(memory.window.seconds)}
            for symbol, memory in self._symbols.items()
        }

    def _memory(self, symbol: str) -> SymbolMomentum:
        memory = self._symbols.get(symbol)
        if memory is None:
            window = PriceWindow(length_ms=self._length_ms, max_hole_ms=self._max_hole_ms)
            memory = self._symbols[symbol] = SymbolMomentum(window=window)
        return memory

    def _entry(
        self, memory: SymbolMomentum, now: int, price: Decimal, reference: Decimal
    ) -> Intent | None:
        if price >= reference * self._up:
            side = Side.BUY
        elif price <= reference * self._down:
            side = Side.SELL
        else:
            return None
        window = memory.window
        if now < memory.rest_until or not window.is_unbroken or window.total < self._volume_floor:
            return None
        memory.side = side
        change = price / reference - ONE
        strength = rounded(min(ONE, abs(change) / self._threshold / 2), STRENGTH_STEP)
        direction = "rose" if side is Side.BUY else "fell"
        reason = f"price {direction} by at least {self._threshold} over the window"
        indicators = self._indicators(memory, change, reference)
        return Intent(
            direction=side,
            strength=strength,
            price=price,
            reason=reason,
            indicators=indicators,
            reduce_only=False,
        )

    def _exit(
        self, memory: SymbolMomentum, now: int, price: Decimal, reference: Decimal
    ) -> Intent | None:
        side = memory.side
        if side is None or (price > reference if side is Side.BUY else price < reference):
            return None
        memory.side = None
        memory.rest_until = now + self._cooldown_ms
        return Intent(
            direction=side.opposite,
            strength=ONE,
            price=price,
            reason="the move over the window is gone",
            indicators=self._indicators(memory, price / reference - ONE, reference),
            reduce_only=True,
        )

    def _indicators(
        self, memory: SymbolMomentum, change: Decimal, reference: Decimal
    ) -> dict[str, Decimal]:
        return {
            "pct_change": rounded(change, CHANGE_STEP),
            "reference_price": reference,
            "threshold_pct": self._threshold,
            "window_value": memory.window.total,
        }
