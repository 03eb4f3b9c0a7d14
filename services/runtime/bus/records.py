"""What the bus answers: a place, a publication, how far everybody has come; and its refusal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from services.kernel.events import RunStarted, topics

PACED_SOURCES = frozenset({"replay", "synthetic"})


def is_lockstep(run: RunStarted) -> bool:
    """Whether a run goes in lock-step: a source without a wall clock, at full speed."""
    return run.source in PACED_SOURCES and run.settings.get("CDB_SPEED") == "max"


class Refused(Exception):
    """The bus will not take it, now or ever: whoever asked is not who it thinks it is.

    Attributes:
        reason: ``STALE_CURSOR``, ``FUTURE_CURSOR``, ``EPOCH``, ``FENCED``, ``LOST``, ``TOPIC`` or
            ``TURN``.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Claim:
    """A service's place on the bus, and where its predecessor stopped.

    Attributes:
        epoch: Identity of the total order; a new one means that some of it was lost.
        instance: Fencing token; a newer claim makes this one worthless.
        cursor: Seq of the last input whose outputs exist; 0 if none.
        position: The source's own place (``cdb_ws``); None if none was ever published.
        shell_id: ``shell_id`` of the last publication that had one.
    """

    epoch: str
    instance: int
    cursor: int
    position: str | None
    shell_id: str | None


@dataclass(frozen=True, slots=True)
class Published:
    """Where a publication stands in the total order.

    Attributes:
        first_seq, last_seq: Of its events; both 0 when there were none, or when a publication with
            the same ``shell_id`` was there already.
        head: The last seq of the total order after it.
    """

    first_seq: int
    last_seq: int
    head: int


@dataclass(frozen=True, slots=True)
class Heads:
    """How far the total order has come, read in one step.

    Attributes:
        epoch: None while no epoch has begun.
        seq: The last one given out.
        topic_seqs: The last one given out on each topic.
        topic_heads: Seq of the last event on each topic.
        trimmed: The journals hold everything from this seq on.
        in_step: Whether a lock-step run is on.
        left_out: First and last of seqs that no event has: recoveries went on behind them.
    """

    epoch: str | None
    seq: int
    topic_seqs: dict[str, int]
    topic_heads: dict[str, int]
    trimmed: int
    in_step: bool
    left_out: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def read(cls, reply: Sequence[Any]) -> Self:
        """The heads that the function ``cdb_heads`` replies.

        Raises:
            ValueError: A counter is no number, or lies beyond the last seq.
        """
        epoch, in_step, counters, left_out, trimmed = reply
        numbers = dict(zip(counters[::2], counters[1::2], strict=True))
        seq = int(numbers.get(b"seq", 0))
        return cls(
            epoch=epoch.decode() if epoch else None,
            seq=seq,
            topic_seqs=_of_topics("topic_seq", numbers, seq),
            topic_heads=_of_topics("topic_head", numbers, seq),
            trimmed=int(trimmed),
            in_step=in_step == b"1",
            left_out=dict(zip(map(int, left_out[::2]), map(int, left_out[1::2]), strict=True)),
        )

    def behind(self, position: int) -> int:
        """How many events come after a seq."""
        left_out = sum(
            max(0, last - max(first - 1, position)) for first, last in self.left_out.items()
        )
        return max(0, self.seq - position - left_out)


def _of_topics(kind: str, numbers: Mapping[bytes, bytes], most: int) -> dict[str, int]:
    found = {topic: int(numbers.get(f"{kind}:{topic}".encode(), 0)) for topic in topics.TOPICS}
    for topic, number in found.items():
        if not 0 <= number <= most:
            raise ValueError(f"{kind}:{topic} is {number}, and the last seq is {most}")
    return found


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a service has come.

    Attributes:
        seq: Last acknowledged input.
        commit: What the service has put into its own tables; None if it keeps none.
        position: The source's own place.
        epoch: Of the last publication.
    """

    seq: int
    commit: int | None
    position: str | None
    epoch: str | None
