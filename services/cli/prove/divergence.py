"""A divergence as a person reads it: the row, its cause, and both versions line by line."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from services.explain import narration
from services.explain.two_versions import compared
from services.kernel.events import AnyEvent
from services.kernel.events.codec import decode
from services.proof.verification.comparison import Kind

SHOWN_FIELDS = 12


def divergence_lines(first: Mapping[str, Any]) -> list[str]:
    """The lines.

    Args:
        first: ``first_divergence`` of a report.
    """
    cause, recorded = _event(first["cause"]), _event(first["recorded"])
    lines = [f"{first['kind']}: {_meaning(first, cause)}", f"event {first['event_id']}"]
    if first["kind"] == Kind.MISPLACED and recorded is not None:
        return [*lines, narration.figures_of(recorded)[0]]  # as it was, in another place
    if cause is not None:
        title = narration.figures_of(cause)[0]
        lines.append(f"caused by {title} ({cause.event_id} at seq {cause.seq})")
    lines += _fields(first["differences"])
    lines.append("- recorded, + re-executed (the whole documents: --json)")
    return lines + compared(recorded, _event(first["reexecuted"]))


def _fields(differences: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of the fields that differ, and both values."""
    if not differences:
        return []
    shown = differences[:SHOWN_FIELDS]
    width = max(len(row["field"]) for row in shown)
    lines = ["fields that differ:"]
    for row in shown:
        both = f"recorded {_value(row['recorded'])}, re-executed {_value(row['reexecuted'])}"
        lines.append(f"  {row['field']:<{width}}  {both}")
    if len(differences) > len(shown):
        lines.append(f"  and {len(differences) - len(shown)} more")
    return lines


def _meaning(first: Mapping[str, Any], cause: AnyEvent | None) -> str:
    stage, row = first["stage"], f"row {first['seq']}"
    if first["kind"] == Kind.DIFFERS:
        return f"{row} is not what {stage} decides"
    if first["kind"] == Kind.NOT_MADE:
        return f"{row} is recorded, and {stage} does not make it"
    if first["kind"] == Kind.MISPLACED:
        return f"{row} stands behind row {first['behind']}: rows were moved"
    behind = f", behind row {cause.seq}" if cause is not None else ""
    return f"{stage} makes an event that the record should have{behind}"


def _event(document: Mapping[str, Any] | None) -> AnyEvent | None:
    return None if document is None else decode(json.dumps(document).encode())


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
