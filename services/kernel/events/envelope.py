"""What every event has: the envelope, and which side."""

from enum import StrEnum
from typing import ClassVar

from msgspec import Struct

SCHEMA_VERSION = 2


class Side(StrEnum):
    """Direction of a signal, side of an order or of the taker of a trade."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> "Side":
        """The other side."""
        return Side.SELL if self is Side.BUY else Side.BUY

    @property
    def sign(self) -> int:
        """+1 for BUY, -1 for SELL."""
        return 1 if self is Side.BUY else -1


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag_field="type"):
    """The envelope that every event has.

    ``seq`` (position in the one total order) and ``topic_seq`` (dense per topic) are set by the
    bus; both are 0 in an event that was not published by it.
    """

    TOPIC: ClassVar[str]

    event_id: str
    run_id: str
    producer: str
    schema_version: int
    timestamp: int
    causation_id: str | None
    correlation_id: str | None
    external: bool = False
    seq: int = 0
    topic_seq: int = 0
