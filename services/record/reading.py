"""A record as a stream: every event of every topic, in total order, as it was published."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol


class Span(NamedTuple):
    """A part of a record.

    Attributes:
        after: Seq before the first event.
        upto: Seq of the last event.
    """

    after: int
    upto: int


class Record(Protocol):
    """Where recorded events are read from. Reading never changes anything."""

    def whole(self) -> Span:
        """From before the first recorded event to the last."""
        ...

    def bodies(self, span: Span) -> Iterator[bytes]:
        """The exact texts of a span's events, by seq; the chain's own rows are not among them."""
        ...

    def links(self, span: Span) -> Iterator["ChainLink"]:
        """The rows of the chain (``events``, its tick batches included) of a span, by seq."""
        ...

    def landmarks(self, span: Span) -> Iterator["ChainLink"]:
        """The links, at least those that distinguish runs, by seq.

        These are their starts, ends and instruments, and each run's last batch of ticks.
        """
        ...

    def rows(self, span: Span) -> Iterator["ChainLink | bytes"]:
        """Rows of the chain and texts of ticks and clocks in their order, by seq."""
        ...

    def chain_hash_at(self, seq: int) -> bytes:
        """The chain's hash behind the last row that is not after ``seq``."""
        ...

    def close(self) -> None:
        """End the reading."""
        ...


class ChainLink(NamedTuple):
    """One row of the hash chain.

    Attributes:
        seq: As the row says.
        event_id: As the row's column says.
        kind: The row's type.
        body: Its exact text.
        chain_hash: As it was written beside it.
    """

    seq: int
    event_id: str
    kind: str
    body: bytes
    chain_hash: bytes


class RecordError(Exception):
    """The record cannot be read; the message says what is wrong and where."""


_SEQ = b',"seq":'


def split_position(body: bytes) -> tuple[bytes, int]:
    """What a stage made, and the position that the bus gave it.

    The bus appends ``"seq"`` and ``"topic_seq"`` to what it is handed, and nothing else.

    Args:
        body: As it was published.

    Returns:
        The text as the stage handed it over, and the seq.

    Raises:
        RecordError: The text does not end as published events do.
    """
    at = body.rfind(_SEQ)
    try:
        seq = int(body[at + len(_SEQ) : body.index(b",", at + len(_SEQ))])
    except ValueError:
        raise RecordError(f"an event without seq in the record: {body[-120:]!r}") from None
    if at < 0:
        raise RecordError(f"an event without seq in the record: {body[-120:]!r}")
    return body[:at] + b"}", seq
