"""Events to bytes and back: one canonical JSON form, and the schema made from the classes."""

from typing import Any

import msgspec
from msgspec import Struct

from services.kernel import bounded_json
from services.kernel.events import EVENT_TYPES, SCHEMA_VERSION, AnyEvent, Event
from services.kernel.events.upcasts import upcast

_encoder = msgspec.json.Encoder(decimal_format="string")
_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


class _Version(Struct):
    schema_version: int


_version = bounded_json.Decoder(_Version)
_document = bounded_json.Decoder(dict[str, Any])


def encode(event: Event) -> bytes:
    """The event as one canonical JSON object, fields in the order of their definition."""
    return _encoder.encode(event)


class NewerSchemaError(msgspec.ValidationError):
    """An event of a newer schema: what this program does not know of it would be passed over."""

    def __init__(self, version: int) -> None:
        super().__init__(
            f"event schema {version} is newer than {SCHEMA_VERSION}, the newest that this program"
            " knows: update the program"
        )


def decode(body: bytes) -> AnyEvent:
    """The event that a JSON object holds; one of an older schema as it would be today.

    Raises:
        NewerSchemaError: It is of a schema that comes after this program's.
        msgspec.DecodeError: Not JSON, or no event of this schema or of one that leads to it.
    """
    try:
        event = _decoder.decode(body)
        version = event.schema_version
    except (RecursionError, UnicodeDecodeError, ArithmeticError) as error:
        raise bounded_json.fault(error) from None
    except msgspec.ValidationError:
        version = version_of(body)
        if version == SCHEMA_VERSION:
            raise
    else:
        if version == SCHEMA_VERSION:
            return event
    if version > SCHEMA_VERSION:
        raise NewerSchemaError(version)
    try:
        document = upcast(_document.decode(body))
    except LookupError as error:
        raise msgspec.ValidationError(str(error)) from None
    return _decoder.decode(_encoder.encode(document))


def version_of(body: bytes) -> int:
    """The schema that a JSON object says it is of; this program's where it says none."""
    try:
        return _version.decode(body).schema_version
    except msgspec.DecodeError:
        return SCHEMA_VERSION


def json_schema() -> dict[str, Any]:
    """JSON Schema of all events, by their ``type``."""
    _, definitions = msgspec.json.schema_components(EVENT_TYPES, ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Claire de Binare events",
        "oneOf": [{"$ref": f"#/$defs/{kind.__name__}"} for kind in EVENT_TYPES],
        "$defs": definitions,
    }
