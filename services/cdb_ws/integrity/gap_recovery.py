"""Filling holes: what REST knows of the trades that a socket did not bring."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from services.cdb_ws.alert_publisher import AlertPublisher
from services.cdb_ws.integrity import comparison_pace
from services.cdb_ws.integrity.uncertain_streams import UncertainStreams, with_missed_trades
from services.cdb_ws.symbols.symbol_feed import SymbolFeed
from services.cdb_ws.trades.rest_window import Span
from services.cdb_ws.trades.trade_sequence import OVERTAKEN_MS, Origin, Recovery, State
from services.kernel.market.bar_ticks import Bar
from services.runtime.service import logging
from services.venues.mexc.limits import Endpoint
from services.venues.mexc.messages import Trade
from services.venues.mexc.rest import MexcRest, VenueAwayError
from services.venues.mexc.rest_messages import RestError

ACKNOWLEDGED_WITHIN_S: Final = 3.0
"""An answer to a subscription that has not come after so long is not waited for."""

ASK_AGAIN_S: Final = 1.0
REPORT_AFTER_S: Final = 1.5
"""A suspicion that REST refutes at once is nobody's trouble."""

LOOK_EVERY_S: Final = 0.25
SURE_AFTER_S: Final = 1.0
"""So long after a hole was filled the symbol is compared once more, before its turn."""

MINUTE_MS: Final = 60_000
MISSED_TRADES: Final = "its stream left trades out"
GIVEN_UP: Final = "REST did not tell what was missed in time"

Bars = Sequence[tuple[int, Bar]]
Missed = Callable[[SymbolFeed], None]
Publish = Callable[[SymbolFeed, Recovery, Bars], None]
"""Publishes the minute bars within the lost spans and the trades, in order."""
Acceptable = Callable[[str, Sequence[Trade]], Sequence[Trade]]
"""Leaves out the trades of a symbol whose times are too far ahead."""

_log = logging.get(__name__)


