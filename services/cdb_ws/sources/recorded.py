"""The protocol of a recorded market: a stream that can be read again from any place."""

from collections.abc import Iterator
from typing import Protocol

from services.kernel.events import Event
from services.kernel.instruments.contracts import Instrument

Step = tuple[int, Event]
"""An event, and the cursor after it; a restart continues after that cursor."""


class RecordedSource(Protocol):
    """A market with its own time: the same run, data and seed always give the same events.

    Attributes:
        contracts: Details of every contract in the market.
        first_timestamp: Event time of the first tick, milliseconds.
    """

    contracts: tuple[Instrument, ...]
    first_timestamp: int

    def steps(self, after: int) -> Iterator[Step]:
        """All events after the cursor ``after`` (0 is the beginning), contract details first."""

    def counts(self) -> dict[str, object]:
        """What was read and made so far, JSON-able."""

    def rows(self) -> Iterator[tuple[str, str, int]]:
        """File, outcome (``accepted`` or why skipped), and how many rows had it."""
