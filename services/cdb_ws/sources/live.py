"""The protocol of a live market: events at wall time."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from prometheus_client.core import Metric

from services.kernel.events import MarketData
from services.runtime.bus.encoded import Outgoing


class LiveSource(Protocol):
    """A market that runs at wall time."""

    def begin(self, past: Sequence[MarketData], clock_ms: int) -> None:
        """Start; returns at once, whether the venue answers or not.

        Args:
            past: The last published ticks of this run, oldest first, used to find what was missed
                since.
            clock_ms: The last clock of this run; 0 at its beginning.
        """

    def take(self) -> list[Outgoing]:
        """The events that have arrived since the last call, in order.

        Raises:
            Exception: The source has failed, with its own error.
        """

    def troubles(self) -> list[str]:
        """Why the market cannot be trusted now; empty if it can."""

    def counts(self) -> dict[str, object]:
        """What was received, refused and dropped, JSON-able."""

    def figures(self) -> Iterable[Metric]:
        """The same for Prometheus."""

    def close(self) -> None:
        """Disconnect."""
