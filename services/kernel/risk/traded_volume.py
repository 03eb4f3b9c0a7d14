"""How much of a symbol was traded in the look-back window: what size is measured against."""

from decimal import Decimal

from msgspec import Struct, field

ZERO = Decimal(0)
MINUTE_MS = 60_000


class TradedVolume(Struct, kw_only=True):
    """Base volume by minute, backfilled trades included.

    A window that begins within a minute counts the share of that minute that lies in it.

    Attributes:
        minutes: Base volume by minute since the epoch; old ones are dropped as new ones come.
    """

    minutes: dict[int, Decimal] = field(default_factory=dict)

    def add(self, timestamp: int, volume: Decimal, window_minutes: int) -> None:
        """Take a trade of any age (Unix milliseconds, base)."""
        minute, minutes = timestamp // MINUTE_MS, self.minutes
        known = minutes.get(minute)
        minutes[minute] = volume if known is None else known + volume
        if known is None and len(minutes) > window_minutes + 1:
            oldest = max(minutes) - window_minutes
            self.minutes = {at: kept for at, kept in minutes.items() if at >= oldest}

    def within(self, now: int, window_minutes: int) -> Decimal:
        """Base volume of the last ``window_minutes`` before ``now`` (Unix milliseconds)."""
        minute, passed = divmod(now, MINUTE_MS)
        oldest = minute - window_minutes
        whole = sum((volume for at, volume in self.minutes.items() if at > oldest), ZERO)
        share = Decimal(MINUTE_MS - passed) / MINUTE_MS
        return whole + self.minutes.get(oldest, ZERO) * share
