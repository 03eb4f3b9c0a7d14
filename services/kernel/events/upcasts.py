"""Older events, made into what they would be today: one step for each change of the schema.

A step is needed for what a default cannot express: a field that was renamed, split, or meant
something else. It takes the decoded JSON of an event of its version and returns that of the next.
"""

from collections.abc import Callable, Mapping
from typing import Any

from services.kernel.events import SCHEMA_VERSION

Document = dict[str, Any]
Upcast = Callable[[Document], Document]

UPCASTS: Mapping[int, Upcast] = {}
"""By the version that is left behind; pure, and complete from version 1 to the last but one."""


def upcast(document: Document) -> Document:
    """The document as the present schema has it.

    Args:
        document: Of an older version; not changed.

    Raises:
        LookupError: No step leads on from its version, or from one on the way.
    """
    for version in range(document["schema_version"], SCHEMA_VERSION):
        step = UPCASTS.get(version)
        if step is None:
            raise LookupError(f"no step leads on from schema {version}")
        document = {**step(document), "schema_version": version + 1}
    return document
