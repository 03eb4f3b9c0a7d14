"""Reads the end of a run from this service's journal, for a live market that restarts."""

from typing import Final

from services.kernel.events import (
    AnyEvent,
    Clock,
    Condition,
    MarketData,
    MarketDataKind,
    Recovered,
)
from services.kernel.events.topics import CLOCK, CONTROL, MARKET_DATA, WS
from services.kernel.market.run_watch import OpenConditions
from services.runtime.bus import journal
from services.runtime.bus.bus import Bus
from services.runtime.bus.journal import JournalTrimmed

KEEP_MS: Final = 45_000
"""The journal of our own ticks is kept for this long: REST windows are compared with it."""


class Past:
    """The end of a run so far.

    Attributes:
        ticks: Its trades, and the first tick of any kind of each symbol; oldest first.
        open: Conditions that are not over.
        clock_ms: The last clock; 0 without one.
        cut_off: Whether the bus lost what came after it, as ``recovered`` reports.
    """

    def __init__(self, run_id: str, known: OpenConditions) -> None:
        self.ticks: list[MarketData] = []
        self.clock_ms = 0
        self.cut_off = False
        self._run_id = run_id
        self.open = known.copy()
        self._seen: set[str] = set()

    @property
    def uncertain_symbols(self) -> tuple[str, ...]:
        """Symbols with an open gap."""
        return tuple(sorted(self.open.gaps))

    def add(self, event: AnyEvent) -> None:
        """Add the next event of the journal."""
        if event.run_id != self._run_id:
            return
        if isinstance(event, Recovered):
            self.cut_off, self.clock_ms = True, max(self.clock_ms, event.timestamp)
        if event.producer != WS:
            return
        self.cut_off = False
        if isinstance(event, Condition):
            self.open.note(event)
        elif isinstance(event, Clock):
            self.clock_ms = event.timestamp
        elif isinstance(event, MarketData) and (
            event.kind is MarketDataKind.TRADE or event.symbol not in self._seen
        ):
            self._seen.add(event.symbol)
            self.ticks.append(event)


def read(bus: Bus, run_id: str, known: OpenConditions, *, ticks: bool = True) -> Past:
    """The past of a run, as far back as the journal is kept.

    Args:
        bus: The bus with the journal.
        run_id: Events of other runs are left out.
        known: Open conditions as far as received before.
        ticks: Whether to read ticks. False: only the last clock and what follows it is read, which
            is
        fast.

    Raises:
        Unavailable: The bus is away.
    """
    heads = bus.heads()
    after, head = bus.cursor_of(WS).commit or 0, heads.seq
    if not ticks:
        after = max(after, heads.topic_heads[CLOCK] - 1)
    while True:
        past = Past(run_id, known)
        try:
            for event in journal.read(bus, {MARKET_DATA, CLOCK, CONTROL}, after, head):
                past.add(event)
        except JournalTrimmed as trimmed:
            after = trimmed.first - 1
        else:
            return past
