"""Handler tables: which method handles which type of event, checked by the type checker."""

from collections.abc import Callable
from typing import Any, TypeVar

from services.kernel.events import Event

E = TypeVar("E", bound=Event)
R = TypeVar("R")

Handlers = dict[type[Event], Callable[[Any], R]]
"""By the exact type of the event."""


def on(kind: type[E], handler: Callable[[E], R]) -> tuple[type[Event], Callable[[Any], R]]:
    """One entry of a table; a handler of another type of event is refused by mypy.

    Args:
        kind: The type of event.
        handler: Called with an event of this type.
    """
    return kind, handler


def table(*entries: tuple[type[Event], Callable[[Any], R]]) -> Handlers[R]:
    """A table of entries that `on` made."""
    return dict(entries)
