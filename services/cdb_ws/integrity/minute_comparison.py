"""Compares the minutes of every symbol with the venue's bars, one symbol after the other."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from services.cdb_ws.symbols.symbol_feed import SymbolFeed
from services.cdb_ws.trades.rest_window import Span
from services.cdb_ws.trades.trade_sequence import State
from services.kernel.market.bar_ticks import Bar
from services.runtime.service import logging
from services.venues.mexc.limits import Endpoint
from services.venues.mexc.rest import MexcRest, VenueAwayError
from services.venues.mexc.rest_messages import RestError

COMPARE_EVERY_S: Final = 0.5
"""One fifth of the REST limit for bars."""

ASK_AGAIN_S: Final = 5.0
WHY: Final = "the venue's minute has more volume than was received"

Known = Callable[[SymbolFeed, Span, str], None]

_log = logging.get(__name__)


class MinuteComparison:
    """Finds missed trades that neither the stream nor the newest 100 trades can show.

    Args:
        rest: REST client.
        known: Called with each minute in which trades are missing.
        now_ms: Wall time.

    Attributes:
        counts: Number of minutes that agreed, and of those that fell short.
    """

    def __init__(self, rest: MexcRest, known: Known, now_ms: Callable[[], int]) -> None:
        self.counts: Counter[str] = Counter()
        self._rest = rest
        self._known = known
        self._now_ms = now_ms

    async def run(self, feeds: Callable[[], Sequence[SymbolFeed]]) -> None:
        """Compare for ever; the symbol that has waited longest comes first."""
        while True:
            await asyncio.sleep(COMPARE_EVERY_S)
            if self._rest.limits.waiting(Endpoint.KLINE):
                continue
            now = self._now_ms()
            waiting = [
                (since, feed.symbol, feed)
                for feed in feeds()
                if feed.sequence.state is State.LIVE
                and (since := feed.minutes.due(now, _known_ms(feed))) is not None
            ]
            if not waiting:
                continue
            since, _, feed = min(waiting, key=lambda one: one[:2])
            try:
                bars = await self._rest.bars(feed.symbol, since, now)
            except (VenueAwayError, RestError):
                await asyncio.sleep(ASK_AGAIN_S)
                continue
            if (
                feed.sequence.state is State.LIVE and not feed.dropped
            ):  # else its trades are pending
                self._compare(feed, bars, now)

    def _compare(self, feed: SymbolFeed, bars: Sequence[tuple[int, Bar]], now: int) -> None:
        minutes = feed.minutes
        agreed, short = minutes.agreed, minutes.short
        spans = minutes.compare(bars, now, _known_ms(feed))
        self.counts["minutes_agreed"] += minutes.agreed - agreed
        self.counts["minutes_short"] += minutes.short - short
        for span in spans:
            _log.warning("minute_short", symbol=feed.symbol, minute_ms=span.lost_from)
            self._known(feed, span, WHY)


def _known_ms(feed: SymbolFeed) -> int:
    """Time up to which stream and REST are complete; younger trades may come from either."""
    return min(feed.sequence.last_trade_received_ms, feed.sequence.compared_ms)
