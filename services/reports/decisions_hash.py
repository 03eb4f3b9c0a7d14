"""One number for everything that was decided: equal decisions, equal hash, whatever the run."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from services.kernel.events import topics

DECISION_TOPICS: Final = (
    topics.SIGNALS,
    topics.RISK_DECISIONS,
    topics.ORDERS,
    topics.ORDER_RESULTS,
)
IDENTITIES: Final = frozenset(
    {
        "event_id",
        "run_id",
        "causation_id",
        "correlation_id",
        "signal_id",
        "order_id",
        "decision_id",
        "approved_by",
        "seq",
        "topic_seq",
    }
)
"""What differs from run to run although the decision is the same."""

ANSWER: Final = "command_answered"
"""No decision: it repeats what trading states say, as often as a command is posted."""


def decisions_hash(bodies: Mapping[str, Iterable[str]]) -> str:
    """SHA-256 over the canonical JSON of the decisions.

    Canonical is: one object per event without `IDENTITIES`, keys sorted, no spaces, one line each,
    preceded by its topic's name. Answers to commands are left out.

    Args:
        bodies: Topic to its events as they were published, in their order.

    Returns:
        64 hexadecimal characters.
    """
    digest = hashlib.sha256()
    for topic in DECISION_TOPICS:
        digest.update(topic.encode() + b"\n")
        for body in bodies.get(topic, ()):
            event = json.loads(body)
            if event.get("type") != ANSWER:
                digest.update(_canonical(event) + b"\n")
    return digest.hexdigest()


def _canonical(event: Mapping[str, Any]) -> bytes:
    decided = {name: value for name, value in event.items() if name not in IDENTITIES}
    text = json.dumps(decided, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()
