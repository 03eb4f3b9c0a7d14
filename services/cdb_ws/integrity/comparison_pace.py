"""Decides when which running stream is compared with REST."""

from collections.abc import Container, Sequence
from typing import Final

from services.cdb_ws.integrity.uncertain_streams import UncertainStreams
from services.cdb_ws.symbols.symbol_feed import SymbolFeed
from services.cdb_ws.trades.trade_sequence import State
from services.cdb_ws.trades.unconfirmed_trades import GRACE_MS
from services.venues.mexc.messages import Trade
from services.venues.mexc.rest import MOST_TRADES

AUDIT_EVERY_S: Final = 0.4
"""Time between two comparisons: half of the REST limit stays free for recoveries."""

UNCERTAIN_EVERY_S: Final = 0.2
"""The same while a stream is uncertain; every other comparison is of such a stream."""

SOONEST_AGAIN_S: Final = 0.8
UNCERTAIN_AGAIN_S: Final = 2.0
LATEST_AGAIN_S: Final = 10.0
GRACE_S: Final = GRACE_MS / 1000 + 0.2


def pause_s(uncertain: UncertainStreams) -> float:
    """Seconds between two comparisons, of any symbols."""
    return UNCERTAIN_EVERY_S if uncertain else AUDIT_EVERY_S


def next_due(
    feeds: Sequence[SymbolFeed], now: float, first: Container[str] = ()
) -> SymbolFeed | None:
    """The running stream that has waited longest; symbols in ``first`` come before all others."""
    living = (feed for feed in feeds if feed.sequence.state is State.LIVE and feed.ever)
    due = [feed for feed in living if feed.audit_at <= now]
    preferred = [feed for feed in due if feed.symbol in first]
    return min(preferred or due, key=lambda feed: feed.audit_at, default=None)


def again_in(feed: SymbolFeed, uncertain: UncertainStreams, rows: Sequence[Trade]) -> float:
    """Seconds until a symbol is compared again.

    Args:
        feed: The symbol.
        uncertain: Symbols that do not wait long.
        rows: The REST answer, oldest first; the next window should overlap it.
    """
    if len(rows) < MOST_TRADES:
        # A trade that REST has and the stream has not brought is on its way or lost.
        ahead = bool(rows) and rows[-1].timestamp > feed.sequence.newest_ms
        wait = GRACE_S if ahead else LATEST_AGAIN_S
    else:
        length = (rows[-1].timestamp - rows[0].timestamp) / 1000
        wait = min(GRACE_S, max(SOONEST_AGAIN_S, length / 3))
    return min(wait, UNCERTAIN_AGAIN_S) if feed.symbol in uncertain else wait
