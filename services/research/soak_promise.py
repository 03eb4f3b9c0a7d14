"""The feed's promise, checked from outside: what was made against what was published.

Of every symbol, each deal that the exchange made after the first one received was received once, in
order, or lies in a lost span that a ``DATA_GAP`` names. Deals are matched by time, price, quantity
and side, with counts; nothing is read from the engine but the events it published.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct

from services.kernel.events import (
    Condition,
    ConditionName,
    ConditionPhase,
    Event,
    MarketData,
    MarketDataKind,
    Side,
)

STALE_MS: Final = 60_000
"""Older than this, a tick that is not marked as backfilled is refused by every stage."""

DOUBT_MS: Final = 90_000
"""So long after a deal was made it has been published, or its symbol's gap has been reported."""

LEAK_MS: Final = 60_000
"""A stream that leaves out some deals and brings others is found out by comparing it with REST now
and then. What lies between two comparisons that do not meet is in doubt: at most so much, and as
long as REST does not answer."""

NOTICE_MS: Final = 1_000
"""From the loss of a connection, as the client sees it, to the gap of each of its symbols."""

LIVE: Final = "mexc"
MADE_UP: Final = ":synthetic"
"""End of the source of ticks that are made from bars: no deals."""

MOST_FAULTS: Final = 20
"""Of one run; one defect breaks thousands of deals."""

Key = tuple[int, Decimal, Decimal, Side]
"""Time, price, base quantity and side: all that a deal without id is known by."""


class Made(Struct, frozen=True):
    """A deal that the exchange made, in the order of making.

    Attributes:
        quantity: In units of the base currency.
    """

    symbol: str
    timestamp: int
    price: Decimal
    quantity: Decimal
    side: Side

    @property
    def key(self) -> Key:
        """What it is matched by."""
        return self.timestamp, self.price, self.quantity, self.side


class Published(Struct, frozen=True):
    """An event, and when it was published.

    Attributes:
        at_ms: Wall time of the client.
    """

    at_ms: int
    event: Event


class Loss(Struct, frozen=True):
    """The client was told that a connection ended on which a symbol's deals came."""

    at_ms: int
    symbol: str


class Findings(Struct):
    """What a run gave.

    Attributes:
        sent: Deals that the promise covers.
        received: Of these, those that were published.
        in_gaps: Of these, those that were not, and lie in a lost span.
        doubled: Deals published more often than they were made, and deals never made.
        backfilled: Deals published with the mark.
        gaps: Gaps that were reported.
        faults: How the promise was broken, in words; empty when it was held.
    """

    sent: int = 0
    received: int = 0
    in_gaps: int = 0
    doubled: int = 0
    backfilled: int = 0
    gaps: int = 0
    faults: list[str] = []

    def fault(self, text: str) -> None:
        """Note a breach."""
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(text)


class _Gap(Struct):
    """One ``DATA_GAP`` of one symbol; ``closed_ms`` is None while it is open."""

    opened_ms: int
    closed_ms: int | None = None


class _Trade(Struct, frozen=True):
    at_ms: int
    tick: MarketData
    in_gap: _Gap | None

    @property
    def key(self) -> Key:
        tick = self.tick
        assert tick.price is not None
        assert tick.volume is not None
        assert tick.side is not None
        return tick.timestamp, tick.price, tick.volume, tick.side


