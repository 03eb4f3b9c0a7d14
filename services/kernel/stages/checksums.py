"""Folds are compared once a minute: equal events must have made equal portfolios."""

from services.kernel.events import Clock, PortfolioSnapshot
from services.kernel.portfolio import Portfolio

MINUTE_MS = 60_000
KEPT = 60
"""Minutes of event time by which the orchestrator may be late and still be compared."""


def is_first_of_minute(previous: int, now: int) -> bool:
    """Whether ``now`` is the first clock of its minute; both in Unix milliseconds."""
    return previous // MINUTE_MS != now // MINUTE_MS


def remember_checksum(
    checksums: dict[str, str], clock: Clock, previous: int, portfolio: Portfolio
) -> None:
    """Keep the fold's checksum at a minute's first clock, and only the last few."""
    if not is_first_of_minute(previous, clock.timestamp):
        return
    checksums[clock.event_id] = portfolio.checksum()
    while len(checksums) > KEPT:
        del checksums[next(iter(checksums))]


def compare_checksum(checksums: dict[str, str], snapshot: PortfolioSnapshot) -> str | None:
    """What differs from the orchestrator's fold at the same clock; None when nothing does."""
    own = checksums.get(snapshot.causation_id or "")
    if own is None or own == snapshot.checksum:
        return None
    return f"portfolio checksum {own} differs from {snapshot.checksum} at {snapshot.timestamp}"
