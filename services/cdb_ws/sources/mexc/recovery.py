"""Filling holes: what REST knows of the deals that a socket did not bring."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from msgspec.structs import replace

from services.cdb_ws.sources.klines import Bar
from services.cdb_ws.sources.mexc.limits import Endpoint
from services.cdb_ws.sources.mexc.messages import Deal
from services.cdb_ws.sources.mexc.notices import Notices
from services.cdb_ws.sources.mexc.rest import MOST_DEALS, MexcRest, VenueAwayError
from services.cdb_ws.sources.mexc.rest_messages import RestError
from services.cdb_ws.sources.mexc.rest_window import Span
from services.cdb_ws.sources.mexc.symbol_feed import SymbolFeed
from services.cdb_ws.sources.mexc.tape import GRACE_MS, OVERTAKEN_MS, Origin, Recovery, State
from services.runtime import logging

ACKNOWLEDGED_WITHIN_S: Final = 3.0
"""An answer to a subscription that has not come after so long is not waited for."""

ASK_AGAIN_S: Final = 1.0
TELL_AFTER_S: Final = 1.5
"""A suspicion that REST refutes at once is nobody's trouble."""

LOOK_EVERY_S: Final = 0.25
AUDIT_EVERY_S: Final = 0.4
"""Between two comparisons: half of what REST may be asked, so that holes find it free."""

SOONEST_AGAIN_S: Final = 0.8
LATEST_AGAIN_S: Final = 10.0
GRACE_S: Final = GRACE_MS / 1000 + 0.2
SURE_AFTER_S: Final = 1.0
"""So long after a hole was filled the symbol is compared once more, before its turn."""

MINUTE_MS: Final = 60_000

Bars = Sequence[tuple[int, Bar]]
Missed = Callable[[SymbolFeed], None]

_log = logging.get(__name__)


class Publish(Protocol):
    """Who makes events of what was recovered."""

    def __call__(self, feed: SymbolFeed, recovery: Recovery, bars: Bars) -> None:
        """Publish the minute bars within the lost spans and the deals, in order."""


