"""Bars: open, high, low, close and volume of equal spans of event time, closed on proof."""

from decimal import Decimal

from msgspec import Struct

GRACE_MS = 2_000
"""Time after a bar's end in which a trade of it may still come in order."""
KEPT = 16
"""Bars of one symbol that a late trade can still revise."""
_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class Bar(Struct, frozen=True, kw_only=True, gc=False):
    """One finalised bar, or a newer revision of it.

    Attributes:
        start: First millisecond of its span (Unix, UTC); the span is aligned to the epoch.
        length_ms: Length of the span.
        open, high, low, close: Prices of its trades by event time, quote per base.
        volume: Base.
        trades: How many trades it is made of.
        backfilled: How many of them came late or were fetched after an outage.
        revision: 0 when it is finalised; one more each time that late trades changed it.
        complete: False when a part of its span was not seen: before the first trade of the
            symbol, or in a gap whose trades may be lost.
    """

    symbol: str
    start: int
    length_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trades: int
    backfilled: int
    revision: int
    complete: bool

    @property
    def end(self) -> int:
        """First millisecond after its span."""
        return self.start + self.length_ms


class WorkingBar(Struct, kw_only=True):
    """A bar that trades may still change; fields as in `Bar`.

    Attributes:
        first_at, last_at: Times of the trades that ``open`` and ``close`` are of.
        final: It was closed on proof and handed out.
        changed: It was changed since it was handed out.
    """

    start: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    first_at: int
    last_at: int
    trades: int = 1
    backfilled: int = 0
    revision: int = 0
    complete: bool = True
    final: bool = False
    changed: bool = False

    def absorb(self, at: int, price: Decimal, volume: Decimal) -> None:
        """Take one more trade (Unix milliseconds, quote per base, base)."""
        self.volume += volume
        self.trades += 1
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        if at >= self.last_at:
            self.last_at, self.close = at, price
        elif at < self.first_at:
            self.first_at, self.open = at, price


class BarBuilder(Struct, kw_only=True):
    """The bars of one symbol and one length. A span without a trade has no bar.

    A bar is finalised by proof that its span is over: a live trade or a clock at or after its end
    plus the grace. While a gap is open (``held``) nothing is proven, and bars
    wait for the backfill. A trade that comes later still counts: its bar is revised, and handed
    out again at the next clock.

    Attributes:
        recent: The newest bars, by start; only finalised ones are forgotten.
        held: Whether a gap in the symbol's data is open.
        due_at: When the oldest bar that waits is over, grace included; None when none waits.
        revised: Whether a finalised bar has changed.
        too_late: Trades whose bar was forgotten already.
    """

    symbol: str
    length_ms: int
    recent: list[WorkingBar] = []
    held: bool = False
    due_at: int | None = None
    revised: bool = False
    too_late: int = 0

    def add(self, at: int, price: Decimal, volume: Decimal, backfill: bool) -> None:
        """Take a trade (Unix milliseconds, quote per base, base) of any age."""
        recent = self.recent
        if recent and 0 <= at - recent[-1].start < self.length_ms:
            bar = recent[-1]
            bar.absorb(at, price, volume)
        else:
            found = self._bar_at(at, price, volume)
            if found is None:
                self.too_late += 1
                return
            bar = found
        self._changed(bar, backfill)

    def add_volume(self, at: int, volume: Decimal, backfill: bool) -> None:
        """Take a trade whose price was voided: only the volume counts, in the bar of its time."""
        for bar in self.recent:
            if 0 <= at - bar.start < self.length_ms:
                bar.volume += volume
                bar.trades += 1
                self._changed(bar, backfill)

    def close(self, now: int, unconfirmed_at: int | None = None) -> list[Bar]:
        """What is proven to be over at ``now`` (Unix milliseconds), oldest first, each once.

        Args:
            now: Unix milliseconds.
            unconfirmed_at: Time of a trade that may still become part of its bar, or not.
        """
        if self.due_at is None or now < self.due_at:
            return []
        closed: list[Bar] = []
        self.due_at = None
        waits_from = len(self.recent) - KEPT if self.held else 0
        for index, bar in enumerate(self.recent):
            if bar.final:
                continue
            end = bar.start + self.length_ms
            due = end + GRACE_MS
            waits = unconfirmed_at is not None and end > unconfirmed_at
            if now < due or waits or (self.held and index >= waits_from):
                self.due_at = due
                break
            bar.final = True
            bar.complete = bar.complete and not self.held
            closed.append(self._hand_out(bar))
        self._forget()
        return closed

    def revisions(self) -> list[Bar]:
        """The finalised bars that changed since they were handed out, oldest first."""
        if not self.revised or self.held:
            return []
        self.revised = False
        changed = [bar for bar in self.recent if bar.changed]
        for bar in changed:
            bar.changed = False
            bar.revision += 1
        return [self._hand_out(bar) for bar in changed]

    def lose(self, lost_from: int, lost_to: int) -> None:
        """Trades between two times (Unix milliseconds, inclusive) may be missing for good."""
        for bar in self.recent:
            if bar.start <= lost_to and lost_from < bar.start + self.length_ms and bar.complete:
                bar.complete = False
                if bar.final:
                    bar.changed = self.revised = True

    def _changed(self, bar: WorkingBar, backfill: bool) -> None:
        if backfill:
            bar.backfilled += 1
        if bar.final:
            bar.changed = self.revised = True

    def _bar_at(self, at: int, price: Decimal, volume: Decimal) -> WorkingBar | None:
        """The bar of this time, with the trade in it; None when it is too old to be known."""
        recent = self.recent
        start = at - at % self.length_ms
        index = len(recent)
        while index and recent[index - 1].start >= start:
            index -= 1
        if index < len(recent) and recent[index].start == start:
            recent[index].absorb(at, price, volume)
            return recent[index]
        if index == 0 and len(recent) >= KEPT:
            return None
        bar = WorkingBar(
            start=start, open=price, high=price, low=price, close=price, volume=volume,
            first_at=at, last_at=at,
        )  # fmt: skip
        if index == 0:  # what came before the symbol's first trade is not known
            bar.complete = at == start
        recent.insert(index, bar)
        due = start + self.length_ms + GRACE_MS
        if self.due_at is None or due < self.due_at:
            self.due_at = due
        return bar

    def _forget(self) -> None:
        recent = self.recent
        surplus = 0
        while len(recent) - surplus > KEPT and recent[surplus].final:
            surplus += 1
        del recent[:surplus]

    def _hand_out(self, bar: WorkingBar) -> Bar:
        return Bar(
            symbol=self.symbol,
            start=bar.start,
            length_ms=self.length_ms,
            open=bar.open,
            high=bar.high,
            low=bar.low,
            close=bar.close,
            volume=bar.volume,
            trades=bar.trades,
            backfilled=bar.backfilled,
            revision=bar.revision,
            complete=bar.complete,
        )


def interval_ms(interval: str) -> int:
    """Length of a bar in milliseconds.

    Args:
        interval: A whole number and a unit: ``s``, ``m``, ``h`` or ``d``; for instance ``5m``.

    Raises:
        ValueError: It is not that, or not above zero.
    """
    number, unit = interval[:-1], interval[-1:]
    if not (number.isascii() and number.isdigit() and unit in _UNITS_MS and int(number)):
        raise ValueError(f"INTERVAL={interval!r} is no length of a bar; use 1m, 5m, 1h or 1d")
    return int(number) * _UNITS_MS[unit]
