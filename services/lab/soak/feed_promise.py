"""Checks the promise of the feed from outside: what was made against what was published.

From the first received trade of a symbol on, each trade of the exchange was received once and in
order, or lies in a lost span of a ``DATA_GAP``. Trades are matched by time, price, quantity and
side, with counts; of the engine only its published events are read.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import accumulate
from typing import Final

from services.lab.soak.feed_record import Findings, Key, Loss, Record, SymbolRecord, Trade, read
from services.lab.soak.missed_trades import check_missed_trades

LIVE: Final = "mexc"
STALE_MS: Final = 60_000
"""Every stage refuses an older tick that is not marked as backfill."""

UNCERTAIN_MS: Final = 90_000
"""Limit from a trade to its publication or to the gap of its symbol.

The volume of its minute shows at the latest, 75 s after the minute began, that it is missing.
"""

REST_REPORTED_MS: Final = 20_000
"""The same limit, from the REST answer with the trade: the next comparison must find it."""

RETURN_MS: Final = 20_000
"""The same limit, from the time at which REST answers again.

The volumes of the first minutes count only after one has agreed.
"""

NOTICE_MS: Final = 1_000
"""Limit from the loss of a connection, as the client sees it, to the gap of each of its symbols."""


def check(record: Record) -> Findings:
    """Check a run."""
    findings = Findings()
    symbols = read(record, findings)
    for name, symbol in symbols.items():
        _check_trades(symbol, record, findings)
        check_missed_trades(symbol, record, findings)
        _check_order(symbol, findings)
        _check_marks(symbol, findings)
        if symbol.open_gap is not None:
            findings.fault(f"{name}: a gap began at {symbol.open_gap.opened_ms} and never cleared")
        findings.gaps += len(symbol.gaps)
    for loss in record.losses:
        _check_loss(symbols.get(loss.symbol), loss, findings)
    return findings


def _check_trades(symbol: SymbolRecord, record: Record, findings: Findings) -> None:
    if not symbol.trades:
        return
    first = symbol.trades[0].tick.timestamp
    all_made = Counter(made.key for made in symbol.made)
    published_at: dict[Key, list[Trade]] = defaultdict(list)
    for trade in symbol.trades:
        seen = published_at[trade.key]
        seen.append(trade)
        if len(seen) > all_made[trade.key]:
            findings.doubled += 1
            what = "doubled" if all_made[trade.key] else "never made"
            findings.fault(f"{symbol.symbol}: {what}: {_text(trade.key)}, {trade.tick.source}")
    noticed_by = _noticed_by(symbol, record)
    for key, count in all_made.items():
        if key[0] <= first and key not in published_at:
            continue  # the promise begins with the first trade received
        received = min(count, len(published_at[key]))
        findings.sent += count
        findings.received += received
        missing = count - received
        if missing and key[0] > first:
            if any(span.lost_from <= key[0] <= span.lost_to for span in symbol.spans):
                findings.in_gaps += missing
            else:
                findings.fault(f"{symbol.symbol}: missing without a gap: {_text(key)} x{missing}")
        elif missing:
            findings.sent -= missing
        limit = noticed_by(key[0])
        if missing or any(trade.at_ms > limit for trade in published_at[key]):
            _check_uncertain(symbol, key, limit, findings)


def _noticed_by(symbol: SymbolRecord, record: Record) -> Callable[[int], int]:
    """Returns a function: until when a missing trade of a given time must be noticed."""
    reported_until = list(accumulate((answers.newest_ms for answers in symbol.answers), max))

    def within(at_ms: int, time_ms: int, again_ms: int) -> int:
        limit = at_ms + time_ms
        for start, end in sorted(record.rest_away):
            if start <= limit and end >= at_ms:
                limit = max(limit, end + again_ms)
        return limit

    def noticed_by(at_ms: int) -> int:
        limit = within(at_ms, UNCERTAIN_MS, UNCERTAIN_MS)
        place = bisect_left(reported_until, at_ms)
        if place < len(symbol.answers) and symbol.answers[place].oldest_ms < at_ms:
            limit = min(limit, within(symbol.answers[place].at_ms, REST_REPORTED_MS, RETURN_MS))
        # A dead engine notices nothing; a new one opens the gap first.
        return next((end for start, end in record.dead if start <= limit <= end), limit)

    return noticed_by


def _check_uncertain(symbol: SymbolRecord, key: Key, limit: int, findings: Findings) -> None:
    """A trade that comes late or never: the gap of its symbol is open before the limit."""
    if not any(
        gap.opened_ms <= limit and (gap.closed_ms is None or gap.closed_ms >= key[0])
        for gap in symbol.gaps
    ):
        findings.fault(f"{symbol.symbol}: no gap was open while {_text(key)} was missing")


def _check_order(symbol: SymbolRecord, findings: Findings) -> None:
    """Trades that are not marked as backfilled never go back."""
    newest: tuple[int, int] = (0, 0)
    for trade in symbol.trades:
        tick = trade.tick
        if tick.backfill:
            findings.backfilled += 1
            continue
        at = tick.timestamp, int(tick.trade_id or 0)
        if at[0] < newest[0] or (at < newest and at[1] and newest[1]):
            findings.fault(f"{symbol.symbol}: live trade {at} after {newest}, not marked")
        newest = max(newest, at)


def _check_marks(symbol: SymbolRecord, findings: Findings) -> None:
    """Backfilled trades are marked, and live ones are young."""
    for trade in symbol.trades:
        tick = trade.tick
        if trade.retimed_ms is not None:
            _check_retimed(symbol, trade, trade.retimed_ms, findings)
        elif tick.backfill == (tick.source == LIVE):
            findings.fault(f"{symbol.symbol}: backfill={tick.backfill} from {tick.source}")
        if tick.backfill:
            continue
        age = trade.at_ms - tick.timestamp
        if age > STALE_MS:
            findings.fault(f"{symbol.symbol}: a live trade {age} ms old, not marked")


def _check_retimed(symbol: SymbolRecord, trade: Trade, time_ms: int, findings: Findings) -> None:
    """Only while ``CLOCK_OFFSET`` is open, a live trade has its time of receipt; never a later."""
    which = f"{symbol.symbol}: {_text(trade.key)}"
    if not trade.in_offset:
        findings.fault(f"{which} has not the venue's time, and no offset is open")
    if time_ms > trade.at_ms or (time_ms < trade.at_ms and not trade.tick.backfill):
        findings.fault(f"{which} has neither the venue's time nor that of its receipt")


def _check_loss(symbol: SymbolRecord | None, loss: Loss, findings: Findings) -> None:
    if symbol is None or not symbol.trades or symbol.trades[0].at_ms > loss.at_ms:
        return
    if not any(
        gap.opened_ms <= loss.at_ms + NOTICE_MS
        and (gap.closed_ms is None or gap.closed_ms >= loss.at_ms)
        for gap in symbol.gaps
    ):
        findings.fault(f"{loss.symbol}: lost its connection at {loss.at_ms}, no gap was open")


def _text(key: Key) -> str:
    return f"trade of {key[0]}: {key[3]} {key[2]} at {key[1]}"
