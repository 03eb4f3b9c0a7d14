"""How much of a symbol was traded in the look-back window: what size is measured against."""

from decimal import Decimal

from msgspec import Struct, field

from services.kernel.units import MINUTE_MS, SECOND_MS, ZERO

PARTS = 900
"""Parts that a window longer than 15 minutes is cut into; a shorter one is cut into seconds."""


class TradedVolume(Struct, kw_only=True):
    """Base volume in short parts of time, backfilled trades included.

    Attributes:
        parts: Base volume by part since the epoch; old ones are dropped as new ones come.
    """

    parts: dict[int, Decimal] = field(default_factory=dict)

    def add(self, timestamp: int, volume: Decimal, window_minutes: int) -> None:
        """Take a trade of any age (Unix milliseconds, base)."""
        part, parts = timestamp // _length(window_minutes), self.parts
        known = parts.get(part)
        parts[part] = volume if known is None else known + volume
        if known is None and len(parts) > 2 * PARTS:
            oldest = max(parts) - window_minutes * MINUTE_MS // _length(window_minutes)
            self.parts = {at: kept for at, kept in parts.items() if at > oldest}

    def within(self, now: int, window_minutes: int) -> Decimal:
        """Base volume of the last ``window_minutes`` up to ``now`` (Unix milliseconds).

        A part that began at or before the window's start does not count: it is never too much.
        """
        length, begin = _length(window_minutes), now - window_minutes * MINUTE_MS
        return sum((volume for at, volume in self.parts.items() if at * length > begin), ZERO)


def _length(window_minutes: int) -> int:
    return max(window_minutes * MINUTE_MS // PARTS, SECOND_MS)
