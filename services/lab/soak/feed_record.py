"""A soak run as seen from outside: trades made and left out, REST answers, published events."""

from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from services.kernel.events import (
    Condition,
    ConditionName,
    ConditionPhase,
    Event,
    MarketData,
    MarketDataKind,
    Side,
)

MADE_UP: Final = ":synthetic"
"""End of the source of ticks that are made from bars: no trades."""

MOST_FAULTS: Final = 20
"""Of one run; one defect breaks thousands of trades."""

NEVER: Final = 1 << 62

Key = tuple[int, Decimal, Decimal, Side]
"""Time, price, base quantity and side: all fields of a trade without an id."""


class Made(Struct, frozen=True):
    """A trade that the exchange made, in the order of making.

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
    """The client learned that a connection ended which brought a symbol's trades."""

    at_ms: int
    symbol: str


class RestAnswer(Struct, frozen=True):
    """An answer of REST with a symbol's newest trades.

    Attributes:
        asked_ms: When the client asked.
        at_ms: When it had the answer.
        oldest_ms: Time of the oldest trade in it.
        newest_ms: Time of the newest.
    """

    symbol: str
    asked_ms: int
    at_ms: int
    oldest_ms: int
    newest_ms: int


class Record(Struct):
    """One run.

    Attributes:
        made: Every trade that the exchange made, in order.
        published: Every event of the engine, in order, until the end of the run.
        losses: Every end of a connection that the client learned of.
        dead: Periods in which the engine was killed; a new engine repeats the open gaps.
        rest_away: Periods without answers of REST: missed trades cannot be noticed then.
        left_out: Trades that a running stream did not bring, as counted by the exchange.
        answers: The REST answers, in the order of their arrival.
    """

    made: Sequence[Made] = ()
    published: Sequence[Published] = ()
    losses: Sequence[Loss] = ()
    dead: Sequence[tuple[int, int]] = ()
    rest_away: Sequence[tuple[int, int]] = ()
    left_out: Sequence[Made] = ()
    answers: Sequence[RestAnswer] = ()

    @property
    def restarts(self) -> list[int]:
        """When the engine was restarted."""
        return [again for _, again in self.dead]


