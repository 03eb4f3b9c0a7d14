"""Fills gaps with trades from REST that a socket missed."""

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
"""Maximum wait for the acknowledgement of a subscription."""

ASK_AGAIN_S: Final = 1.0
REPORT_AFTER_S: Final = 1.5
"""A suspected gap is reported only if REST does not refute it within this time."""

LOOK_EVERY_S: Final = 0.25
SURE_AFTER_S: Final = 1.0
"""A symbol is compared again this long after its gap was filled, before its turn."""

MINUTE_MS: Final = 60_000
MISSED_TRADES: Final = "its stream missed trades"
GIVEN_UP: Final = "REST did not return the missing trades in time"

Bars = Sequence[tuple[int, Bar]]
Missed = Callable[[SymbolFeed], None]
Publish = Callable[[SymbolFeed, Recovery, Bars], None]
"""Publishes the minute bars within the lost spans and the trades, in order."""
Acceptable = Callable[[str, Sequence[Trade]], Sequence[Trade]]
"""Removes the trades of a symbol whose times are too far ahead."""

_log = logging.get(__name__)


class Recoveries:
    """Runs one recovery per symbol with a gap, and compares all other symbols with REST.

    Args:
        rest: REST client.
        alerts: Reports gaps.
        publish: Publishes recovered trades.
        now_ms: Wall time.
        lookback_ms: Older bars are not requested.
        acceptable: Checks the times in every REST answer.

    Attributes:
        tasks: Runs the recoveries; set before the first symbol is resumed.
        counts: Counters by name.
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

    # -- gaps -----------------------------------------------------------------------------------

    def lost(self, feed: SymbolFeed, why: str) -> None:
        """A symbol's stream has ended."""
        self._stop(feed)
        feed.sequence.lose()
        if feed.ever:
            self._alerts.gap_began(feed.symbol, why)

    def frame_lost(self, feed: SymbolFeed, why: str) -> None:
        """A frame of a running stream could not be read, and may have held trades."""
        self.uncertain.frame_lost(feed, asyncio.get_running_loop().time())
        self._alerts.gap_began(feed.symbol, why)
        feed.sequence.lose()
        if feed.symbol in self._running:
            feed.sequence.resume()
        else:
            self.resumed(feed)

    def suspected(self, feed: SymbolFeed, why: str) -> None:
        """A running stream may have missed trades; reported only if the suspicion lasts."""
        feed.sequence.lose()
        if feed.symbol in self._running:
            feed.sequence.resume()
            return
        self.resumed(feed)
        self._unreported[feed.symbol] = asyncio.get_running_loop().time() + REPORT_AFTER_S, why

    def resumed(self, feed: SymbolFeed) -> None:
        """A symbol's stream runs (again): fill the gap before it."""
        if feed.sequence.state is State.LIVE:
            return
        feed.sequence.resume()
        self._stop(feed)
        task = self.tasks.create_task(self._recover(feed))
        self._running[feed.symbol] = feed, task

    def forget(self, feed: SymbolFeed) -> None:
        """A symbol was unsubscribed: close its gap."""
        feed.dropped = True
        self._stop(feed)
        self.uncertain.forget(feed.symbol)
        self._unconfirmed.pop(feed.symbol, None)
        self._alerts.gap_cleared(feed.symbol, None, "no longer subscribed")

    @property
    def open(self) -> int:
        """Number of running recoveries."""
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
            # A frame lost after the request is not covered by the answer without a later trade.
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
            feed.minutes.whole_since(feed.sequence.newest_ms)  # the answer reaches the beginning
        recovery = feed.sequence.recovered(rows, self._now_ms())
        if self._missed_trades(feed, rows, recovery, last_trade_received_ms):
            self._mark_uncertain(feed, rows[-1].timestamp)
            return with_missed_trades(compared_ms, rows, recovery)
        if recovery.done and rows:
            self.uncertain.compared(feed, asked_at, rows[-1].timestamp)
        return recovery

    def _polled(self, feed: SymbolFeed, rows: Sequence[Trade], asked_at: float) -> None:
        """Publish REST trades while the frames of a stream cannot be read."""
        if feed.sequence.held.beginning() is not None:
            self._early[feed.symbol] = rows
        else:
            feed.sequence.lose()
            self._report(feed, self._recovered(feed, rows, asked_at), ())
            feed.sequence.resume()

    def _missed_trades(
        self, feed: SymbolFeed, rows: Sequence[Trade], recovery: Recovery, received_ms: int
    ) -> bool:
        """Whether REST had a trade that is older than one the socket had brought before."""
        before_ms = received_ms - OVERTAKEN_MS
        from_rest = (one for one in recovery.entries if one.origin is Origin.REST)
        found = [one for one in from_rest if one.trade.timestamp < before_ms]
        return self.uncertain.finds(feed.symbol, found, rows)

    def _mark_uncertain(self, feed: SymbolFeed, rest_newest_ms: int = -1) -> None:
        now = asyncio.get_running_loop().time()
        self.uncertain.missed_trades(feed, now, max(rest_newest_ms, feed.sequence.newest_ms))
        self._alerts.gap_began(feed.symbol, MISSED_TRADES)

    async def _acknowledged(self, feed: SymbolFeed) -> None:
        """Wait for the acknowledgement: before it, trades may be in neither stream nor window."""
        loop = asyncio.get_running_loop()
        until = loop.time() + ACKNOWLEDGED_WITHIN_S
        while loop.time() < until and not feed.acknowledged:
            await asyncio.sleep(0.05)
        feed.acknowledged = True  # wait once per connection

    async def _bars(self, feed: SymbolFeed) -> Bars:
        """The minute bars since the last trade, if a whole minute may be lost."""
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
            if count & (count - 1) == 0:  # logged when their number has doubled
                _log.warning("deals_missing", symbol=feed.symbol, reason=str(away), count=count)
            return None

    def known(
        self, feed: SymbolFeed, span: Span, why: str = "trades arrived too late to be deduplicated"
    ) -> None:
        """A span is certainly incomplete, whatever else is uncertain."""
        feed.minutes.lost(span)
        if feed.symbol in self._alerts.gaps:
            self._known_lost(feed, span)
        else:
            self._alerts.gap_cleared(feed.symbol, _bounds(span), why)

    def fell_short(self, feed: SymbolFeed, span: Span, why: str) -> None:
        """The volume of a minute shows that the stream missed trades, and may still do so."""
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
        """Publish a recovery; returns whether no trade is pending any more.

        Without a comparison with REST more may be missing; the volume of the minute will show it.
        The gap stays open while the stream is uncertain.
        """
        lost = list(recovery.lost)
        if not feed.traded:  # nothing is promised before the first trade
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
        """Limit how long pending trades wait, and close gaps that are over."""
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
        """Publish trades that REST has and the stream did not bring, also while REST is away."""
        recovery = feed.sequence.expired(now_ms)
        if recovery.entries:
            self._mark_uncertain(feed)
            self._report(feed, recovery, ())
        if not feed.sequence.unconfirmed:
            del self._unconfirmed[feed.symbol]

    def _give_up(self, feed: SymbolFeed) -> None:
        """Publish pending trades without REST; the stream stays uncertain until it is confirmed."""
        self.counts["given_up"] += 1
        recovery = feed.sequence.give_up(self._early.pop(feed.symbol, ()))
        self.uncertain.name(feed.symbol, recovery.lost)
        if recovery.done:
            self.uncertain.frame_lost(feed, asyncio.get_running_loop().time())
            self._alerts.gap_began(feed.symbol, GIVEN_UP)
            self._stop(feed)
        self._report(feed, recovery, (), compared=False)

    # -- comparison of running streams, polling of lost ones --------------------------------------

    async def audit(self, feeds: Callable[[], Sequence[SymbolFeed]], missed: Missed) -> None:
        """Compare one running stream after the other with REST, while REST has no other requests.

        Args:
            feeds: Returns the subscribed symbols.
            missed: Called with a symbol whose stream missed trades.
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
        """Use an answer by the state that the stream has now: REST may have taken minutes."""
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
        if not self.uncertain.finds(feed.symbol, recovery.entries, rows):
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

    async def poll(self, feeds: Callable[[], Sequence[SymbolFeed]], missed: Missed) -> None:
        """Request the trades of symbols without a stream; arguments as for ``audit``."""
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