class _Symbol:
    """What was published of one symbol, in order."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.trades: list[_Trade] = []
        self.gaps: list[_Gap] = []
        self.spans: list[tuple[int, int]] = []
        self.leaks: list[tuple[int, int, int]] = []
        """Spans inside which deals were received, and how many trades were published before."""

    @property
    def open_gap(self) -> _Gap | None:
        return self.gaps[-1] if self.gaps and self.gaps[-1].closed_ms is None else None


def check(
    made: Iterable[Made],
    published: Sequence[Published],
    losses: Sequence[Loss] = (),
    restarts: Sequence[int] = (),
    rest_away: Sequence[tuple[int, int]] = (),
) -> Findings:
    """Hold a run to the promise.

    Args:
        made: Every deal that the exchange made, in its order.
        published: Every event of the engine, in its order, until all was quiet again.
        losses: Every end of a connection that the client was told of.
        restarts: When the engine was started again; it then repeats what is still in doubt.
        rest_away: From when to when REST did not answer: what a living stream leaves out cannot be
            noticed then.
    """
    findings = Findings()
    by_symbol: dict[str, list[Made]] = defaultdict(list)
    for deal in made:
        by_symbol[deal.symbol].append(deal)
    symbols = _read(by_symbol, published, restarts, findings)
    for name, symbol in symbols.items():
        _check_deals(symbol, by_symbol[name], rest_away, findings)
        _check_tight(symbol, by_symbol[name], rest_away, findings)
        _check_order(symbol, findings)
        _check_marks(symbol, findings)
        if symbol.open_gap is not None:
            findings.fault(f"{name}: a gap began at {symbol.open_gap.opened_ms} and never cleared")
        findings.gaps += len(symbol.gaps)
    for loss in losses:
        _check_loss(symbols.get(loss.symbol), loss, findings)
    return findings


def _read(
    names: Iterable[str],
    published: Sequence[Published],
    restarts: Sequence[int],
    findings: Findings,
) -> dict[str, _Symbol]:
    symbols = {name: _Symbol(name) for name in names}
    for item in published:
        event = item.event
        if isinstance(event, Condition) and event.name is ConditionName.DATA_GAP:
            concerned = symbols if event.symbol is None else [event.symbol]
            for name in concerned:
                _read_condition(symbols[name], item, event, restarts, findings)
        elif isinstance(event, MarketData):
            if event.kind is MarketDataKind.TRADE and not event.source.endswith(MADE_UP):
                symbol = symbols[event.symbol]
                trade = _Trade(item.at_ms, event, symbol.open_gap)
                symbol.trades.append(trade)
            elif event.bid is not None and event.ask is not None and event.bid >= event.ask:
                findings.fault(f"{event.symbol}: a crossed book {event.bid} {event.ask}")
    return symbols


def _read_condition(
    symbol: _Symbol,
    item: Published,
    event: Condition,
    restarts: Sequence[int],
    findings: Findings,
) -> None:
    gap = symbol.open_gap
    if event.phase is ConditionPhase.BEGAN:
        if gap is None:
            symbol.gaps.append(_Gap(item.at_ms))
        elif not any(gap.opened_ms <= restart <= item.at_ms for restart in restarts):
            findings.fault(f"{symbol.symbol}: a gap began at {item.at_ms} inside another")
        return
    if gap is None:
        findings.fault(f"{symbol.symbol}: a gap cleared at {item.at_ms} that had not begun")
    else:
        gap.closed_ms = item.at_ms
    if event.lost_from is None and event.lost_to is None:
        return
    if event.lost_from is None or event.lost_to is None or event.lost_from > event.lost_to:
        findings.fault(f"{symbol.symbol}: no span: {event.lost_from} to {event.lost_to}")
        return
    symbol.spans.append((event.lost_from, event.lost_to))
    for trade in symbol.trades:
        if event.lost_from < trade.tick.timestamp < event.lost_to:
            symbol.leaks.append((event.lost_from, event.lost_to, len(symbol.trades)))
            break


def _check_tight(
    symbol: _Symbol,
    made: Sequence[Made],
    rest_away: Sequence[tuple[int, int]],
    findings: Findings,
) -> None:
    """Bounds are tight when no deal that was published before lies between them.

    Where one does, the stream must have leaked close by: it had left deals out, or brought them by
    REST only.
    """
    for lost_from, lost_to, count in symbol.leaks:
        start, end = lost_from - LEAK_MS, lost_to + LEAK_MS
        left = Counter(deal.key for deal in made if start <= deal.timestamp <= end)
        live = (trade.key for trade in symbol.trades[:count] if not trade.tick.backfill)
        left.subtract(key for key in live if key in left)
        length = lost_to - lost_from - _overlap(lost_from, lost_to, rest_away)
        if length > LEAK_MS or not any(number > 0 for number in left.values()):
            findings.fault(
                f"{symbol.symbol}: lost span {lost_from} to {lost_to} is too wide: deals inside it"
                " were received"
            )


def _overlap(start: int, end: int, others: Sequence[tuple[int, int]]) -> int:
    """At most so much of a stretch lies in others."""
    return sum(max(0, min(end, until) - max(start, since)) for since, until in others)


def _check_deals(
    symbol: _Symbol,
    made: Sequence[Made],
    rest_away: Sequence[tuple[int, int]],
    findings: Findings,
) -> None:
    if not symbol.trades:
        return
    first = symbol.trades[0].tick.timestamp
    all_made = Counter(deal.key for deal in made)
    published_at: dict[Key, list[_Trade]] = defaultdict(list)
    for trade in symbol.trades:
        seen = published_at[trade.key]
        seen.append(trade)
        if len(seen) > all_made[trade.key]:
            findings.doubled += 1
            what = "doubled" if all_made[trade.key] else "never made"
            findings.fault(f"{symbol.symbol}: {what}: {_text(trade.key)}, {trade.tick.source}")
    for key, count in all_made.items():
        if key[0] <= first and key not in published_at:
            continue  # the promise begins with the first deal received
        received = min(count, len(published_at[key]))
        findings.sent += count
        findings.received += received
        missing = count - received
        if missing and key[0] > first:
            if any(start <= key[0] <= end for start, end in symbol.spans):
                findings.in_gaps += missing
            else:
                findings.fault(f"{symbol.symbol}: missing without a gap: {_text(key)} x{missing}")
        elif missing:
            findings.sent -= missing
        limit = _noticed_by(key[0], rest_away)
        if missing or any(trade.at_ms > limit for trade in published_at[key]):
            _check_doubt(symbol, key, limit, findings)


def _noticed_by(at_ms: int, rest_away: Sequence[tuple[int, int]]) -> int:
    """Until when it must be noticed that a deal has not come."""
    limit = at_ms + DOUBT_MS
    for start, end in sorted(rest_away):
        if start <= limit and end >= at_ms:
            limit = max(limit, end + DOUBT_MS)
    return limit


def _check_doubt(symbol: _Symbol, key: Key, limit: int, findings: Findings) -> None:
    """A deal that comes late or never: its symbol's gap is open before the limit."""
    if not any(
        gap.opened_ms <= limit and (gap.closed_ms is None or gap.closed_ms >= key[0])
        for gap in symbol.gaps
    ):
        findings.fault(f"{symbol.symbol}: no gap was open while {_text(key)} was in doubt")


