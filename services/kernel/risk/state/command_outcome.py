"""What an operator's command did: kept, so that a repetition gets the same answer."""

from msgspec import Struct

from services.kernel.events import StateChange


class CommandOutcome(Struct, frozen=True, kw_only=True):
    """What a command did.

    Attributes:
        command: ``halt``, ``reset``, ``pause`` or ``resume``.
    """

    command: str
    changes: tuple[StateChange, ...]
