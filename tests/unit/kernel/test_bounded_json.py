"""JSON from outside: every fault is the one error that callers expect."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from services.kernel.bounded_json import MAX_DEPTH, Decoder, depth

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("body", "levels"),
    [
        (b"", 0),
        (b"1", 0),
        (b"[]", 1),
        (b'{"a":[{}],"b":[[]]}', 3),
        (b'["[[[", "\\"[[", "\\\\", []]', 2),
        (b'["a', 1),
        (b'["\\', 1),
        (b"[" * MAX_DEPTH, MAX_DEPTH),
        (b"[" * 1_100 + b"]" * 1_100, MAX_DEPTH + 1),
    ],
)
def test_the_depth_is_that_of_brackets_outside_of_strings(body: bytes, levels: int) -> None:
    assert depth(body) == levels


@pytest.mark.parametrize("piece", [b'"\\', b'"', b'"\\"', b'\\"', b"[],", b'{"'])
def test_the_depth_of_any_text_is_found_in_one_pass(piece: bytes) -> None:
    """An earlier pattern went back at each quote: a minute for 64 KiB."""
    text = piece * (65_536 // len(piece))
    assert depth(text) <= MAX_DEPTH + 1


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_100 + b"]" * 1_100,
        b'{"a":' * 1_100 + b"1" + b"}" * 1_100,
        b'["\xff"]',
        b'{"a":1e9999999999999999999}',
        b"[" + b"9" * 5_000 + b"]",
        b"{",
        b"",
    ],
)
def test_every_fault_is_a_decode_error(body: bytes) -> None:
    anything: Decoder[Any] = Decoder(float_hook=Decimal)
    with pytest.raises(msgspec.DecodeError):
        anything.decode(body)


def test_what_is_sound_is_decoded() -> None:
    assert Decoder(dict[str, int]).decode(b'{"a":1}') == {"a": 1}
    numbers: Decoder[Any] = Decoder(float_hook=Decimal)
    assert numbers.decode(b"[1.10]") == [Decimal("1.10")]
