"""A price window over true event time, bounded in memory: one bucket per second."""

from decimal import Decimal

from msgspec import Struct

ZERO = Decimal(0)
COMPACT_AFTER = 1024


class PriceWindow(Struct, kw_only=True):
    """The last price and the traded value of every second of the last ``length_ms``.

    The reference is the last trade of the newest second that ended at or before the window's
    start: the last price known ``length_ms`` ago, give or take a second. It exists only when the
    data reaches back that far without a hole longer than ``max_hole_ms``; a window that is filled
    in part has none.

    Attributes:
        seconds: Bucket times, in seconds since the epoch, increasing from ``head`` on.
        prices: Last trade price of each bucket, quote per base.
        values: Traded value of each bucket, in quote.
        total: Sum of ``values`` from ``head`` on, the reference's bucket included.
    """

    length_ms: int
    max_hole_ms: int
    seconds: list[int] = []
    prices: list[Decimal] = []
    values: list[Decimal] = []
    head: int = 0
    total: Decimal = ZERO

    def add(self, timestamp: int, price: Decimal, volume: Decimal) -> None:
        """Take a trade. One that comes late counts by its volume only, in the newest second.

        Args:
            timestamp: Unix milliseconds.
            price: Quote per base.
            volume: Base.
        """
        second = timestamp // 1000
        value = price * volume
        self.total += value
        seconds = self.seconds
        if seconds and second <= seconds[-1]:
            self.values[-1] += value
            if second == seconds[-1]:
                self.prices[-1] = price
        else:
            if seconds and (second - seconds[-1]) * 1000 > self.max_hole_ms:
                self._clear()  # what the price was meanwhile is not known
                self.total = value
            seconds.append(second)
            self.prices.append(price)
            self.values.append(value)
        self._advance((timestamp - self.length_ms + 1) // 1000 - 1)

    def reference(self, timestamp: int) -> Decimal | None:
        """The price at the window's start, or None while the window is not filled."""
        seconds = self.seconds
        if not seconds:
            return None
        newest_past = (timestamp - self.length_ms + 1) // 1000 - 1
        return self.prices[self.head] if seconds[self.head] <= newest_past else None

    def _advance(self, newest_past: int) -> None:
        seconds, head = self.seconds, self.head
        last = len(seconds) - 1
        while head < last and seconds[head + 1] <= newest_past:
            self.total -= self.values[head]
            head += 1
        self.head = head
        if head >= COMPACT_AFTER:
            del self.seconds[:head], self.prices[:head], self.values[:head]
            self.head = 0

    def _clear(self) -> None:
        self.seconds.clear()
        self.prices.clear()
        self.values.clear()
        self.head = 0
        self.total = ZERO
