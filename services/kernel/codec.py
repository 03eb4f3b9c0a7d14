"""Events to bytes and back: one canonical JSON form, and the schema made from the classes."""

from typing import Any

import msgspec

from services.kernel.events import EVENT_TYPES, AnyEvent, Event

_encoder = msgspec.json.Encoder(decimal_format="string")
_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


def encode(event: Event) -> bytes:
    """The event as one canonical JSON object, fields in the order of their definition."""
    return _encoder.encode(event)


def decode(body: bytes) -> AnyEvent:
    """The event that a JSON object holds.

    Raises:
        msgspec.DecodeError: Not JSON, or not one of the events of this schema version.
    """
    return _decoder.decode(body)


def json_schema() -> dict[str, Any]:
    """JSON Schema of all events, by their ``type``."""
    _, definitions = msgspec.json.schema_components(EVENT_TYPES, ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Claire de Binare events",
        "oneOf": [{"$ref": f"#/$defs/{kind.__name__}"} for kind in EVENT_TYPES],
        "$defs": definitions,
    }
