"""What a live market is: events that arrive when they arrive, at wall time."""

from typing import Protocol

from services.kernel.events import Event


class SourceAwayError(Exception):
    """The venue does not answer now; asking again later may help."""


class LiveSource(Protocol):
    """A market whose time is the wall's."""

    def begin(self, resume: dict[str, int]) -> list[Event]:
        """Connect; returns contract details and history, which come before anything else.

        Args:
            resume: What ``resume_state`` said when the last published event was made; empty at
                the beginning of a run.

        Raises:
            SourceAwayError: Not now; call again with back-off.
        """

    def take(self, timeout: float) -> list[Event]:
        """What has arrived, in order; waits up to ``timeout`` seconds for the first event."""

    def resume_state(self) -> dict[str, int]:
        """What ``begin`` needs to go on behind the events taken so far."""

    def troubles(self) -> list[str]:
        """Why the market cannot be trusted now; empty when it can."""

    def counts(self) -> dict[str, object]:
        """What was received, refused and dropped, JSON-able."""

    def close(self) -> None:
        """Disconnect."""
