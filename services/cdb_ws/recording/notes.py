"""Notes of the recorder between the events."""

import msgspec
from msgspec import Struct

from services.kernel.bounded_json import Decoder
from services.kernel.events import Condition, Instruments


class Break(Struct, frozen=True, kw_only=True, tag="break", tag_field="type"):
    """Nothing was recorded for a while.

    Attributes:
        reason: For people.
        since_ms: Time of the last clock before it, Unix milliseconds; 0 if there was none.
        dropped: Events and frames that arrived and could not be written.
    """

    reason: str
    since_ms: int
    dropped: int = 0


class Carried(Struct, frozen=True, kw_only=True, tag="carried", tag_field="type"):
    """The state at the start of a segment, so that each segment can be read alone.

    Attributes:
        instruments: All contract details known by then.
        conditions: Conditions that had begun and not cleared.
    """

    instruments: Instruments | None
    conditions: tuple[Condition, ...]


Note = Break | Carried

_encoder = msgspec.json.Encoder(decimal_format="string")
_decoder: Decoder[Note] = Decoder(Note)  # type: ignore[arg-type]


def encode(note: Note) -> bytes:
    """A note as JSON."""
    return _encoder.encode(note)


def decode(body: bytes) -> Note:
    """The note that a JSON object holds.

    Raises:
        msgspec.DecodeError: It is none.
    """
    return _decoder.decode(body)
