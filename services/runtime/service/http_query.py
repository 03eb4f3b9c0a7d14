"""Asking a service's HTTP server for JSON, with a deadline."""

import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from services.kernel.bounded_json import Decoder

MOST_BYTES: Final = 16 << 20
_decoder: Decoder[Any] = Decoder()


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back; ``status`` is 0 where nothing did, and ``body`` then says why."""

    status: int
    body: dict[str, Any] = field(default_factory=dict)


def get_json(url: str, seconds: float = 2.0) -> HttpAnswer:
    """GET an ``http://`` URL whose body is a JSON object, whatever its status code."""
    try:
        with urllib.request.urlopen(url, timeout=seconds) as answer:  # noqa: S310 - http only
            return _parsed(answer.status, answer.read(MOST_BYTES))
    except urllib.error.HTTPError as error:
        with error:
            return _parsed(error.code, error.read(MOST_BYTES))
    except OSError as error:
        return HttpAnswer(0, {"reason": f"does not answer ({error})"})


def _parsed(status: int, text: bytes) -> HttpAnswer:
    try:
        body = _decoder.decode(text)
    except msgspec.DecodeError:
        body = None
    return HttpAnswer(status, body if isinstance(body, dict) else {"reason": "answers no JSON"})
