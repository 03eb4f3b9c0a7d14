"""Publishes each trade of one symbol once and in order, and names what is missing after a loss.

The module does no I/O and reads no clock: all bounds are times of trades. A sequence is in one of
three states. ``LIVE``: trades are published as they arrive. ``LOST``: the stream has ended; REST
windows are published at once. ``HOLDING``: the stream runs again; its trades stay pending until a
REST window has filled the gap before them.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Final

from msgspec import Struct

from services.cdb_ws.trades.dedup_window import DedupWindow, Key, counted, key_of
from services.cdb_ws.trades.pending_trades import PendingTrades, order_of
from services.cdb_ws.trades.rest_window import WINDOW_LIMIT, RestWindow, Span
from services.cdb_ws.trades.unconfirmed_trades import UnconfirmedTrades
from services.venues.mexc.messages import Trade

OVERTAKING_MS: Final = 15_000
"""After one frame has overtaken another, more may do so for this long."""

OVERTAKEN_MS: Final = 1_500
"""A frame may arrive after frames whose trades are up to this much younger."""


class Origin(Enum):
    """Where a trade came from: the socket in order, the socket too late, or REST."""

    LIVE = "live"
    LATE = "late"
    REST = "rest"


class Entry(Struct, frozen=True, gc=False):
    """A trade to publish.

    Attributes:
        trade: The trade.
        origin: ``LIVE`` trades can trigger decisions; all others are published as backfill.
        copy: How many trades that are equal in everything but the id were published before it.
    """

    trade: Trade
    origin: Origin
    copy: int = 0


class Recovery(Struct, frozen=True):
    """The result of a REST window, or of giving up on REST.

    Attributes:
        entries: Trades to publish, in this order.
        lost: Spans in which trades may be missing for good, in order.
        done: True: the sequence is ``LIVE`` and complete. False: ask REST again.
    """

    entries: tuple[Entry, ...] = ()
    lost: tuple[Span, ...] = ()
    done: bool = True


class State(Enum):
    """Whether trades arrive, and whether there is a gap before them."""

    LIVE = "live"
    LOST = "lost"
    HOLDING = "holding"


class TradeSequence:
    """The trades of one symbol.

    Args:
        since_ms: Start of the sequence. Older trades are already covered by minute bars. None: the
        sequence starts with the first trade that arrives.
        limit: Maximum number of rows in a REST window.

    Attributes:
        counts: Trades that were left out or arrived another way, by reason.
        state: See the module.
        newest_ms: Time of the newest published trade. Before the first: ``since_ms``, or -1.
        last_trade_received_ms: Time of the newest trade from the socket that was not pending; -1
        before the first.
        held: Pending trades: those received since the last loss.
        unconfirmed: Trades that REST had at the last comparison and the stream has not brought yet.
        compared_ms: Up to this time the stream was compared with REST and all rows were published.
        behind_ms: How far the stream was behind REST at the last comparison.
    """

    def __init__(self, since_ms: int | None = None, limit: int = WINDOW_LIMIT) -> None:
        self.counts: Counter[str] = Counter()
        self.state = State.LIVE
        self.newest_ms = -1 if since_ms is None else since_ms
        self.compared_ms = -1
        self.behind_ms = 0
        self._newest_id = self._overtaken_at = -1
        self._missed = (-1, -1)
        self.unconfirmed = UnconfirmedTrades()
        self._since = since_ms
        self._limit = limit
        self._begun = False
        self.last_trade_received_ms = -1
        self._too_old: Span | None = None
        self._last_rows: Sequence[Trade] = ()
        self._dedup = DedupWindow()
        self.held = PendingTrades()

    def restore(self, past: Iterable[Trade], since_ms: int, *, uncertain: bool = True) -> None:
        """Continue where an earlier process stopped. The state is ``LOST`` afterwards.

        Args:
            past: Trades that were published before.
            since_ms: ``past`` contains every published trade that is not older than this.
            uncertain: Whether the stream may have missed trades. False: REST had confirmed it.
        """
        self.state, self._begun, self._since = State.LOST, True, since_ms
        self.compared_ms = since_ms  # how far the earlier process compared is unknown
        newest = -1
        for trade in past:
            self._dedup.add(trade)
            if trade.timestamp < newest and trade.trade_id is not None:
                self._overtaken_at = newest
            elif trade.timestamp < newest and uncertain:
                self._missed = newest, trade.timestamp
            newest = max(newest, trade.timestamp)
        self.newest_ms = max(newest, since_ms)
        self.last_trade_received_ms = self.newest_ms

    def live(self, trades: Sequence[Trade], now_ms: int) -> list[Entry]:
        """Take the trades of one frame; returns those to publish now, in this order.

        Args:
            trades: Sorted by time and id.
            now_ms: Wall time.
        """
        if self.state is not State.LIVE:
            self.resume()
            self.counts["duplicate"] += self.held.hold(trades, now_ms, self._dedup.ids)
            return []
        entries: list[Entry] = []
        copies: dict[Key, int] = {}
        for trade in trades:
            if self._is_known(trade, copies):
                self.counts["duplicate"] += 1
                continue
            if self._goes_on(trade.timestamp, trade.trade_id):
                origin = Origin.LIVE
            elif self._cannot_be_placed(trade.timestamp):
                continue
            else:
                self.counts["late"] += 1
                self._overtaken_at = self.newest_ms
                origin = Origin.LATE
            copy = 0 if trade.trade_id is not None else self._dedup.anonymous[key_of(trade)]
            entries.append(Entry(trade, origin, copy))
            self._dedup.add(trade)
        if entries:
            self._begun = True
            self.last_trade_received_ms = max(
                self.last_trade_received_ms, entries[-1].trade.timestamp
            )
            if self._since is None:
                self._since = entries[0].trade.timestamp
        return entries

    def lose(self) -> None:
        """Mark the stream as ended: a gap may begin after the last trade."""
        self.state = State.LOST
        self._last_rows, self.unconfirmed = (), UnconfirmedTrades()
        self.held.end()

    def resume(self) -> None:
        """Mark the stream as running again. Ask REST after this call, not before."""
        if self.state is State.LOST:
            self.state = State.HOLDING
            self.held.begin()

    def overdue(self, now_ms: int) -> bool:
        """Whether pending trades have waited too long, or are too many: call ``give_up`` then."""
        return self.held.overdue(now_ms)

    def recovered(self, rows: Sequence[Trade], now_ms: int) -> Recovery:
        """Use the newest trades from REST, requested after the loss.

        ``LOST``: new rows are published at once. ``HOLDING``: they are published with the pending
        trades if the window reaches the first of these.

        Args:
            rows: All rows of the REST answer, oldest first.
            now_ms: Wall time.
        """
        if self.state is State.LIVE:
            return self.audit(rows, now_ms)
        window, current = RestWindow(rows, self._limit), self.held.current()
        if not self._begun and self.held.beginning() is None:
            return self._before_the_first(window)
        if not rows or (current is None and window.newest < self._newest_known()):
            return Recovery(done=False)  # REST is empty or behind
        self._drop_known()
        first = current.first if current is not None else None
        joined = first is None or window.reaches(first)
        lost = (
            [] if first is None and rows == self._last_rows else self._lost(window, joined=joined)
        )
        found = self._missing(window, self._dedup.since(window.oldest) + self.held.trades())
        if current is not None and first is not None and joined:
            found = window.not_on_their_way(found, first, current.newest_ms)
        self.counts["recovered"] += len(found)
        self._last_rows, self._missed = rows, (-1, -1)
        recovery = self._release(found, lost, with_current=joined)
        if recovery.done or recovery.entries:
            self.compared_ms = max(self.compared_ms, min(self.newest_ms, window.newest))
            self.behind_ms = 0
        return recovery

    def give_up(self, rows: Sequence[Trade] = ()) -> Recovery:
        """Publish the pending trades without REST; returns them with the spans that may be lost.

        Without pending trades nothing is published; keep asking REST.

        Args:
            rows: The last REST answer since the loss, even if it does not reach the present; oldest
            first.
        """
        if self.held.beginning() is None:
            return Recovery(done=False)
        self._drop_known()
        window, current = RestWindow(rows, self._limit), self.held.current()
        lost, found = self._lost(window, joined=True), list[Trade]()
        if rows:
            found = self._missing(window, self._dedup.since(window.oldest) + self.held.trades())
        if current is not None and current.first is not None:
            found = window.not_on_their_way(found, current.first, current.newest_ms)
        return self._release(found, lost, with_current=current is not None)

    def audit(self, rows: Sequence[Trade], now_ms: int) -> Recovery:
        """Compare a running stream with REST; returns missed trades and lost spans.

        Args:
            rows: All rows of the REST answer, oldest first.
            now_ms: Wall time.
        """
        if self.state is not State.LIVE or not self._begun or not rows:
            return Recovery(done=self.state is State.LIVE)
        window = RestWindow(rows, self._limit)
        due = max(
            self.last_trade_received_ms - OVERTAKEN_MS, self.unconfirmed.due(window.newest, now_ms)
        )
        missing = self._missing(window, self._dedup.since(window.oldest))
        unconfirmed = self.unconfirmed.overdue(window.oldest, missing, self._dedup)
        found = unconfirmed + [row for row in missing if row.timestamp <= due]
        on_their_way = [row for row in missing if row.timestamp > due]
        known_ms = max(self.compared_ms, -1 if self._since is None else self._since)
        lost = self.unconfirmed.breaks(
            window, known_ms, found, self.last_trade_received_ms, OVERTAKEN_MS
        )
        entries = self._publish([(row, Origin.REST) for row in found])
        self.unconfirmed.keep(on_their_way, self._dedup, window.newest, now_ms)
        until = min([window.newest, *(row.timestamp for row in on_their_way[:1])])
        self.behind_ms = window.newest - until
        self.compared_ms = max(self.compared_ms, min(until, self.newest_ms))
        self.counts["recovered"] += len(found)
        return Recovery(tuple(entries), tuple(lost))

    def expired(self, now_ms: int) -> Recovery:
        """Publish overdue unconfirmed trades; returns them with the spans that they prove lost."""
        found = self.unconfirmed.expired(now_ms, self._dedup)
        lost = self.unconfirmed.broken(found, self.last_trade_received_ms, OVERTAKEN_MS)
        self.counts["recovered"] += len(found)
        return Recovery(tuple(self._publish([(row, Origin.REST) for row in found])), tuple(lost))

    def take_too_old(self) -> Span | None:
        """Return and clear the span of trades that arrived too late and were not published."""
        span, self._too_old = self._too_old, None
        return span

    def _goes_on(self, timestamp: int, trade_id: int | None) -> bool:
        """Whether a trade is not older than the newest; if so, it becomes the newest."""
        if timestamp == self.newest_ms:
            if trade_id is not None:
                if trade_id < self._newest_id:
                    return False
                self._newest_id = trade_id
            return True
        if timestamp < self.newest_ms:
            return False
        self.newest_ms = timestamp
        self._newest_id = -1 if trade_id is None else trade_id
        return True

    def _cannot_be_placed(self, timestamp: int) -> bool:
        """Whether a late trade is older than the beginning, or than the dedup window."""
        if self._since is not None and timestamp < self._since:
            self.counts["before_the_beginning"] += 1
            return True
        if timestamp > self._dedup.forgotten_until:
            return False
        self.counts["too_old"] += 1
        known = self._too_old or Span(timestamp, timestamp)
        self._too_old = Span(min(known.lost_from, timestamp), max(known.lost_to, timestamp))
        return True

    def _is_known(self, trade: Trade, copies: dict[Key, int]) -> bool:
        """Whether a trade was published before its frame arrived.

        Args:
            trade: A trade that has just arrived.
            copies: Per key of a trade without id: published copies not yet matched by a row of this
            frame.
        """
        dedup = self._dedup
        if trade.trade_id is not None:
            return trade.trade_id in dedup.ids or (bool(dedup.anonymous) and dedup.claim(trade))
        key = key_of(trade)
        left = copies.setdefault(key, dedup.anonymous[key])
        copies[key] = max(0, left - 1)
        return left > 0

    def _end_ms(self) -> int | None:
        """Time up to which nothing can be missing; None before the first trade.

        If frames have overtaken one another lately, others may be on their way. If REST had filled
        an uncertain stream before a restart, the result is the time of that stream's last trade.
        """
        if not self._begun:
            return None
        end, lately = self.newest_ms, self.newest_ms - OVERTAKING_MS
        if self._overtakes():
            end = max(self._dedup.newest_until(end - OVERTAKEN_MS) or end, self.compared_ms)
        missed_at, missed_ms = self._missed
        return min(end, missed_ms) if missed_at >= lately else end

    def _overtakes(self) -> bool:
        """Whether frames have overtaken one another lately."""
        return self.held.overtaken or self._overtaken_at >= self.newest_ms - OVERTAKING_MS

    def _lost(self, window: RestWindow, *, joined: bool) -> list[Span]:
        slack_ms = OVERTAKEN_MS if self._overtakes() else 0
        return self.held.lost(self._end_ms(), window, joined=joined, slack_ms=slack_ms)

    def _newest_known(self) -> int:
        """Time of the newest known trade; an up-to-date REST answer contains it."""
        return max(self._dedup.newest_ms, self.held.newest_ms())

    def _drop_known(self) -> None:
        if self._since is None and (beginning := self.held.beginning()) is not None:
            self._since = self.newest_ms = beginning
        self.counts["duplicate"] += self.held.drop_known(self._dedup)

    def _before_the_first(self, window: RestWindow) -> Recovery:
        """Use a window before the first trade; without ``since_ms`` its rows are left out."""
        found = self._missing(window, ()) if self._since is not None and window.rows else []
        return self._release(found, [], with_current=True)

    def _missing(self, window: RestWindow, known: Iterable[Trade]) -> list[Trade]:
        missing, within = window.missing(known)
        if within:
            self.counts["within_aggregated"] += within
        since = max(self._since or 0, self._dedup.forgotten_until + 1)
        return [row for row in missing if row.timestamp >= since]

    def _release(self, rows: list[Trade], lost: list[Span], *, with_current: bool) -> Recovery:
        """Publish REST rows and pending trades; the current segment only ``with_current``."""
        earlier, present = self.held.release(with_current=with_current)
        items = [(row, Origin.REST) for row in rows]
        items += [(trade, Origin.LATE) for trade in earlier]
        items += [(trade, Origin.LIVE) for trade in present]
        items.sort(key=lambda item: order_of(item[0]))
        if with_current and self.state is State.HOLDING:
            self.state = State.LIVE
        entries = self._publish(items)
        known = self._dedup.since(lost[0].lost_from) if lost else []
        tight = [piece for span in lost for piece in span.split(known)]
        return Recovery(tuple(entries), tuple(tight), done=self.state is State.LIVE)

    def _publish(self, items: list[tuple[Trade, Origin]]) -> list[Entry]:
        """Add trades, oldest first, to the dedup window; a live one behind the newest is late."""
        copies = counted(self._dedup.since(items[0][0].timestamp)) if items else Counter()
        entries: list[Entry] = []
        for trade, source in items:
            origin = source
            if not self._goes_on(trade.timestamp, trade.trade_id) and source is not Origin.REST:
                if self._cannot_be_placed(trade.timestamp):
                    continue
                self.counts["late"] += source is Origin.LIVE
                origin = Origin.LATE
            if source is not Origin.REST:
                self.last_trade_received_ms = max(self.last_trade_received_ms, trade.timestamp)
            key = key_of(trade)
            entries.append(Entry(trade, origin, copies[key] if trade.trade_id is None else 0))
            copies[key] += 1
            self._dedup.add(trade)
        self._begun = self._begun or bool(entries)
        return entries
