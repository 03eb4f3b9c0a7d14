"""Health of one symbol: anomalies, retries, quarantine, age of its data."""

from bisect import bisect_left
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from operator import attrgetter

from msgspec import Struct, field

from services.kernel.events import MarketData, MarketDataKind, Side, TradingState
from services.kernel.market.order_book import Book
from services.kernel.reasons import Reason
from services.kernel.risk.state.correlation import MinuteCloses
from services.kernel.risk.state.traded_volume import TradedVolume
from services.kernel.risk.state.transitions import symbol_state
from services.kernel.settings.model import TradingSettings
from services.kernel.units import MINUTE_MS, ONE, ZERO

NORMAL_SPREAD_SAMPLES = 20
NORMAL_SPREAD_WEIGHT = Decimal("0.02")
LEAST_NORMAL_SPREAD = Decimal("0.0001")
"""In a deep market the spread is one tick nearly always, and ten ticks cost nothing either: the
recorded books of BTC and ETH would have paused their symbols every minute."""
SPREAD_STEP = Decimal("0.000000000001")
RETRY_AFTER_MS = 60_000
MAX_RETRIES = 10


class SymbolHealth(Struct, kw_only=True):
    """State of one symbol. Spreads are fractions of the mid price.

    Attributes:
        last_trade, traded_at: Price and time of the newest trade, backfilled ones included.
        seen_at: Time of the last live event of any kind, Unix milliseconds.
        normal_spread: Exponential average, each sample capped at the allowed multiple, so that a
            blow-out does not become the new normal at once.
        compared_with: The normal that ``spread`` was compared with: without that quote, and at
            least `LEAST_NORMAL_SPREAD`.
        anomaly: Why the symbol pauses; None when it does not.
        anomaly_at: When the anomaly was seen last.
        closes: Its prices by minute, for the correlation with other symbols.
        uncertain: A condition of this symbol is open, such as a hole in its data.
        jump, slipped: How far the price jumped, or a fill slipped, when that was last too far.
        failed_retries: Retries in a row that found the anomaly again.
        traded: What was traded of it in the look-back window.
    """

    last_trade: Decimal | None = None
    traded_at: int = 0
    seen_at: int | None = None
    spread: Decimal | None = None
    normal_spread: Decimal | None = None
    compared_with: Decimal | None = None
    spread_samples: int = 0
    anomaly: Reason | None = None
    anomaly_at: int = 0
    jump: Decimal | None = None
    slipped: Decimal | None = None
    retry_at: int = 0
    failed_retries: int = 0
    quarantined: bool = False
    stale: bool = False
    uncertain: bool = False
    closes: MinuteCloses = field(default_factory=MinuteCloses)
    operator_paused: bool = False
    published: TradingState = TradingState.ACTIVE
    book: Book = field(default_factory=Book)
    traded: TradedVolume = field(default_factory=TradedVolume)

    @property
    def state(self) -> TradingState:
        """The strictest of what holds."""
        return symbol_state(
            quarantined=self.quarantined,
            paused=self.operator_paused,
            anomalous=self.anomaly is not None,
            stale=self.stale,
            uncertain=self.uncertain,
        )

    @property
    def why_restricted(self) -> tuple[str, ...]:
        """The reasons why entries in it are forbidden now; none where they are allowed."""
        reasons = {
            Reason.OPERATOR: self.operator_paused,
            Reason.QUARANTINED: self.quarantined,
            Reason.DATA_STALE: self.stale,
            Reason.CONDITION_OPEN: self.uncertain,
        }
        found = [reason.value for reason, holds in reasons.items() if holds]
        return tuple(found if self.anomaly is None else [*found, self.anomaly.value])

    @property
    def pauses(self) -> bool:
        """Whether an anomaly pauses it that may pass by itself."""
        return self.anomaly is not None and not self.quarantined

    @property
    def spread_multiple(self) -> Decimal | None:
        """Last spread over the normal before it; None before there are enough quotes."""
        if self.spread is None or self.compared_with is None or not self._knows_normal:
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
            price = tick.price
            if price is None or price <= 0:
                return None
            self.traded_at = tick.timestamp
            return self._observe_trade(price, settings.max_price_jump_pct)
        if tick.bid is None and tick.ask is None and tick.kind is not MarketDataKind.DEPTH:
            return None
        self.book.on_tick(tick)
        bid, ask = self.book.bid, self.book.ask
        if bid is None or ask is None:
            return None
        return self._observe_quote(bid, ask, settings.max_spread_multiplier)

    def skip(self, trades: Sequence[MarketData], window_minutes: int) -> None:
        """Become what ordinary trades (`MarketScan`), at least one, would have made of it."""
        last = trades[-1]
        self.seen_at = max(self.seen_at or 0, last.timestamp)
        self.last_trade, self.traded_at = last.price, last.timestamp
        for trade, following in pairwise(trades):
            if following.timestamp // MINUTE_MS > trade.timestamp // MINUTE_MS:
                self.closes.add(trade.timestamp, trade.price or ZERO)
        self.closes.add(last.timestamp, last.price or ZERO)
        oldest = last.timestamp - (window_minutes + 1) * MINUTE_MS
        for trade in trades[bisect_left(trades, oldest, key=attrgetter("timestamp")) :]:
            self.traded.add(trade.timestamp, trade.volume or ZERO, window_minutes)

    def catch_up(self, tick: MarketData) -> None:
        """Take a backfilled trade: only what the next trade is compared with follows it."""
        price = tick.price
        is_price = tick.kind is MarketDataKind.TRADE and price is not None and price > 0
        if is_price and tick.timestamp >= self.traded_at:
            self.last_trade, self.traded_at = price, tick.timestamp

    def expected_slippage(
        self, side: Side, quantity: Decimal, order_price: Decimal, now: int, *, inverse: bool
    ) -> Decimal | None:
        """What a market order would slip now, as a fraction of its price; negative is better.

        Reckoned on what the known levels hold of it, or on the best price without depth.

        Args:
            side: Of the order.
            quantity: In the contract's unit.
            order_price: The price it is decided at, quote per base, > 0.
            now: Unix milliseconds.
            inverse: Whether the contract's unit is quote currency.

        Returns:
            None where neither is known, or is older than five seconds.
        """
        walk = self.book.walk(side, quantity, now, inverse=inverse)
        price = walk.price if walk is not None and walk.base else self.book.touch(side, now)
        return None if price is None else (price - order_price) / order_price * side.sign

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

    def _observe_trade(self, price: Decimal, limit: Decimal) -> Reason | None:
        last = self.last_trade
        if price == last:
            return None
        self.last_trade = price
        if last is None:
            return None
        if abs(price - last) <= limit * last:
            return None
        self.jump = abs(price - last) / last
        return Reason.PRICE_JUMP

    def _observe_quote(self, bid: Decimal, ask: Decimal, limit: Decimal) -> Reason | None:
        spread = max((ask - bid) * 2 / (ask + bid), ZERO).quantize(SPREAD_STEP)
        normal = self.normal_spread
        self.spread, self.compared_with = spread, None
        self.spread_samples += 1
        if normal is None:
            self.normal_spread = spread
            return None
        self.compared_with = max(normal, LEAST_NORMAL_SPREAD)
        allowed = self.compared_with * limit
        is_wide = self._knows_normal and spread > allowed
        sample = allowed if is_wide else spread
        moved = normal + (sample - normal) * NORMAL_SPREAD_WEIGHT
        self.normal_spread = moved.quantize(SPREAD_STEP)
        return Reason.SPREAD_ANOMALY if is_wide else None
