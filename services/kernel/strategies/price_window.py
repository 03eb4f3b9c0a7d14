"""A price window over true event time, bounded in memory: one bucket per second."""

from decimal import Decimal

from msgspec import Struct

from services.kernel.units import ZERO

COMPACT_AFTER = 1024


class PriceWindow(Struct, kw_only=True):
    """The last price and the traded value of every second of the last ``length_ms``.

    The window begins with the newest traded second that is not later than the second
    ``length_ms`` ago; the last price of that second is the reference. A pause between two trades
    that is longer than ``max_hole_ms`` is a hole. A hole removes nothing: the window remembers
    where the last one ended.

    Attributes:
        seconds: Bucket times, in seconds since the epoch, increasing from ``head`` on.
        prices: Last trade price of each bucket, quote per base.
        values: Traded value of each bucket, in quote.
        total: Sum of ``values`` from ``head`` on, the reference's bucket included.
        newest: Time of the newest trade, Unix milliseconds.
        unbroken_from: Second of the first trade after the last hole.
    """

    length_ms: int
    max_hole_ms: int
    seconds: list[int] = []
    prices: list[Decimal] = []
    values: list[Decimal] = []
    head: int = 0
    total: Decimal = ZERO
    newest: int = 0
    unbroken_from: int = 0

    @property
    def is_unbroken(self) -> bool:
        """Whether no hole lies between the reference and the newest trade."""
        return bool(self.seconds) and self.seconds[self.head] >= self.unbroken_from

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
            if timestamp - self.newest > self.max_hole_ms:
                self.unbroken_from = second
            seconds.append(second)
            self.prices.append(price)
            self.values.append(value)
        if timestamp > self.newest:  # noqa: PLR1730  a call of max costs more
            self.newest = timestamp
        self._advance((timestamp - self.length_ms) // 1000)

    def add_volume(self, volume: Decimal) -> None:
        """Take the volume (base) of a trade whose price was voided, at the newest price."""
        if self.seconds:
            value = self.prices[-1] * volume
            self.values[-1] += value
            self.total += value

    def reference(self, timestamp: int) -> Decimal | None:
        """The last price known at the window's start, holes or not; None while none is."""
        seconds = self.seconds
        if not seconds or seconds[self.head] > (timestamp - self.length_ms) // 1000:
            return None
        return self.prices[self.head]

    def reference_at(self, timestamp: int) -> Decimal | None:
        """What `reference` would be after a trade of this time, which is the newest."""
        seconds, head, begin = self.seconds, self.head, (timestamp - self.length_ms) // 1000
        if not seconds or seconds[head] > begin:
            return None
        last = len(seconds) - 1
        while head < last and seconds[head + 1] <= begin:
            head += 1
        return self.prices[head]

    def _advance(self, begin: int) -> None:
        """Begin with the newest bucket that is not later than the second ``begin``."""
        seconds, head = self.seconds, self.head
        last = len(seconds) - 1
        while head < last and seconds[head + 1] <= begin:
            self.total -= self.values[head]
            head += 1
        self.head = head
        if head >= COMPACT_AFTER:
            del self.seconds[:head], self.prices[:head], self.values[:head]
            self.head = 0
