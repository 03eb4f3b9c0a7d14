"""What a live market is: events that arrive when they arrive, at wall time."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from prometheus_client.core import Metric

from services.kernel.events import MarketData
from services.runtime.bus.encoded import Outgoing


class LiveSource(Protocol):
    """A market whose time is the wall's."""

    def begin(self, past: Sequence[MarketData], clock_ms: int) -> None:
        """Start to listen; returns at once, whether the venue answers or not.

        Args:
            past: What this run has published last, oldest first; a source uses it to tell what it
                has missed since.
            clock_ms: The last clock of this run; 0 at its beginning.
        """

    def take(self) -> list[Outgoing]:
        """What has arrived since the last time, in order.

        Raises:
            Exception: The source has failed, with its own error.
        """

    def troubles(self) -> list[str]:
        """Why the market cannot be trusted now; empty when it can."""

    def counts(self) -> dict[str, object]:
        """What was received, refused and dropped, JSON-able."""

    def figures(self) -> Iterable[Metric]:
        """The same for Prometheus."""

    def close(self) -> None:
        """Disconnect."""
