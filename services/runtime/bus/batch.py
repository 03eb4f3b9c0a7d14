"""What a subscription hands out: events in order, and apart from them whatever else came."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.kernel.events import AnyEvent


@dataclass(frozen=True, slots=True)
class ExternalMessage:
    """A message without a seq: only its topic's owner takes it."""

    topic: str
    body: bytes


@dataclass(frozen=True, slots=True)
class InvalidMessage:
    """A message with a seq that is no event.

    Attributes:
        reason: ``NOT_IN_JOURNAL`` (nobody published it), ``REPLAYED`` (published before),
            ``UNREADABLE`` (in the journal, but of no known type) or ``NEWER_SCHEMA`` (in the
            journal, published by a newer program).
        seq: Its place, where it is in the journal: a real event that nobody can read.
    """

    topic: str
    body: bytes
    reason: str
    seq: int | None = None


class Rewound(Exception):
    """The bus has less than this consumer has seen: begin again from the snapshot.

    Attributes:
        malformed: What was seen and never published, where it is known.
    """

    def __init__(self, message: str, malformed: Sequence[InvalidMessage] = ()) -> None:
        super().__init__(message)
        self.malformed = malformed


@dataclass(slots=True)
class Batch:
    """What was waiting.

    Attributes:
        events: In their total order.
        bodies: The exact JSON of each of ``events``.
        outside: Messages without a seq, in the order of their arrival.
        malformed: Not for any stage.
        asked: Highest cause up to which another stage asks for this one's cursor (lock-step).
        upto: Every event of the topics up to this seq has been delivered; acknowledge this.
    """

    events: list[AnyEvent] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    outside: list[ExternalMessage] = field(default_factory=list)
    malformed: list[InvalidMessage] = field(default_factory=list)
    asked: int | None = None
    upto: int = 0
