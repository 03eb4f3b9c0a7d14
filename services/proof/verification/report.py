"""What a verification found, as JSON and as text that a person can check."""

from collections.abc import Iterator
from typing import Any

import msgspec

from services.proof.verification.comparison import Divergence
from services.proof.verification.reexecution import Reexecuted
from services.record.reading import Record, Span


def to_json(found: Reexecuted, record: Record, span: Span) -> dict[str, Any]:
    """The figures, and the first divergence with the input that caused it.

    Args:
        found: What re-executing showed.
        record: Where the cause is looked up.
        span: The part that was re-executed.
    """
    comparison = found.comparison
    return {
        "events": found.events,
        "decisions": sum(comparison.compared.values()),
        "decisions_by_stage": dict(sorted(comparison.compared.items())),
        "divergences": comparison.divergences,
        "first_divergence": _divergence(comparison.first, record, span),
        "pending": found.pending,
        "lost_and_named": comparison.excused,
        "missing": found.missing,
        "first_missing": msgspec.to_builtins(found.first_hole),
        "runs": dict(found.runs),
        "last_seq": found.last_seq,
    }


def _divergence(first: Divergence | None, record: Record, span: Span) -> dict[str, Any] | None:
    if first is None:
        return None
    return {
        "kind": str(first.kind),
        "stage": first.stage,
        "event_id": first.event_id,
        "seq": first.seq,
        "behind": first.behind,
        "fields": differing_fields(first),
        "differences": [
            {"field": name, "recorded": recorded, "reexecuted": made}
            for name, recorded, made in _differences(_parsed(first.recorded), _parsed(first.made))
        ],
        "recorded": _parsed(first.recorded),
        "reexecuted": _parsed(first.made),
        "cause": _parsed(find_event(record, span, first.cause_id)),
    }


def differing_fields(divergence: Divergence) -> list[str]:
    """Names of the top-level fields in which both versions differ."""
    recorded, made = _parsed(divergence.recorded), _parsed(divergence.made)
    if recorded is None or made is None:
        return []
    names = recorded.keys() | made.keys()
    return sorted(name for name in names if recorded.get(name) != made.get(name))


def _differences(recorded: Any, made: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two JSON documents differ: the innermost names, and both values."""
    if recorded == made:
        return
    if isinstance(recorded, dict) and isinstance(made, dict):
        for key in dict.fromkeys([*recorded, *made]):
            inner = f"{name}.{key}" if name else str(key)
            yield from _differences(recorded.get(key), made.get(key), inner)
    elif isinstance(recorded, list) and isinstance(made, list) and len(recorded) == len(made):
        for index, (ours, theirs) in enumerate(zip(recorded, made, strict=True)):
            yield from _differences(ours, theirs, f"{name}[{index}]")
    elif name:
        yield name, recorded, made


def find_event(record: Record, span: Span, event_id: str | None) -> bytes | None:
    """The recorded event with this id, as it was published; None when there is none."""
    if event_id is None:
        return None
    sought = f'"event_id":"{event_id}"'.encode()
    for body in record.bodies(span):
        if sought in body:
            return body
    return None


def _parsed(body: bytes | None) -> dict[str, Any] | None:
    if body is None:
        return None
    parsed: dict[str, Any] = msgspec.json.decode(body)
    return parsed
