"""Which trades of a symbol are confirmed, and which price its positions are valued at.

A trade that jumps is not a price yet: one bad print must close no position and make no signal. The
portfolio fold and the signal stage apply this one rule to the same events, so they agree.
"""

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

import msgspec
from msgspec import Struct

from services.kernel.events import BarPoint, MarketData, MarketDataKind, PriceSource
from services.kernel.market.order_book import MAX_AGE_MS, best_prices
from services.kernel.units import ZERO

TRADE, MARK, DEPTH = MarketDataKind.TRADE, MarketDataKind.MARK, MarketDataKind.DEPTH
LEAST_WAIT_MS = 3_000
USUAL_PAUSES = 3
"""An unconfirmed print waits for so many of the symbol's usual pauses, and at least 3 s."""
PAUSES_KEPT = 15
_NONE: tuple[MarketData, ...] = ()


class Prices(Struct, kw_only=True):
    """One symbol's prices, quote per base; times are Unix milliseconds.

    A trade beyond the jump limit from the last confirmed trade and from a fresh mark price is
    unconfirmed. It is confirmed by the next trade, when that lies within the limit of the print or
    further its way; at once by a fresh quote at or beyond it; or by time. A next trade that does
    not confirm it voids it, and is itself compared with the last confirmed price.

    Attributes:
        last_price, last_time: The last confirmed live trade.
        inside_bar: Whether that trade stands for a point within a bar.
        confirmed: Price of the last confirmed trade, backfilled ones included: what the next trade
            is compared with. Nothing is valued at a backfilled trade.
        mark_price, mark_time: The venue's fair price; no price once it is too old.
        bid, ask, quote_time: The last quote.
        unconfirmed: The trade that is not confirmed yet.
        confirmed_at: When time confirms it.
        newest: Time of the newest trade, unconfirmed ones included.
        pauses: The last pauses between two trades, in milliseconds.
    """

    last_price: Decimal | None = None
    last_time: int = 0
    inside_bar: bool = False
    confirmed: Decimal | None = None
    mark_price: Decimal | None = None
    mark_time: int = 0
    bid: Decimal | None = None
    ask: Decimal | None = None
    quote_time: int = 0
    unconfirmed: MarketData | None = None
    confirmed_at: int = 0
    newest: int = 0
    pauses: list[int] = []

    @property
    def value(self) -> Decimal | None:
        """The price that positions are valued at; None before the first."""
        return self.mark_price or self.last_price

    @property
    def value_time(self) -> int | None:
        """When `value` was traded or announced, Unix milliseconds; None before the first."""
        return (self.last_time if self.mark_price is None else self.mark_time) or None

    @property
    def source(self) -> PriceSource:
        """Which price `value` is."""
        return PriceSource.LAST if self.mark_price is None else PriceSource.MARK

    @property
    def values_inside_bar(self) -> bool:
        """Whether positions are valued at a point within a bar."""
        return self.inside_bar and self.mark_price is None

    @property
    def unconfirmed_jump(self) -> Decimal | None:
        """How far (fraction) the unconfirmed trade jumped; None without one."""
        if self.unconfirmed is None or self.unconfirmed.price is None or self.confirmed is None:
            return None
        return abs(self.unconfirmed.price - self.confirmed) / self.confirmed

    def on_tick(self, tick: MarketData, max_jump: Decimal, stale_ms: int) -> tuple[MarketData, ...]:
        """Take an observation of any kind.

        Args:
            tick: Of this symbol.
            max_jump: Largest change, as a fraction, that is confirmed at once.
            stale_ms: The stale timeout: the age up to which a mark price is fresh, and the longest
                that a print stays unconfirmed.

        Returns:
            The trades that count from now on, the oldest first. One that was voided has no price:
            its volume counts alone. One that a backfilled trade confirmed is marked as backfilled.
        """
        kind = tick.kind
        if kind is TRADE:
            return self._on_trade(tick, max_jump, stale_ms)
        if tick.backfill:
            return _NONE
        time = tick.timestamp
        if kind is MARK:
            if tick.mark_price is not None and tick.mark_price > 0:
                self.mark_price, self.mark_time = tick.mark_price, time
        elif kind is DEPTH:
            self.bid, self.ask = best_prices(tick)
            self.quote_time = time
        elif tick.bid is not None or tick.ask is not None:
            self.bid, self.ask, self.quote_time = tick.bid, tick.ask, time
        waiting = self.unconfirmed
        if waiting is None or not (time >= self.confirmed_at or self._is_quoted(waiting, time)):
            return _NONE
        return (self._confirm(waiting),)

    @property
    def awaits_nothing(self) -> bool:
        """Whether neither time nor an ordinary trade changes more than the last price."""
        return self.unconfirmed is None and self.mark_price is None

    def skip(self, trades: Sequence[MarketData]) -> None:
        """Become what `on_tick` would have made of ordinary trades (`MarketScan`), at least one."""
        times = [trade.timestamp for trade in trades[-PAUSES_KEPT - 1 :]]
        if len(trades) <= PAUSES_KEPT:
            times.insert(0, self.newest)
        pauses = [after - before for before, after in pairwise(times)]
        self.pauses = [*self.pauses, *pauses][-PAUSES_KEPT:]
        self.newest = times[-1]
        self._confirm(trades[-1])

    def on_clock(self, now: int, stale_ms: int) -> tuple[MarketData, ...]:
        """Time went by: a mark price may be too old now, a print may be confirmed.

        Returns:
            The trade that counts from now on, if there is one.
        """
        counted = _NONE
        if self.unconfirmed is not None and now >= self.confirmed_at:
            counted = (self._confirm(self.unconfirmed),)
        is_old = self.mark_price is not None and now - self.mark_time > stale_ms
        if is_old and self.last_time > self.mark_time:  # else the mark is still the newest price
            self.mark_price = None
        return counted

    def _on_trade(
        self, trade: MarketData, max_jump: Decimal, stale_ms: int
    ) -> tuple[MarketData, ...]:
        price, time, newest = trade.price, trade.timestamp, self.newest
        if price is None or price <= ZERO:
            return _NONE
        if time >= newest:
            self.newest = time
            if newest:
                pauses = self.pauses
                pauses.append(time - newest)
                if len(pauses) > PAUSES_KEPT:
                    del pauses[0]
        elif trade.backfill:
            return (trade,)  # it comes late, and no later trade is compared with it
        waiting = self.unconfirmed
        before = _NONE if waiting is None else (self._decide(waiting, trade, price, max_jump),)
        last = self.confirmed
        if (
            last is not None
            and price != last
            and is_jump(price, last, max_jump)
            and not self._is_supported(trade, price, max_jump, stale_ms)
        ):
            self.unconfirmed, self.confirmed_at = trade, time + self._longest_wait(stale_ms)
            return before
        self._confirm(trade)
        if self.mark_price is not None and not trade.backfill and time - self.mark_time > stale_ms:
            self.mark_price = None
        return (*before, trade) if before else (trade,)

    def _decide(
        self, waiting: MarketData, trade: MarketData, price: Decimal, max_jump: Decimal
    ) -> MarketData:
        """The next trade confirms the print, or voids it."""
        assert waiting.price is not None
        assert self.confirmed is not None
        if trade.timestamp >= self.confirmed_at or _follows(
            price, waiting.price, self.confirmed, max_jump
        ):
            confirmed = self._confirm(waiting)
            if trade.backfill:
                return msgspec.structs.replace(confirmed, backfill=True)
            return confirmed
        self.unconfirmed = None
        return msgspec.structs.replace(waiting, price=None)

    def _confirm(self, trade: MarketData) -> MarketData:
        self.unconfirmed = None
        self.confirmed = trade.price
        if not trade.backfill:
            self.last_price, self.last_time = trade.price, trade.timestamp
            self.inside_bar = trade.bar is BarPoint.INSIDE
        return trade

    def _is_supported(
        self, trade: MarketData, price: Decimal, max_jump: Decimal, stale_ms: int
    ) -> bool:
        """Whether a fresh mark price or quote confirms a trade that jumped at once."""
        mark, age = self.mark_price, abs(trade.timestamp - self.mark_time)
        if mark is not None and age <= stale_ms and not is_jump(price, mark, max_jump):
            return True
        return self._is_quoted(trade, trade.timestamp)

    def _is_quoted(self, trade: MarketData, now: int) -> bool:
        """Whether a fresh quote is at or beyond a trade that jumped: one could trade there too."""
        if abs(now - self.quote_time) > MAX_AGE_MS or trade.price is None or not self.confirmed:
            return False
        if trade.price > self.confirmed:
            return self.bid is not None and self.bid >= trade.price
        return self.ask is not None and ZERO < self.ask <= trade.price

    def _longest_wait(self, stale_ms: int) -> int:
        """Time until an unconfirmed print is confirmed by nothing but time."""
        pauses = sorted(self.pauses)
        count = len(pauses)
        twice_median = pauses[(count - 1) // 2] + pauses[count // 2] if count else 0
        return min(max(LEAST_WAIT_MS, (USUAL_PAUSES * twice_median + 1) // 2), stale_ms)


def is_jump(price: Decimal, reference: Decimal, limit: Decimal) -> bool:
    """Whether a price is beyond the limit (a fraction) from a reference."""
    return abs(price - reference) > limit * reference


def _follows(price: Decimal, waiting: Decimal, last: Decimal, limit: Decimal) -> bool:
    """Whether a trade lies within the limit of the print before it, or further its way."""
    further = price >= waiting if waiting > last else price <= waiting
    return further or not is_jump(price, waiting, limit)
