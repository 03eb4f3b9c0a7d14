"""Older events, made into what they would be today: one step for each change of the schema.

A step is needed for what a default cannot express: a field that was renamed, split, or meant
something else. It takes the decoded JSON of an event of its version and returns that of the next.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from services.kernel.events import SCHEMA_VERSION

Document = dict[str, Any]
Upcast = Callable[[Document], Document]

RENAMED_REASONS: Final = {
    "ALREADY_SEEN": "DUPLICATE_ORDER",
    "DOUBT_CLEARED": "CONDITION_CLEARED",
    "IN_DOUBT": "CONDITION_OPEN",
    "WOULD_TAKE": "POST_ONLY_WOULD_CROSS",
}


def _rename_reasons(document: Document) -> Document:
    """Schema 2 has other names for four reasons: of a decision, a result, a state, an alert."""
    renamed = dict(document)
    for name in ("reason", "context"):
        if name in document:
            renamed[name] = _with_new_reason(document[name])
    if "changes" in document:
        renamed["changes"] = [
            {**change, "reason": _with_new_reason(change["reason"])}
            for change in document["changes"]
        ]
    return renamed


def _with_new_reason(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_new_reason(word) for name, word in value.items()}
    return RENAMED_REASONS.get(value, value)


UPCASTS: Mapping[int, Upcast] = {1: _rename_reasons}
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
