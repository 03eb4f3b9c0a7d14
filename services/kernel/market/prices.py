"""Which price a position is valued at: the mark price while it is fresh, else the last trade.

A trade that jumps is not believed at once: one bad print must not close a position. It counts when
the next trade came, whatever its price, or when it stood for three seconds.
"""

from decimal import Decimal

from msgspec import Struct

from services.kernel.events import PriceSource

ZERO = Decimal(0)
CONFIRMED_AFTER_MS = 3_000


class Prices(Struct, kw_only=True):
    """One symbol's prices, quote per base; times are Unix milliseconds.

    Attributes:
        last_price, last_time: The last trade that is believed, and when it was.
        mark_price, mark_time: The venue's fair price; no price once it is too old.
        suspect, suspect_time: A trade that jumped and waits for its confirmation.
        suspect_jump: How far it jumped, as a fraction.
        backfilled, backfilled_time: A younger trade that was fetched after an outage: nothing is
            valued at it, but the next trade is compared with it.
    """

    last_price: Decimal | None = None
    last_time: int = 0
    mark_price: Decimal | None = None
    mark_time: int = 0
    suspect: Decimal | None = None
    suspect_time: int = 0
    suspect_jump: Decimal = ZERO
    backfilled: Decimal | None = None
    backfilled_time: int = 0

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

    def on_mark(self, price: Decimal, time: int) -> Decimal:
        """Take the venue's fair price (> 0); returns the price to value at."""
        self.mark_price, self.mark_time = price, time
        return price

    def on_backfill(self, price: Decimal, time: int) -> None:
        """Take a trade (> 0) that came late; one older than the last trade tells nothing."""
        if time >= self.last_time and time >= self.backfilled_time:
            self.backfilled, self.backfilled_time = price, time

    def on_trade(
        self, price: Decimal, time: int, max_jump: Decimal, mark_max_age_ms: int
    ) -> Decimal | None:
        """Take a trade (price > 0).

        Args:
            price: Quote per base.
            time: Unix milliseconds.
            max_jump: Largest change, as a fraction, that is believed at once.
            mark_max_age_ms: Age up to which the mark price counts.

        Returns:
            The price to value at from now on; None where that is what it was.
        """
        mark = self.mark_price
        if mark is not None and time - self.mark_time > mark_max_age_ms:
            mark = self.mark_price = None
        last = self.last_price
        if self.backfilled is not None:
            last, self.backfilled, self.suspect = self.backfilled, None, None
        elif self.suspect is not None:
            stood = time - self.suspect_time >= CONFIRMED_AFTER_MS
            last = self.suspect if stood else None  # else this is the print that was waited for
            self.suspect = None
        if last is not None and price != last and _jumps(price, last, mark, max_jump):
            self.suspect, self.suspect_time = price, time
            self.suspect_jump = abs(price - last) / last
            return None
        self.last_price, self.last_time = price, time
        return price if mark is None else None

    def on_clock(self, now: int, mark_max_age_ms: int) -> Decimal | None:
        """Time went by: a mark price may be too old now, a suspect trade has stood for long enough.

        Returns:
            The price to value at from now on; None where that is what it was.
        """
        changed = False
        if self.suspect is not None and now - self.suspect_time >= CONFIRMED_AFTER_MS:
            self.last_price, self.last_time = self.suspect, self.suspect_time
            self.suspect = None
            changed = self.mark_price is None
        is_old = self.mark_price is not None and now - self.mark_time > mark_max_age_ms
        if is_old and self.last_time > self.mark_time:  # else the mark is still the newest price
            self.mark_price = None
            changed = True
        return self.last_price if changed else None

    def unconfirmed_jump(self, now: int) -> Decimal | None:
        """How far (fraction) the newest trade jumped, if nothing has confirmed it at ``now``."""
        if self.suspect is None or now - self.suspect_time >= CONFIRMED_AFTER_MS:
            return None
        return self.suspect_jump


def _jumps(price: Decimal, last: Decimal, mark: Decimal | None, limit: Decimal) -> bool:
    """Whether the price is beyond the limit from the last trade, and from the mark if there is."""
    if abs(price - last) <= limit * last:
        return False
    return mark is None or abs(price - mark) > limit * mark
