"""One symbol's market through risk's eyes: anomalies, retries, quarantine, silence."""

from decimal import Decimal

from msgspec import Struct

from services.kernel.events import MarketData, MarketDataKind, TradingState
from services.kernel.risk.reasons import Reason
from services.kernel.settings import TradingSettings

ZERO = Decimal(0)
ONE = Decimal(1)
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
        compared_with: The normal that ``spread`` was compared with: without that quote.
        anomaly: Why the symbol pauses; None when it does not.
        anomaly_at: When the anomaly was seen last.
        failed_retries: Retries in a row that found the anomaly again.
    """

    last_trade: Decimal | None = None
    seen_at: int | None = None
    spread: Decimal | None = None
    normal_spread: Decimal | None = None
    compared_with: Decimal | None = None
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
    def pauses(self) -> bool:
        """Whether an anomaly pauses it that may pass by itself."""
        return self.anomaly is not None and not self.quarantined

    @property
    def spread_multiple(self) -> Decimal | None:
        """Last spread over the normal before it; None before there are enough quotes."""
        if self.spread is None or not self.compared_with or not self._knows_normal:
            return None
        return self.spread / self.compared_with

    @property
    def _knows_normal(self) -> bool:
        return self.spread_samples > NORMAL_SPREAD_SAMPLES

    def observe(self, tick: MarketData, settings: TradingSettings) -> Reason | None:
        """Take a live tick; returns the anomaly it shows, if any."""
        if self.seen_at is None or tick.timestamp > self.seen_at:
            self.seen_at = tick.timestamp
        if tick.kind is MarketDataKind.TRADE:
            return self._observe_trade(tick.price, settings.max_price_jump_pct)
        bid, ask = tick.bid, tick.ask
        if bid is not None and ask is not None and bid > 0 and ask > 0:
            return self._observe_quote(bid, ask, settings.max_spread_multiplier)
        return None

    def pause(self, reason: Reason, now: int) -> None:
        """An anomaly was seen: pause, or keep pausing."""
        if self.anomaly is None:
            self.retry_at = now + RETRY_AFTER_MS
            self.failed_retries = 0
        self.anomaly = reason
        self.anomaly_at = now

    def retry(self, now: int, max_spread_multiple: Decimal) -> bool:
        """Look again when it is time to.

        A retry succeeds when no anomaly was seen since the one before it and the last quote's
        spread is normal; ten failures in a row quarantine the symbol.

        Returns:
            True when the symbol's state may have changed.
        """
        if not self.pauses or now < self.retry_at:
            return False
        seen_again = self.anomaly_at > self.retry_at - RETRY_AFTER_MS
        if not seen_again and (self.spread_multiple or ONE) <= max_spread_multiple:
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
        last = self.last_trade
        if price is None or price == last or price <= 0:
            return None
        self.last_trade = price
        if last is None:
            return None
        return Reason.PRICE_JUMP if abs(price - last) > limit * last else None

    def _observe_quote(self, bid: Decimal, ask: Decimal, limit: Decimal) -> Reason | None:
        spread = max((ask - bid) * 2 / (ask + bid), ZERO).quantize(SPREAD_STEP)
        normal = self.normal_spread
        self.spread, self.compared_with = spread, normal
        self.spread_samples += 1
        if normal is None:
            self.normal_spread = spread
            return None
        allowed = normal * limit
        is_wide = self._knows_normal and spread > allowed > 0
        sample = allowed if is_wide else spread
        moved = normal + (sample - normal) * NORMAL_SPREAD_WEIGHT
        self.normal_spread = moved.quantize(SPREAD_STEP)
        return Reason.SPREAD_ANOMALY if is_wide else None
