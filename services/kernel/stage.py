"""What a stage is: one event in, events out, its whole state as bytes."""

from typing import ClassVar, Protocol

from services.kernel.events import Event


class StateUnreadableError(Exception):
    """A saved state is damaged, or of another layout than this program's."""


class Restorable(Protocol):
    """What can be saved and made again."""

    def snapshot(self) -> bytes:
        """Its whole state as canonical JSON; equal states give equal bytes."""
        ...

    def restore(self, snapshot: bytes) -> None:
        """Become what `snapshot` was made from."""
        ...


class Stage(Restorable, Protocol):
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

    def status(self) -> dict[str, object]:
        """A few figures for people, JSON-able."""
        ...


def restore_exactly(owner: Restorable, snapshot: bytes) -> None:
    """Restore a state, unless something in it would be lost, or filled in with a default.

    A state is written with every field, in one order. So one that this program's layout fits gives
    the same bytes when it is saved again, and one of another layout does not: no version number has
    to be kept in step with the fields.

    Args:
        owner: What the state belongs to; after a refusal its state is undefined.
        snapshot: What `snapshot` of the same kind of owner returned, in this or another version.

    Raises:
        StateUnreadableError: It is damaged, or of another layout.
    """
    try:
        owner.restore(snapshot)
        again = owner.snapshot()
    except Exception as error:
        # Whatever a damaged state breaks, in a strategy's own code too, the answer is the same.
        raise StateUnreadableError(f"the state cannot be read: {error}") from error
    if again != snapshot:
        raise StateUnreadableError("the state was saved by a program with another layout")
