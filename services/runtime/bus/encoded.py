"""Ticks that are encoded where they are made, while the processor still has them at hand.

A book is some hundred small objects. To keep those of a whole turn for the thread that publishes,
to read them there and to free them there costs more than to encode each book at once.
"""

from typing import ClassVar, Final

from msgspec import Struct

from services.kernel.events import Event, MarketData, MarketDataKind, codec, topics


class EncodedTick(Struct, frozen=True, gc=False):
    """A market data event on its way to the bus: its body, and what is asked of it until then.

    Attributes:
        body: The event as ``codec.encode`` writes it, not published yet.
    """

    TOPIC: ClassVar[str] = topics.MARKET_DATA

    event_id: str
    run_id: str
    timestamp: int
    kind: MarketDataKind
    symbol: str
    body: bytes


Outgoing = Event | EncodedTick
"""What can be published."""

Tick: Final = (MarketData, EncodedTick)
"""Market data in either form, for ``isinstance``."""


def encoded(event: Event) -> Outgoing:
    """A tick in its encoded form; every other event as it is.

    Raises:
        ValueError: The bus has published it already.
    """
    if type(event) is not MarketData:
        return event
    # No further call that need not be: this is done ten thousand times a second.
    if event.seq or event.topic_seq:
        raise _published_already(event)
    body = codec.encode(event)
    return EncodedTick(
        event.event_id, event.run_id, event.timestamp, event.kind, event.symbol, body
    )


def unpublished_body(event: Outgoing) -> bytes:
    """The body of an event that is to be published.

    Raises:
        ValueError: The bus has published it already.
    """
    if not isinstance(event, EncodedTick) and (event.seq or event.topic_seq):
        raise _published_already(event)
    return body_of(event)


def body_of(event: Outgoing) -> bytes:
    """The event as one canonical JSON object."""
    return event.body if isinstance(event, EncodedTick) else codec.encode(event)


def _published_already(event: Event) -> ValueError:
    return ValueError(f"event {event.event_id} was published already, with seq {event.seq}")
