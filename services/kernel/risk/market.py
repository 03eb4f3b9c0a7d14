"""One symbol's market through risk's eyes: anomalies, retries, quarantine, silence."""

from decimal import Decimal

from msgspec import Struct

from services.kernel.events import MarketData, MarketDataKind, TradingState
from services.kernel.risk.reasons import Reason
from services.kernel.settings import TradingSettings

ZERO = Decimal(0)
NORMAL_SPREAD_SAMPLES = 20
NORMAL_SPREAD_WEIGHT = Decimal("0.02")
SPREAD_STEP = Decimal("0.000000000001")
RETRY_AFTER_MS = 60_000
MAX_RETRIES = 10


class SymbolMarket(Struct, kw_only=True):
    """What risk remembers of one symbol. Spreads are fractions of the mid price.

    Attributes:
        seen_at: Time of the last live event of any kind, Unix milliseconds.
        normal_spread: Exponential average, each sample capped at the allowed multiple, so that a
            blow-out does not become the new normal at once.
        anomaly: Why the symbol pauses; None when it does not.
        anomaly_at: When the anomaly was seen last.
        failed_retries: Retries in a row that found the anomaly again.
    """

    last_trade: Decimal | None = None
    seen_at: int | None = None
    spread: Decimal | None = None
    normal_spread: Decimal | None = None
    spread_samples: int = 0
    anomaly: Reason | None = None
    anomaly_at: int = 0
    retry_at: int = 0
    failed_retries: int = 0
    quarantined: bool = False
    stale: bool = False
    operator_paused: bool = False
    published: TradingState = TradingState.ACTIVE

    @property
    def state(self) -> TradingState:
        """The strictest of what holds."""
        if self.quarantined:
            return TradingState.QUARANTINED
        if self.operator_paused or self.anomaly is not None:
            return TradingState.PAUSED
        return TradingState.STALE if self.stale else TradingState.ACTIVE

    @property
    def spread_multiple(self) -> Decimal | None:
        """Present spread over its normal; None before there are enough quotes."""
        if self.spread is None or not self.normal_spread:
            return None
        if self.spread_samples < NORMAL_SPREAD_SAMPLES:
            return None
        return self.spread / self.normal_spread

    def observe(self, tick: MarketData, settings: TradingSettings) -> Reason | None:
        """Take a live tick; returns the anomaly it shows, if any."""
        self.seen_at = tick.timestamp
        if tick.kind is MarketDataKind.TRADE:
            return self._observe_trade(tick.price, settings.max_price_jump_pct)
        if tick.bid is not None and tick.ask is not None:
            return self._observe_quote(tick.bid, tick.ask, settings.max_spread_multiplier)
        return None

    def pause(self, reason: Reason, now: int) -> None:
        """An anomaly was seen: pause, or keep pausing."""
        if self.anomaly is None:
            self.retry_at = now + RETRY_AFTER_MS
            self.failed_retries = 0
        self.anomaly = reason
        self.anomaly_at = now

    def retry(self, now: int) -> bool:
        """Look again when it is time to.

        A retry succeeds when no anomaly was seen since the one before it; ten failures in a row
        quarantine the symbol.

        Returns:
            True when the symbol's state may have changed.
        """
        if self.anomaly is None or self.quarantined or now < self.retry_at:
            return False
        if self.anomaly_at <= self.retry_at - RETRY_AFTER_MS:
            self.release()
            return True
        self.failed_retries += 1
        self.retry_at += RETRY_AFTER_MS
        self.quarantined = self.failed_retries >= MAX_RETRIES
        return self.quarantined

    def release(self) -> None:
        """End anomaly and quarantine."""
        self.anomaly = None
        self.failed_retries = 0
        self.quarantined = False

    def is_silent(self, now: int, timeout_sec: int) -> bool:
        """Whether no live event came for longer than the timeout; False before the first one."""
        return self.seen_at is not None and now - self.seen_at > timeout_sec * 1000

    def _observe_trade(self, price: Decimal | None, limit: Decimal) -> Reason | None:
        last, self.last_trade = self.last_trade, price
        if last is None or price is None or price == last:
            return None
        return Reason.PRICE_JUMP if abs(price - last) > limit * last else None

    def _observe_quote(self, bid: Decimal, ask: Decimal, limit: Decimal) -> Reason | None:
        spread = max((ask - bid) * 2 / (ask + bid), ZERO).quantize(SPREAD_STEP)
        normal = self.normal_spread
        self.spread = spread
        self.spread_samples += 1
        if normal is None:
            self.normal_spread = spread
            return None
        multiple = self.spread_multiple
        sample = min(spread, normal * limit) if multiple is not None else spread
        moved = normal + (sample - normal) * NORMAL_SPREAD_WEIGHT
        self.normal_spread = moved.quantize(SPREAD_STEP)
        return Reason.SPREAD_ANOMALY if multiple is not None and multiple > limit else None
