"""Deals that REST told of and that a living stream may still bring."""

from collections import Counter
from collections.abc import Sequence

from services.cdb_ws.sources.mexc.deal_memory import DealMemory, counted, key_of
from services.cdb_ws.sources.mexc.messages import Deal


class AwaitedDeals:
    """What was on its way at the last comparison.

    The next window may begin later; what has not come by then would be forgotten.
    """

    def __init__(self) -> None:
        self._rows: list[tuple[Deal, int]] = []

    def keep(self, rows: Sequence[Deal], memory: DealMemory) -> None:
        """Await these, oldest first, instead of the earlier ones.

        With each goes how often it is to be known when it has come: equal deals are counted.
        """
        known = counted(memory.since(rows[0].timestamp)) if rows else Counter()
        self._rows = []
        for row in rows:
            known[key_of(row)] += 1
            self._rows.append((row, known[key_of(row)]))

    def overdue(self, until_ms: int, missing: Sequence[Deal], memory: DealMemory) -> list[Deal]:
        """Those that the present window tells no more, and that have not come.

        Args:
            until_ms: Where the window begins; it may have been cut within that millisecond.
            missing: What the window itself finds missing.
            memory: What is known; of deals it has forgotten nothing can be said.
        """
        forgotten = memory.forgotten_until
        rows = [one for one in self._rows if forgotten < one[0].timestamp <= until_ms]
        if not rows:
            return []
        known = counted(memory.since(rows[0][0].timestamp)) + counted(missing)
        return [row for row, copies in rows if known[key_of(row)] < copies]