def _check_order(symbol: _Symbol, findings: Findings) -> None:
    """Deals that are not marked as backfilled never go back."""
    newest: tuple[int, int] = (0, 0)
    for trade in symbol.trades:
        tick = trade.tick
        if tick.backfill:
            findings.backfilled += 1
            continue
        at = tick.timestamp, int(tick.trade_id or 0)
        if at[0] < newest[0] or (at < newest and at[1] and newest[1]):
            findings.fault(f"{symbol.symbol}: live deal {at} after {newest}, not marked")
        newest = max(newest, at)


def _check_marks(symbol: _Symbol, findings: Findings) -> None:
    """Backfilled deals are marked, and a live deal is held back while its symbol is in doubt."""
    for trade in symbol.trades:
        tick = trade.tick
        if tick.backfill == (tick.source == LIVE):
            findings.fault(f"{symbol.symbol}: backfill={tick.backfill} from {tick.source}")
        if tick.backfill:
            continue
        if trade.at_ms - tick.timestamp > STALE_MS:
            age = trade.at_ms - tick.timestamp
            findings.fault(f"{symbol.symbol}: a live deal {age} ms old, not marked")
        if trade.in_gap is not None and trade.in_gap.closed_ms != trade.at_ms:
            findings.fault(
                f"{symbol.symbol}: a live deal of {tick.timestamp} at {trade.at_ms}, while the gap"
                f" of {trade.in_gap.opened_ms} was open"
            )


def _check_loss(symbol: _Symbol | None, loss: Loss, findings: Findings) -> None:
    if symbol is None or not symbol.trades or symbol.trades[0].at_ms > loss.at_ms:
        return
    if not any(
        gap.opened_ms <= loss.at_ms + NOTICE_MS
        and (gap.closed_ms is None or gap.closed_ms >= loss.at_ms)
        for gap in symbol.gaps
    ):
        findings.fault(f"{loss.symbol}: lost its connection at {loss.at_ms}, no gap was open")


def _text(key: Key) -> str:
    return f"deal of {key[0]}: {key[3]} {key[2]} at {key[1]}"


def missing_deals(
    made: Iterable[Made], published: Sequence[Published]
) -> Iterator[tuple[Made, bool]]:
    """Each deal made, and whether it was published; for a trace."""
    left = Counter(
        (tick.symbol, tick.timestamp, tick.price, tick.volume, tick.side)
        for tick in (item.event for item in published)
        if isinstance(tick, MarketData) and tick.kind is MarketDataKind.TRADE
    )
    for deal in made:
        key = (deal.symbol, *deal.key)
        left[key] -= 1
        yield deal, left[key] >= 0
