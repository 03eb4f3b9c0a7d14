"""Which event times are accepted at an intake: one rule for files, messages by hand and venues.

The rule is applied before an event has a ``seq``: what is on the record is never judged again.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

MOST_AHEAD_MS: Final = 5_000
"""A time further ahead is refused, backfill too."""

STALE_MS: Final = 60_000
"""How far behind a time may be where no run has given its ``DATA_STALE_TIMEOUT_SEC``."""

OLDEST_BACKFILL_MS: Final = 2 * 86_400_000
"""How far behind a backfilled tick may be: twice the longest look-back window."""


class Verdict(Enum):
    """What the rule says of a time."""

    IN_TIME = "in time"
    AHEAD = "TIME_AHEAD"
    BEHIND = "TIME_BEHIND"


def judge(timestamp: int, now_ms: int, behind_ms: int) -> Verdict:
    """Compare a time with the present one.

    Args:
        timestamp: Unix milliseconds.
        now_ms: The present, on the same clock: of the venue, of the wall, or event time.
        behind_ms: How far behind it may be: the stale timeout.
    """
    ahead = timestamp - now_ms
    if ahead > MOST_AHEAD_MS:
        return Verdict.AHEAD
    return Verdict.BEHIND if ahead < -behind_ms else Verdict.IN_TIME


def stale_ms(settings: Mapping[str, str]) -> int:
    """The stale timeout of a run's recorded settings, in milliseconds."""
    return int(settings.get("DATA_STALE_TIMEOUT_SEC") or STALE_MS // 1000) * 1000