class Recoveries:
    """One recovery per symbol in doubt, and the comparison of all others.

    Args:
        rest: Answers.
        alerts: Told of holes.
        publish: Takes what was recovered.
        now_ms: Wall time.
        lookback_ms: Bars older than this are of no use to anybody.
        acceptable: Checks the times of every answer of REST.

    Attributes:
        tasks: Runs the recoveries; set before the first symbol is resumed.
        counts: What was done, by name.
        uncertain: The running streams that are not trusted.
    """

    tasks: asyncio.TaskGroup

    def __init__(
        self,
        rest: MexcRest,
        alerts: AlertPublisher,
        publish: Publish,
        now_ms: Callable[[], int],
        lookback_ms: int,
        acceptable: Acceptable,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._rest = rest
        self._alerts = alerts
        self._publish = publish
        self._now_ms = now_ms
        self._lookback_ms = lookback_ms
        self._acceptable = acceptable
        self.uncertain = UncertainStreams()
        self._unreported: dict[str, tuple[float, str]] = {}
        self._early: dict[str, Sequence[Trade]] = {}
        self._unconfirmed: dict[str, SymbolFeed] = {}
        self._running: dict[str, tuple[SymbolFeed, asyncio.Task[None]]] = {}

    # -- holes ----------------------------------------------------------------------------------

    def lost(self, feed: SymbolFeed, why: str) -> None:
        """A symbol's stream has ended."""
        self._stop(feed)
        feed.sequence.lose()
        if feed.ever:
            self._alerts.gap_began(feed.symbol, why)

    def frame_lost(self, feed: SymbolFeed, why: str) -> None:
        """A frame of a running stream may have held trades, and could not be read."""
        self.uncertain.frame_lost(feed, asyncio.get_running_loop().time())
        self._alerts.gap_began(feed.symbol, why)
        feed.sequence.lose()
        if feed.symbol in self._running:
            feed.sequence.resume()
        else:
            self.resumed(feed)

    def suspected(self, feed: SymbolFeed, why: str) -> None:
        """A living stream may have left something out; only a doubt that lasts is told."""
        feed.sequence.lose()
        if feed.symbol in self._running:
            feed.sequence.resume()
            return
        self.resumed(feed)
        self._unreported[feed.symbol] = asyncio.get_running_loop().time() + REPORT_AFTER_S, why

    def resumed(self, feed: SymbolFeed) -> None:
        """A symbol speaks (again): fill what lies before."""
        if feed.sequence.state is State.LIVE:
            return
        feed.sequence.resume()
        self._stop(feed)
        task = self.tasks.create_task(self._recover(feed))
        self._running[feed.symbol] = feed, task

    def forget(self, feed: SymbolFeed) -> None:
        """A symbol is no longer listened to; nothing of it is in doubt any more."""
        feed.dropped = True
        self._stop(feed)
        self.uncertain.forget(feed.symbol)
        self._unconfirmed.pop(feed.symbol, None)
        self._alerts.gap_cleared(feed.symbol, None, "no longer listened to")

    @property
    def open(self) -> int:
        """Recoveries that are under way."""
        return len(self._running)

    def _stop(self, feed: SymbolFeed) -> None:
        self._unreported.pop(feed.symbol, None)
        self._early.pop(feed.symbol, None)
        running = self._running.pop(feed.symbol, None)
        if running is not None:
            running[1].cancel()

    async def _recover(self, feed: SymbolFeed) -> None:
        await self._acknowledged(feed)
        bars = await self._bars(feed)
        loop = asyncio.get_running_loop()
        while True:
            asked_at = loop.time()
            rows = await self._rows(feed)
            # Without a trade behind it, a hole that came after the question is not in the answer.
            early = (
                self.uncertain.frame_lost_since(feed.symbol, asked_at)
                and feed.sequence.held.current() is None
            )
            if rows is not None and early:
                self._polled(feed, rows, asked_at)
            elif rows is not None:
                recovery = self._recovered(feed, rows, asked_at)
                if self._report(feed, recovery, bars):
                    self.counts["filled_with_loss" if recovery.lost else "filled"] += 1
                    feed.audit_at = loop.time() + SURE_AFTER_S
                    from_rest = any(one.origin is Origin.REST for one in recovery.entries)
                    if feed.suspected_s and not recovery.lost and not from_rest:
                        feed.pause_was_harmless()
                    break
            await asyncio.sleep(ASK_AGAIN_S)
        self._running.pop(feed.symbol, None)
        self._unreported.pop(feed.symbol, None)
        self._early.pop(feed.symbol, None)

    def _recovered(self, feed: SymbolFeed, rows: Sequence[Trade], asked_at: float) -> Recovery:
        last_trade_received_ms, compared_ms = (
            feed.sequence.last_trade_received_ms,
            feed.sequence.compared_ms,
        )
        if not feed.traded and rows and rows[0].timestamp < feed.sequence.newest_ms:
            feed.minutes.whole_since(feed.sequence.newest_ms)  # this answer reaches its beginning
        recovery = feed.sequence.recovered(rows, self._now_ms())
        if self._missed_trades(feed, rows, recovery, last_trade_received_ms):
            self._mark_uncertain(feed, rows[-1].timestamp)
            return with_missed_trades(compared_ms, rows, recovery)
        if recovery.done and rows:
            self.uncertain.compared(feed, asked_at, rows[-1].timestamp)
        return recovery

    def _polled(self, feed: SymbolFeed, rows: Sequence[Trade], asked_at: float) -> None:
        """Publish what REST tells while a stream brings nothing that can be read."""
        if feed.sequence.held.beginning() is not None:
            self._early[feed.symbol] = rows
        else:
            feed.sequence.lose()
            self._report(feed, self._recovered(feed, rows, asked_at), ())
            feed.sequence.resume()

    def _missed_trades(
        self,
        feed: SymbolFeed,
        rows: Sequence[Trade],
        recovery: Recovery,
        last_trade_received_ms: int,
    ) -> bool:
        """Whether REST knew a trade that is older than one the socket had brought before."""
        return any(
            one.origin is Origin.REST
            and one.trade.timestamp < last_trade_received_ms - OVERTAKEN_MS
            and not self.uncertain.is_named(feed.symbol, one.trade.timestamp, rows[0].timestamp)
            for one in recovery.entries
        )

    def _mark_uncertain(self, feed: SymbolFeed, rest_newest_ms: int = -1) -> None:
        now = asyncio.get_running_loop().time()
        self.uncertain.missed_trades(feed, now, max(rest_newest_ms, feed.sequence.newest_ms))
        self._alerts.gap_began(feed.symbol, MISSED_TRADES)

    async def _acknowledged(self, feed: SymbolFeed) -> None:
        """Before the subscription counts, trades may be in neither the stream nor the window."""
        loop = asyncio.get_running_loop()
        until = loop.time() + ACKNOWLEDGED_WITHIN_S
        while loop.time() < until and not feed.acknowledged:
            await asyncio.sleep(0.05)
        feed.acknowledged = True  # on this connection nobody waits again

    async def _bars(self, feed: SymbolFeed) -> Bars:
        """The minutes since the last trade, if a whole one may have been lost."""
        now, last = self._now_ms(), feed.sequence.newest_ms
        if last < 0 or now - last < MINUTE_MS or not self._lookback_ms:
            return ()
        start = max(last, now - self._lookback_ms)
        try:
            return await self._rest.bars(feed.symbol, start - MINUTE_MS, now)
        except (VenueAwayError, RestError) as away:
            _log.warning("bars_missing", symbol=feed.symbol, reason=str(away))
            return ()

    async def _rows(self, feed: SymbolFeed) -> Sequence[Trade] | None:
        try:
            return self._acceptable(feed.symbol, await self._rest.trades(feed.symbol))
        except (VenueAwayError, RestError) as away:
            self.counts["unanswered"] += 1
            count = self.counts["unanswered"]
            if count & (count - 1) == 0:  # told whenever their number has doubled
                _log.warning("deals_missing", symbol=feed.symbol, reason=str(away), count=count)
            return None

    def known(
        self, feed: SymbolFeed, span: Span, why: str = "trades came too late to be placed"
    ) -> None:
        """A stretch is certainly not told whole, whatever else is in doubt."""
        feed.minutes.lost(span)
        if feed.symbol in self._alerts.gaps:
            self._known_lost(feed, span)
        else:
            self._alerts.gap_cleared(feed.symbol, _bounds(span), why)

    def fell_short(self, feed: SymbolFeed, span: Span, why: str) -> None:
        """A minute's volume shows that the stream left trades out, and perhaps still does."""
        now = asyncio.get_running_loop().time()
        self.uncertain.missed_trades(feed, now, feed.sequence.newest_ms)
        self._alerts.gap_began(feed.symbol, why)
        self.known(feed, span)

    def _known_lost(self, feed: SymbolFeed, span: Span) -> None:
        why = self._alerts.gaps.get(feed.symbol, "trades may be missing")
        self._alerts.gap_began(feed.symbol, why, _bounds(span))

    def _report(
        self, feed: SymbolFeed, recovery: Recovery, bars: Bars, *, compared: bool = True
    ) -> bool:
        """Publish; says whether nothing is held any more.

        Where REST was not compared with, more may be missing: the minute's volume will tell. The
        gap stays open while the stream is doubted.
        """
        lost = list(recovery.lost)
        if not feed.traded:  # what was before the first trade is not this feed's
            first = recovery.entries[0].trade.timestamp if recovery.entries else None
            lost = [span for span in lost if first is not None and span.lost_to > first]
        self._publish(feed, recovery, bars)
        for span in recovery.lost if compared else ():
            feed.minutes.lost(span)
        over = recovery.done and feed.symbol not in self.uncertain
        for span in lost[:-1] if over else lost:
            self._known_lost(feed, span)
        if over:
            last = _bounds(lost[-1]) if lost else None
            detail = "trades may be missing" if lost else "every trade was recovered"
            self._alerts.gap_cleared(feed.symbol, last, detail)
        return recovery.done

    async def watch(self) -> None:
        """Held trades do not wait for REST for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now, passed = self._now_ms(), asyncio.get_running_loop().time()
            for symbol, (report_at, why) in list(self._unreported.items()):
                if passed >= report_at:
                    del self._unreported[symbol]
                    self._alerts.gap_began(symbol, why)
            for feed, _ in list(self._running.values()):
                if feed.sequence.overdue(now):
                    self._give_up(feed)
            for feed in list(self._unconfirmed.values()):
                self._expire(feed, now)
            for feed in self.uncertain.over(passed):
                if feed.sequence.state is State.LIVE:
                    self._alerts.gap_cleared(feed.symbol, None, "its stream is whole again")

    def _expire(self, feed: SymbolFeed, now_ms: int) -> None:
        """What REST told and the stream did not bring is published also when REST is away."""
        recovery = feed.sequence.expired(now_ms)
        if recovery.entries:
            self._mark_uncertain(feed)
            self._report(feed, recovery, ())
        if not feed.sequence.unconfirmed:
            del self._unconfirmed[feed.symbol]

    def _give_up(self, feed: SymbolFeed) -> None:
        """Publish what is held; the hole has its bounds, and the stream has to prove itself."""
        self.counts["given_up"] += 1
        recovery = feed.sequence.give_up(self._early.pop(feed.symbol, ()))
        self.uncertain.name(feed.symbol, recovery.lost)
        if recovery.done:
            self.uncertain.frame_lost(feed, asyncio.get_running_loop().time())
            self._alerts.gap_began(feed.symbol, GIVEN_UP)
            self._stop(feed)
        self._report(feed, recovery, (), compared=False)

    # -- living streams, and lost ones while they are away -----------------------------------------

    async def audit(self, feeds: Callable[[], Sequence[SymbolFeed]], missed: Missed) -> None:
        """Compare one living stream after the other with REST, while nobody else asks.

        Args:
            feeds: Those that are listened to.
            missed: Told of a symbol whose stream left something out.
        """
        loop = asyncio.get_running_loop()
        uncertain_turn = False
        while True:
            await asyncio.sleep(comparison_pace.pause_s(self.uncertain))
            if self._rest.limits.waiting(Endpoint.TRADES):
                continue
            asked_at, uncertain_turn = loop.time(), not uncertain_turn
            first = self.uncertain if uncertain_turn else ()
            if (feed := comparison_pace.next_due(feeds(), asked_at, first)) is None:
                continue
            rows = await self._rows(feed)
            feed.audit_at = loop.time() + comparison_pace.again_in(feed, self.uncertain, rows or ())
            if rows is not None:
                self._answered(feed, rows, asked_at, missed)

    def _answered(
        self, feed: SymbolFeed, rows: Sequence[Trade], asked_at: float, missed: Missed
    ) -> None:
        """Use an answer as its stream is by now: REST may have taken minutes."""
        if feed.dropped:
            return
        if feed.sequence.state is State.LIVE:
            self._compare(feed, rows, asked_at, missed)
        elif feed.sequence.state is State.LOST:
            self.counts["polls"] += 1
            self._report(feed, self._recovered(feed, rows, asked_at), ())

    def _compare(
        self, feed: SymbolFeed, rows: Sequence[Trade], asked_at: float, missed: Missed
    ) -> None:
        self.counts["audits"] += 1
        recovery = feed.sequence.audit(rows, self._now_ms())
        if feed.sequence.unconfirmed:
            self._unconfirmed[feed.symbol] = feed
        if not self._left_out(feed, rows, recovery):
            if recovery.entries:
                self._report(feed, replace(recovery, lost=()), ())
            if rows:
                self.uncertain.compared(feed, asked_at, rows[-1].timestamp)
            return
        self.counts["sequence_holes"] += 1
        _log.warning("sequence_hole", symbol=feed.symbol, lost=[*map(_bounds, recovery.lost)])
        self._mark_uncertain(feed, rows[-1].timestamp)
        self._report(feed, recovery, ())
        missed(feed)

    def _left_out(self, feed: SymbolFeed, rows: Sequence[Trade], recovery: Recovery) -> bool:
        """Whether REST told of trades that the stream should have brought and did not."""
        return any(
            not self.uncertain.is_named(feed.symbol, one.trade.timestamp, rows[0].timestamp)
            for one in recovery.entries
        )

    async def poll(self, feeds: Callable[[], Sequence[SymbolFeed]], missed: Missed) -> None:
        """Ask for the trades of symbols without a stream; arguments as for ``audit``."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            for feed in list(feeds()):
                if self._rest.limits.waiting(Endpoint.TRADES) or not feed.ever:
                    continue
                asked_at = asyncio.get_running_loop().time()
                rows = await self._rows(feed)
                if (
                    rows and rows[-1].timestamp >= feed.sequence.unconfirmed.rest_newest_ms
                ):  # not overtaken
                    self._answered(feed, rows, asked_at, missed)


def _bounds(span: Span) -> tuple[int, int]:
    return span.lost_from, span.lost_to
