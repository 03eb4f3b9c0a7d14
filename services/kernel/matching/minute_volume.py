"""What was traded in the last minute, and how much of it our own fills have not taken yet."""

from decimal import Decimal
from itertools import takewhile

from msgspec import Struct

from services.kernel.units import ZERO

WINDOW_SEC = 60
COMPACT_AFTER = 2 * WINDOW_SEC


class MinuteVolume(Struct, kw_only=True):
    """Base volume by second; the 60 seconds up to and including the present one count.

    Attributes:
        seconds: Seconds since the epoch in which something was traded, increasing.
        traded: Base volume of each.
        untaken: The part of it that no fill of ours has taken.
    """

    seconds: list[int] = []
    traded: list[Decimal] = []
    untaken: list[Decimal] = []

    def add(self, timestamp: int, volume: Decimal) -> None:
        """Take a trade (Unix milliseconds, base); a late one counts in the newest second."""
        second = timestamp // 1000
        if self.seconds and second <= self.seconds[-1]:
            self.traded[-1] += volume
            self.untaken[-1] += volume
            return
        self.seconds.append(second)
        self.traded.append(volume)
        self.untaken.append(volume)
        if len(self.seconds) > COMPACT_AFTER:
            old = len(self.seconds) - self._count(timestamp)
            del self.seconds[:old], self.traded[:old], self.untaken[:old]

    def total(self, now: int) -> Decimal:
        """Base volume of the last minute before ``now`` (Unix milliseconds)."""
        return self._sum(self.traded, now)

    def remaining(self, now: int) -> Decimal:
        """The part of `total` that no fill of ours has taken."""
        return self._sum(self.untaken, now)

    def consume(self, base: Decimal) -> None:
        """A fill of ours takes this much, the newest first: what is older expires sooner."""
        for place in range(len(self.untaken) - 1, -1, -1):
            taken = min(self.untaken[place], base)
            self.untaken[place] -= taken
            base -= taken
            if base <= 0:
                return

    def _count(self, now: int) -> int:
        """How many of the newest entries lie within the last minute."""
        oldest = now // 1000 - WINDOW_SEC
        return sum(1 for _ in takewhile(lambda second: second > oldest, reversed(self.seconds)))

    def _sum(self, volumes: list[Decimal], now: int) -> Decimal:
        count = self._count(now)
        return sum(volumes[-count:], ZERO) if count else ZERO
