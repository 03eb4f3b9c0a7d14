"""The hash chain over the record: no row can be changed, removed or swapped without a trace."""

from collections.abc import Iterable, Sequence
from hashlib import sha256

import msgspec

from services.kernel.events import SCHEMA_VERSION, Event, topics
from services.kernel.events.ids import make_id

GENESIS = bytes(32)
"""The chain hash before the first row."""
TICK_BATCH = "tick_batch"


def link(previous: bytes, seq: int, body: bytes) -> bytes:
    """The chain hash of a row of ``events``.

    Args:
        previous: Chain hash of the row before it in the order of ``seq``, or ``GENESIS``.
        seq: The row's seq.
        body: Its exact text.
    """
    return sha256(previous + seq.to_bytes(8, "big") + body).digest()


def digest_ticks(bodies: Iterable[bytes]) -> str:
    """SHA-256 of ticks and clocks in their order, one text per line, in hexadecimal."""
    return sha256(b"\n".join((*bodies, b""))).hexdigest()


class TickBatch(msgspec.Struct, frozen=True, kw_only=True, tag=TICK_BATCH, tag_field="type"):
    """The row of ``events`` that stands for the ticks and clocks since the one before it.

    No service publishes it: the writer makes it as it commits. ``seq`` is that of the last tick.
    """

    event_id: str
    run_id: str
    producer: str
    schema_version: int
    timestamp: int
    seq: int
    topic_seq: int
    first_seq: int
    count: int
    sha256: str


def tick_batch(bodies: Sequence[bytes], first: Event, last: Event) -> TickBatch:
    """The row for some ticks.

    Args:
        bodies: Their exact texts, in order, at least one.
        first: The first of them.
        last: The last of them.
    """
    return TickBatch(
        event_id=make_id(TICK_BATCH, first.seq, last.seq),
        run_id=last.run_id,
        producer=topics.DB_WRITER,
        schema_version=SCHEMA_VERSION,
        timestamp=last.timestamp,
        seq=last.seq,
        topic_seq=0,
        first_seq=first.seq,
        count=len(bodies),
        sha256=digest_ticks(bodies),
    )