class Recoveries:
    """One recovery per symbol in doubt, and the comparison of all others.

    Args:
        rest: Answers.
        notices: Told of holes.
        publish: Takes what was recovered.
        now_ms: Wall time.
        lookback_ms: Bars older than this are of no use to anybody.

    Attributes:
        tasks: Runs the recoveries; set before the first symbol is resumed.
        counts: What was done, by name.
    """

    tasks: asyncio.TaskGroup

    def __init__(
        self,
        rest: MexcRest,
        notices: Notices,
        publish: Publish,
        now_ms: Callable[[], int],
        lookback_ms: int,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._rest = rest
        self._notices = notices
        self._publish = publish
        self._now_ms = now_ms
        self._lookback_ms = lookback_ms
        self._untold: dict[str, tuple[float, str]] = {}
        self._running: dict[str, tuple[SymbolFeed, asyncio.Task[None]]] = {}

    # -- holes ----------------------------------------------------------------------------------

    def lost(self, feed: SymbolFeed, why: str) -> None:
        """A symbol's stream has ended."""
        self._stop(feed)
        feed.tape.lose()
        if feed.ever:
            self._notices.gap_began(feed.symbol, why)

    def suspected(self, feed: SymbolFeed, why: str) -> None:
        """A living stream may have left something out; only a doubt that lasts is told."""
        feed.tape.lose()
        if feed.symbol in self._running:
            feed.tape.resume()
            return
        self.resumed(feed)
        self._untold[feed.symbol] = asyncio.get_running_loop().time() + TELL_AFTER_S, why

    def resumed(self, feed: SymbolFeed) -> None:
        """A symbol speaks (again): fill what lies before."""
        if feed.tape.state is State.LIVE:
            return
        feed.tape.resume()
        self._stop(feed)
        task = self.tasks.create_task(self._recover(feed))
        self._running[feed.symbol] = feed, task

    def forget(self, feed: SymbolFeed) -> None:
        """A symbol is no longer listened to; nothing of it is in doubt any more."""
        self._stop(feed)
        self._notices.gap_cleared(feed.symbol, None, "no longer listened to")

    @property
    def open(self) -> int:
        """Recoveries that are under way."""
        return len(self._running)

    def _stop(self, feed: SymbolFeed) -> None:
        self._untold.pop(feed.symbol, None)
        running = self._running.pop(feed.symbol, None)
        if running is not None:
            running[1].cancel()

    async def _recover(self, feed: SymbolFeed) -> None:
        await self._acknowledged(feed)
        bars = await self._bars(feed)
        while True:
            rows = await self._rows(feed)
            if rows is not None:
                recovery = self._recovered(feed, rows)
                if self._told(feed, recovery, bars):
                    self.counts["filled_with_loss" if recovery.lost else "filled"] += 1
                    feed.audit_at = asyncio.get_running_loop().time() + SURE_AFTER_S
                    feed.whole_until_ms = feed.tape.newest_ms
                    from_rest = any(one.origin is Origin.REST for one in recovery.entries)
                    if feed.suspected_s and not recovery.lost and not from_rest:
                        feed.pause_was_harmless()
                    break
            await asyncio.sleep(ASK_AGAIN_S)
        self._running.pop(feed.symbol, None)
        self._untold.pop(feed.symbol, None)

    def _recovered(self, feed: SymbolFeed, rows: Sequence[Deal]) -> Recovery:
        heard_ms = feed.tape.heard_ms
        recovery = feed.tape.recovered(rows, self._now_ms())
        return _with_leak(feed, rows, recovery, heard_ms)

    async def _acknowledged(self, feed: SymbolFeed) -> None:
        """Before the subscription counts, deals may be in neither the stream nor the window."""
        loop = asyncio.get_running_loop()
        until = loop.time() + ACKNOWLEDGED_WITHIN_S
        while loop.time() < until and not feed.acknowledged:
            await asyncio.sleep(0.05)
        feed.acknowledged = True  # on this connection nobody waits again

    async def _bars(self, feed: SymbolFeed) -> Bars:
        """The minutes since the last deal, if a whole one may have been lost."""
        now, last = self._now_ms(), feed.tape.newest_ms
        if last < 0 or now - last < MINUTE_MS or not self._lookback_ms:
            return ()
        start = max(last, now - self._lookback_ms)
        try:
            return await self._rest.bars(feed.symbol, start - MINUTE_MS, now)
        except (VenueAwayError, RestError) as away:
            _log.warning("bars_missing", symbol=feed.symbol, reason=str(away))
            return ()

    async def _rows(self, feed: SymbolFeed) -> Sequence[Deal] | None:
        try:
            return await self._rest.deals(feed.symbol)
        except (VenueAwayError, RestError) as away:
            self.counts["unanswered"] += 1
            count = self.counts["unanswered"]
            if count & (count - 1) == 0:  # told whenever their number has doubled
                _log.warning("deals_missing", symbol=feed.symbol, reason=str(away), count=count)
            return None

    def known(
        self, feed: SymbolFeed, span: Span, why: str = "deals came too late to be placed"
    ) -> None:
        """A stretch is certainly not told whole, whatever else is in doubt."""
        feed.minutes.lost(span)
        if feed.symbol in self._notices.gaps:
            self._notices.gap_known(feed.symbol, _bounds(span))
        else:
            self._notices.gap_cleared(feed.symbol, _bounds(span), why)

    def _told(
        self, feed: SymbolFeed, recovery: Recovery, bars: Bars, *, compared: bool = True
    ) -> bool:
        """Publish; says whether nothing is in doubt any more.

        Where REST was not compared with, more may be missing: the minute's volume will tell.
        """
        lost = list(recovery.lost)
        if not feed.traded:  # what was before the first deal is not this feed's
            first = recovery.entries[0].deal.timestamp if recovery.entries else None
            lost = [span for span in lost if first is not None and span.lost_to > first]
        self._publish(feed, recovery, bars)
        for span in recovery.lost if compared else ():
            feed.minutes.lost(span)
        for span in lost[:-1] if recovery.done else lost:
            self._notices.gap_known(feed.symbol, _bounds(span))
        if recovery.done:
            last = _bounds(lost[-1]) if lost else None
            detail = "deals may be missing" if lost else "every deal was recovered"
            self._notices.gap_cleared(feed.symbol, last, detail)
        return recovery.done

    async def watch(self) -> None:
        """Held deals do not wait for REST for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now, passed = self._now_ms(), asyncio.get_running_loop().time()
            for symbol, (tell_at, why) in list(self._untold.items()):
                if passed >= tell_at:
                    del self._untold[symbol]
                    self._notices.gap_began(symbol, why)
            for feed, _ in list(self._running.values()):
                if feed.tape.overdue(now):
                    self.counts["given_up"] += 1
                    if self._told(feed, feed.tape.give_up(), (), compared=False):
                        self._stop(feed)

    # -- living streams, and lost ones while they are away -----------------------------------------

    async def audit(self, feeds: Callable[[], Sequence[SymbolFeed]], missed: Missed) -> None:
        """Compare one living stream after the other with REST, while nobody else asks.

        Args:
            feeds: Those that are listened to.
            missed: Told of a symbol whose stream left something out.
        """
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(AUDIT_EVERY_S)
            if self._rest.limits.waiting(Endpoint.DEALS):
                continue
            living = [feed for feed in feeds() if feed.tape.state is State.LIVE and feed.ever]
            feed = min(living, key=lambda feed: feed.audit_at, default=None)
            if feed is None or feed.audit_at > loop.time():
                continue
            rows = await self._rows(feed)
            feed.audit_at = loop.time() + _again_in(rows or (), feed.tape.newest_ms)
            if rows is not None:
                self._compare(feed, rows, missed)

    def _compare(self, feed: SymbolFeed, rows: Sequence[Deal], missed: Missed) -> None:
        self.counts["audits"] += 1
        heard_ms = feed.tape.heard_ms
        recovery = _with_leak(feed, rows, feed.tape.audit(rows, self._now_ms()), heard_ms)
        feed.whole_until_ms = max(feed.whole_until_ms, feed.tape.compared_ms)
        if not recovery.entries and not recovery.lost:
            return
        self.counts["sequence_holes"] += 1
        _log.warning(
            "sequence_hole", symbol=feed.symbol, recovered=len(recovery.entries),
            lost=[_bounds(span) for span in recovery.lost],
        )  # fmt: skip
        self._told(feed, recovery, ())
        missed(feed)

    async def poll(self, feeds: Callable[[], Sequence[SymbolFeed]]) -> None:
        """Ask for the deals of symbols without a stream, one after the other."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            for feed in list(feeds()):
                if self._rest.limits.waiting(Endpoint.DEALS) or not feed.ever:
                    continue
                rows = await self._rows(feed)
                if rows is not None and feed.tape.state is State.LOST:
                    self.counts["polls"] += 1
                    recovery = self._recovered(feed, rows)
                    self._told(feed, recovery, ())
                    if recovery.entries:  # the window is published: what is not, is known as lost
                        feed.whole_until_ms = max(feed.whole_until_ms, feed.tape.newest_ms)


def _bounds(span: Span) -> tuple[int, int]:
    return span.lost_from, span.lost_to


def _with_leak(
    feed: SymbolFeed, rows: Sequence[Deal], recovery: Recovery, heard_ms: int
) -> Recovery:
    """Of a stream that leaks, nobody knows what it left out between two windows that do not meet.

    Args:
        feed: Its ``whole_until_ms`` says how far it was compared before.
        rows: The present window, oldest first.
        recovery: What the window brought.
        heard_ms: The newest deal that the socket had brought: an older one that only REST knows is
            the proof of the leak.
    """
    leaked = any(
        one.origin is Origin.REST and one.deal.timestamp < heard_ms - OVERTAKEN_MS
        for one in recovery.entries
    )
    start, end = feed.whole_until_ms, rows[0].timestamp if rows else -1
    if not leaked or not 0 <= start < end or len(rows) < MOST_DEALS:
        return recovery
    others = (span for span in recovery.lost if span.lost_to > end)
    return replace(recovery, lost=(Span(start, end), *others))


def _again_in(rows: Sequence[Deal], heard_ms: int) -> float:
    """When the next window will still overlap this one, at the pace of its deals."""
    if len(rows) < MOST_DEALS:
        # What REST knows and the stream has not brought is either on its way or lost.
        ahead = bool(rows) and max(rows[0].timestamp, rows[-1].timestamp) > heard_ms
        return GRACE_S if ahead else LATEST_AGAIN_S
    length = abs(rows[0].timestamp - rows[-1].timestamp) / 1000
    return min(GRACE_S, max(SOONEST_AGAIN_S, length / 3))
