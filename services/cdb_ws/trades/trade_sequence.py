"""The trades of one symbol, each once, in order; and, after a loss, what may be missing.

A trade sequence is pure: trades in, entries out, no clock and no network. It is in one of three
states.

``LIVE``: trades are published as they come. ``LOST``: the stream ended, nothing comes; windows
asked of REST are published at once. ``HOLDING``: trades come again, and are held until a REST
window has filled the hole before them, so that everything leaves in order.

All bounds are times of trades, never of this machine's clock, which may be wrong.
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
"""So long after one trade has overtaken another, it may happen again."""

OVERTAKEN_MS: Final = 1_500
"""A frame may be overtaken by others that are so much younger."""


class Origin(Enum):
    """How a trade came: by the socket in order, by the socket too late, or by REST."""

    LIVE = "live"
    LATE = "late"
    REST = "rest"


class Entry(Struct, frozen=True, gc=False):
    """A trade to publish.

    Attributes:
        trade: The trade.
        origin: Only ``LIVE`` ones are news; the others are backfilled.
        copy: How many trades that agree in everything but the id were published before it.
    """

    trade: Trade
    origin: Origin
    copy: int = 0


class Recovery(Struct, frozen=True):
    """What a REST window, or giving up, brought.

    Attributes:
        entries: To publish, in this order.
        lost: Stretches in which trades may be missing for good, in order.
        done: Nothing more is in doubt: the sequence is ``LIVE``. Otherwise ask REST again.
    """

    entries: tuple[Entry, ...] = ()
    lost: tuple[Span, ...] = ()
    done: bool = True


class State(Enum):
    """Whether trades come, and whether there is a hole before them."""

    LIVE = "live"
    LOST = "lost"
    HOLDING = "holding"


class TradeSequence:
    """One symbol's trades.

    Args:
        since_ms: Older trades are not the sequence's: minute bars have told of them. None: the
            sequence begins with the first trade that comes.
        limit: How many rows a REST window has at most.

    Attributes:
        counts: What was left out or came another way, by reason.
        state: See the module.
        newest_ms: Time of the newest published trade; before the first, the beginning or -1.
        last_trade_received_ms: Time of the newest trade that the socket brought and that was not
            held; -1 before.
        held: What came after the last loss and waits.
        unconfirmed: What REST told at the last audit and the stream may still bring.
        compared_ms: Until when REST was compared with, and everything it told was published.
        behind_ms: How far the stream was behind REST at the last audit.
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
        """Begin where an earlier process ended; the sequence is ``LOST`` then.

        Args:
            past: Trades that were published already.
            since_ms: All published trades that are not older than this are among ``past``.
            uncertain: Whether its stream may have been leaking; otherwise REST had shown it whole.
        """
        self.state, self._begun, self._since = State.LOST, True, since_ms
        self.compared_ms = since_ms  # nobody knows how far the process before had compared
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
        """The trades of one frame; what of them is to be published now, in this order.

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
        """The stream has ended: a hole may begin after the last trade."""
        self.state = State.LOST
        self._last_rows, self.unconfirmed = (), UnconfirmedTrades()
        self.held.end()

    def resume(self) -> None:
        """The stream runs again, and nothing is missing from now on; ask REST after this."""
        if self.state is State.LOST:
            self.state = State.HOLDING
            self.held.begin()

    def overdue(self, now_ms: int) -> bool:
        """Whether held trades have waited too long, or are too many, and must be given up on."""
        return self.held.overdue(now_ms)

    def recovered(self, rows: Sequence[Trade], now_ms: int) -> Recovery:
        """The newest trades as REST tells them, asked for after the loss.

        While ``LOST``, its news are published at once; while ``HOLDING``, with what is held, if the
        window reaches up to that.

        Args:
            rows: All rows of REST's answer, oldest first.
            now_ms: Wall time.
        """
        if self.state is State.LIVE:
            return self.audit(rows, now_ms)
        window, current = RestWindow(rows, self._limit), self.held.current()
        if not self._begun and self.held.beginning() is None:
            return self._before_the_first(window)
        if not rows or (current is None and window.newest < self._newest_known()):
            return Recovery(done=False)  # REST has forgotten, or lags behind
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
        """What is held has waited too long: publish it, and say what may be missing.

        With nothing held the doubt remains; go on asking REST.

        Args:
            rows: What REST told last since the loss, though not up to the present; oldest first.
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
        """Compare a living stream with REST: trades that the socket should have brought, and lost.

        Args:
            rows: All rows of REST's answer, oldest first.
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
        """Awaited trades that will not come any more, and what was lost between windows before."""
        found = self.unconfirmed.expired(now_ms, self._dedup)
        lost = self.unconfirmed.broken(found, self.last_trade_received_ms, OVERTAKEN_MS)
        self.counts["recovered"] += len(found)
        return Recovery(tuple(self._publish([(row, Origin.REST) for row in found])), tuple(lost))

    def take_too_old(self) -> Span | None:
        """Of which times trades came so late that nobody knows whether they came before.

        They were not published. Asking clears it.
        """
        span, self._too_old = self._too_old, None
        return span

    def _goes_on(self, timestamp: int, trade_id: int | None) -> bool:
        """Whether a trade is not older than the newest; it is the newest then."""
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
        """Whether a trade was published before its frame came.

        Args:
            trade: One that just came.
            copies: Of the frame's trades without id: how many known copies no row has stood for
                yet.
        """
        dedup = self._dedup
        if trade.trade_id is not None:
            return trade.trade_id in dedup.ids or (bool(dedup.anonymous) and dedup.claim(trade))
        key = key_of(trade)
        left = copies.setdefault(key, dedup.anonymous[key])
        copies[key] = max(0, left - 1)
        return left > 0

    def _end_ms(self) -> int | None:
        """Until when nothing can be missing; None before the first trade.

        Where frames have overtaken one another lately, others may have been on their way; where
        REST filled in a doubted stream before a restart, all is known only until its last trade.
        """
        if not self._begun:
            return None
        end, lately = self.newest_ms, self.newest_ms - OVERTAKING_MS
        if self._overtakes():
            end = max(self._dedup.newest_until(end - OVERTAKEN_MS) or end, self.compared_ms)
        missed_at, missed_ms = self._missed
        return min(end, missed_ms) if missed_at >= lately else end

    def _overtakes(self) -> bool:
        """Whether frames overtake one another in these times."""
        return self.held.overtaken or self._overtaken_at >= self.newest_ms - OVERTAKING_MS

    def _lost(self, window: RestWindow, *, joined: bool) -> list[Span]:
        slack_ms = OVERTAKEN_MS if self._overtakes() else 0
        return self.held.lost(self._end_ms(), window, joined=joined, slack_ms=slack_ms)

    def _newest_known(self) -> int:
        """Time of the newest trade that REST must know too if it is up to date."""
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
        """Publish REST's rows and what is held, the present stream's only ``with_current``."""
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
        """Remember trades, oldest first, as published; a live one behind the newest is late."""
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