class Findings(Struct):
    """The result of a run.

    Attributes:
        sent: Trades that the promise covers.
        received: Of these, those that were published.
        in_gaps: Of these, those that were not, and lie in a lost span.
        doubled: Trades published more often than they were made, and trades never made.
        backfilled: Trades published as backfill.
        gaps: Gaps that were reported.
        faults: Violations of the promise, in words; empty if there is none.
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


class Gap(Struct):
    """One ``DATA_GAP`` of one symbol; ``closed_ms`` is None while it is open.

    Attributes:
        closed_place: Its end's place among all events.
    """

    opened_ms: int
    closed_ms: int | None = None
    closed_place: int = NEVER


class Trade(Struct, frozen=True):
    """A published trade.

    Attributes:
        tick: With the time that the venue gave.
        place: Its place among all events.
        in_gap: The gap that was open then.
        in_offset: Whether ``CLOCK_OFFSET`` was open.
        retimed_ms: The time with which it was published; None where that is the venue's.
    """

    at_ms: int
    place: int
    tick: MarketData
    in_gap: Gap | None
    in_offset: bool = False
    retimed_ms: int | None = None

    @property
    def key(self) -> Key:
        """What it is matched by."""
        tick = self.tick
        assert tick.price is not None
        assert tick.volume is not None
        assert tick.side is not None
        return tick.timestamp, tick.price, tick.volume, tick.side


class LostSpan(Struct, frozen=True):
    """A span that a gap reported as lost, inclusive; ``place`` as of a trade.

    Attributes:
        loose: Whether trades inside it had been published.
    """

    lost_from: int
    lost_to: int
    at_ms: int
    place: int
    loose: bool


class SymbolRecord:
    """What was made and published of one symbol, in order.

    Attributes:
        made: Its trades, oldest first.
        left_out: Those that a running stream did not bring, by place in ``made``.
        answers: Its REST answers.
    """

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.made: list[Made] = []
        self.left_out: set[int] = set()
        self.answers: list[RestAnswer] = []
        self.trades: list[Trade] = []
        self.gaps: list[Gap] = []
        self.spans: list[LostSpan] = []

    @property
    def open_gap(self) -> Gap | None:
        """The gap that is open at the end of what was read."""
        return self.gaps[-1] if self.gaps and self.gaps[-1].closed_ms is None else None


class Accounts:
    """Of each trade made, when and how it was accounted for.

    Attributes:
        times: The trades' times, which never go back.
        published: The trade that published each; None for one that never was.
        places: From which event on each was published or named as lost; ``NEVER`` without.
        at_ms: The same as time.
        number_of: Of each trade's place, which trade it published.
    """

    def __init__(self, symbol: SymbolRecord) -> None:
        self.times = [made.timestamp for made in symbol.made]
        self.published: list[Trade | None] = [None] * len(symbol.made)
        self.places = [NEVER] * len(symbol.made)
        self.at_ms = [NEVER] * len(symbol.made)
        self.number_of: dict[int, int] = {}
        left: dict[Key, deque[int]] = defaultdict(deque)
        for number, made in enumerate(symbol.made):
            left[made.key].append(number)
        for trade in symbol.trades:
            if left[trade.key]:
                number = left[trade.key].popleft()
                self.published[number] = trade
                self.places[number], self.at_ms[number] = trade.place, trade.at_ms
                self.number_of[trade.place] = number
        for span in symbol.spans:
            for number in self.between(span.lost_from, span.lost_to):
                self.places[number] = min(self.places[number], span.place)
                self.at_ms[number] = min(self.at_ms[number], span.at_ms)

    def between(self, start_ms: int, end_ms: int) -> range:
        """The trades of a period, inclusive."""
        return range(bisect_left(self.times, start_ms), bisect_right(self.times, end_ms))

    def was_published(self, number: int, by_ms: int) -> bool:
        """Whether a trade was published until a time, inclusive."""
        trade = self.published[number]
        return trade is not None and trade.at_ms <= by_ms


def read(record: Record, findings: Findings) -> dict[str, SymbolRecord]:
    """Sort a run by symbols; what no order of events allows is a fault."""
    symbols: dict[str, SymbolRecord] = {}
    for made in record.made:
        symbols.setdefault(made.symbol, SymbolRecord(made.symbol)).made.append(made)
    left_out = {(made.symbol, made.key) for made in record.left_out}
    for symbol in symbols.values():
        symbol.left_out = {
            number for number, made in enumerate(symbol.made) if (made.symbol, made.key) in left_out
        }
    for answers in record.answers:
        symbols[answers.symbol].answers.append(answers)
    offsets: set[str | None] = set()
    for place, item in enumerate(record.published):
        event = item.event
        if isinstance(event, Condition) and event.name is ConditionName.CLOCK_OFFSET:
            began = event.phase is ConditionPhase.BEGAN
            (offsets.add if began else offsets.discard)(event.symbol)
        elif isinstance(event, Condition) and event.name is ConditionName.DATA_GAP:
            concerned: Iterable[str] = symbols if event.symbol is None else [event.symbol]
            for name in concerned:
                _read_condition(symbols[name], item.at_ms, place, event, record, findings)
        elif isinstance(event, MarketData):
            in_offset = not offsets.isdisjoint({None, event.symbol})
            _read_tick(symbols[event.symbol], item, place, findings, in_offset=in_offset)
    for open_offset in offsets:
        findings.fault(f"{open_offset or 'all symbols'}: CLOCK_OFFSET began and never cleared")
    return symbols


def _read_tick(
    symbol: SymbolRecord, item: Published, place: int, findings: Findings, *, in_offset: bool
) -> None:
    tick = item.event
    assert isinstance(tick, MarketData)
    if tick.kind is MarketDataKind.TRADE and not tick.source.endswith(MADE_UP):
        retimed_ms: int | None = None
        if tick.venue_time is not None:
            retimed_ms, tick = tick.timestamp, replace(tick, timestamp=tick.venue_time)
        gap = symbol.open_gap
        symbol.trades.append(Trade(item.at_ms, place, tick, gap, in_offset, retimed_ms))
    elif tick.bid is not None and tick.ask is not None and tick.bid >= tick.ask:
        findings.fault(f"{tick.symbol}: a crossed book {tick.bid} {tick.ask}")


def _read_condition(
    symbol: SymbolRecord,
    at_ms: int,
    place: int,
    event: Condition,
    record: Record,
    findings: Findings,
) -> None:
    gap, name = symbol.open_gap, symbol.symbol
    if event.phase is ConditionPhase.CLEARED:
        if gap is None:
            findings.fault(f"{name}: a gap cleared at {at_ms} that had not begun")
        else:
            gap.closed_ms, gap.closed_place = at_ms, place
    elif gap is None:
        symbol.gaps.append(Gap(at_ms))
    elif event.lost_from is None and not any(
        gap.opened_ms <= restart <= at_ms for restart in record.restarts
    ):
        findings.fault(f"{name}: a gap began at {at_ms} inside another")
    if event.lost_from is None and event.lost_to is None:
        return
    if event.lost_from is None or event.lost_to is None or event.lost_from > event.lost_to:
        findings.fault(f"{name}: no span: {event.lost_from} to {event.lost_to}")
        return
    loose = any(event.lost_from < one.tick.timestamp < event.lost_to for one in symbol.trades)
    symbol.spans.append(LostSpan(event.lost_from, event.lost_to, at_ms, place, loose))
