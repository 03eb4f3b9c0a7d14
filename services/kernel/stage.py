"""What a stage is: one event in, events out, its whole state as bytes."""

from typing import ClassVar, Protocol

from services.kernel.events import Event


class Stage(Protocol):
    """A deterministic state machine on the total order.

    Attributes:
        name: The service it runs in, and the producer of its events.
        topics: What it reads; it must see every event of them, in order.
    """

    name: ClassVar[str]
    topics: ClassVar[frozenset[str]]

    def handle(self, event: Event) -> list[Event]:
        """Take one event; returns what it causes, in order."""
        ...

    def snapshot(self) -> bytes:
        """Its whole state as canonical JSON; equal states give equal bytes."""
        ...

    def restore(self, snapshot: bytes) -> None:
        """Become what `snapshot` was made from."""
        ...

    def status(self) -> dict[str, object]:
        """A few figures for people, JSON-able."""
        ...
