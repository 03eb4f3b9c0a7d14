"""Deals that came after a loss and wait until the hole before them is filled."""

from collections.abc import Collection, Sequence
from typing import Final

from services.cdb_ws.trades.dedup_window import DealMemory, counted, key_of
from services.cdb_ws.trades.rest_window import RestWindow, Span
from services.venues.mexc.messages import Deal

HOLD_MS: Final = 10_000
"""Held deals wait at most so long for REST."""

MOST_HELD: Final = 5_000
"""More held deals than this do not wait at all."""


def order_of(deal: Deal) -> tuple[int, int]:
    """What deals are sorted by: time, then the venue's id."""
    return deal.timestamp, -1 if deal.trade_id is None else deal.trade_id


class Stretch:
    """Held deals between a resumption and the next loss: nothing is missing after the first.

    The first is the one that came first: an older one that comes later may be a repetition of what
    was pushed before the stream ran, and proves nothing about those between. First and newest stay
    what they are when deals are taken out as known already.
    """

    def __init__(self) -> None:
        self.deals: list[Deal] = []
        self.first: Deal | None = None
        self.newest_ms = -1
        self.held_since = -1

    def hold(self, deal: Deal, now_ms: int) -> None:
        """Add a deal that came at ``now_ms``."""
        if self.first is None:
            self.first, self.held_since = deal, now_ms
        self.newest_ms = max(self.newest_ms, deal.timestamp)
        self.deals.append(deal)


class HeldDeals:
    """The stretches since the last deal that was published, in the order in which they came.

    Attributes:
        overtaken: Whether a frame came behind one with younger deals.
    """

    def __init__(self) -> None:
        self.overtaken = False
        self._stretches: list[Stretch] = []
        self._runs = False
        self._ids: set[int] = set()

    def begin(self) -> None:
        """The stream runs: what is held now has no hole in it until ``end``."""
        if not self._runs:
            self._runs = True
            self._stretches.append(Stretch())

    def end(self) -> None:
        """The stream has ended: what is held next is another stretch."""
        self._runs = False
        self._stretches = self._spoken()

    def hold(self, deals: Sequence[Deal], now_ms: int, published: Collection[int]) -> int:
        """Hold the deals of one frame; returns how many of them were known already.

        Args:
            deals: Sorted by time and id.
            now_ms: Wall time.
            published: Ids of the deals that were published.
        """
        self.begin()
        stretch = self._stretches[-1]
        newest_ms = stretch.newest_ms
        anonymous = counted(deal for deal in stretch.deals if deal.trade_id is None)
        again = 0
        for deal in deals:
            if deal.trade_id is None:
                key = key_of(deal)
                known = anonymous[key] > 0
                anonymous[key] -= known
            else:
                known = deal.trade_id in self._ids or deal.trade_id in published
                self._ids.add(deal.trade_id)
            if known:
                again += 1
            else:
                stretch.hold(deal, now_ms)
                self.overtaken = self.overtaken or deal.timestamp < newest_ms
        return again

    def current(self) -> Stretch | None:
        """What the stream that runs now has brought; None when nothing yet."""
        runs = self._runs and self._stretches[-1].first is not None
        return self._stretches[-1] if runs else None

    def beginning(self) -> int | None:
        """Time of the oldest deal; None without any."""
        firsts = (stretch.first for stretch in self._stretches)
        return min((first.timestamp for first in firsts if first), default=None)

    def newest_ms(self) -> int:
        """Time of the newest deal; -1 without any."""
        return max((stretch.newest_ms for stretch in self._stretches), default=-1)

    def deals(self) -> list[Deal]:
        """All that is held."""
        return [deal for stretch in self._stretches for deal in stretch.deals]

    def overdue(self, now_ms: int) -> bool:
        """Whether they have waited too long, or are too many to wait."""
        spoken = self._spoken()
        if not spoken:
            return False
        waited = now_ms - spoken[0].held_since
        return waited >= HOLD_MS or sum(len(stretch.deals) for stretch in spoken) > MOST_HELD

    def drop_known(self, memory: DealMemory) -> int:
        """Take out what was published already; returns how many."""
        anonymous = memory.anonymous.copy()
        before = len(self.deals())
        for stretch in self._stretches:
            kept: list[Deal] = []
            for deal in stretch.deals:
                if deal.trade_id is not None:
                    known = deal.trade_id in memory.ids or memory.claim(deal)
                else:
                    key = key_of(deal)
                    known = anonymous[key] > 0
                    anonymous[key] -= known
                if not known:
                    kept.append(deal)
            stretch.deals = kept
        return before - len(self.deals())

    def lost(
        self, end_ms: int | None, window: RestWindow, *, joined: bool, slack_ms: int = 0
    ) -> list[Span]:
        """The holes before, between and behind the stretches that a window leaves open.

        Args:
            end_ms: Time of the last deal published; None when there is none.
            window: REST's rows; without any every hole is open.
            joined: Whether the present stream's beginning counts as the end of the hole before it;
                otherwise a later window may still close that.
            slack_ms: So much before its end a stretch may already miss deals that were overtaken.
        """
        current = self.current()
        spans: list[Span] = []
        for stretch in self._stretches:
            if stretch.first is not None and (joined or stretch is not current):
                if end_ms is not None:
                    spans += window.uncovered(end_ms, stretch.first)
                end_ms = max(stretch.newest_ms - slack_ms, -1 if end_ms is None else end_ms)
        if end_ms is not None and not (joined and current):
            spans += window.uncovered(end_ms, None)
        return spans

    def release(self, *, with_current: bool) -> tuple[list[Deal], list[Deal]]:
        """Let go of the deals of earlier streams, and of the present one's if asked to."""
        current = self.current()
        earlier = [
            d for stretch in self._stretches if stretch is not current for d in stretch.deals
        ]
        present = current.deals if current is not None and with_current else []
        if with_current:
            self._stretches, self._runs, self.overtaken = [], False, False
            self._ids.clear()
        else:
            self._stretches = self._stretches[-1:] if self._runs else []
        return earlier, present

    def _spoken(self) -> list[Stretch]:
        return [stretch for stretch in self._stretches if stretch.first is not None]
