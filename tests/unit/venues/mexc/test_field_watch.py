"""New fields of the venue are counted, not fatal."""

import json

import pytest

from services.venues.mexc.field_watch import LOOK_AT_EVERY, FieldWatch, unknown_fields

pytestmark = pytest.mark.unit


def frame(**more: object) -> bytes:
    row = {"p": 1, "v": 1, "T": 1, "t": 5, "i": "7"} | more
    return json.dumps({"symbol": "A_USDT", "data": [row], "channel": "push.deal", "ts": 5}).encode()


def test_a_new_field_is_named_with_its_channel() -> None:
    assert unknown_fields(frame()) == []
    assert unknown_fields(frame(L=1, K=2)) == ["push.deal.K", "push.deal.L"]
    new = '{"channel":"push.fair.price","data":{"price":1},"symbol":"A","ts":1,"seq":4}'
    assert unknown_fields(new) == ["push.fair.price.seq"]
    assert unknown_fields('{"channel":"push.whatever","data":{"x":1}}') == []
    assert unknown_fields('{"channel":"push.tickers","data":[]}') == []


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"channel":"push.deal","data":[],"x":1e999}', ["unreadable"]),
        (b'{"channel":"push.deal","data":[],"x":"\xff"}', ["unreadable"]),
        (
            b'{"channel":"push.deal","x":' + b"[" * 1_100 + b"]" * 1_100 + b"}",
            ["unreadable"],
        ),
        (b'{"channel":"push.tickers","data":[7]}', []),
        (b'{"channel":"push.deal","data":[],"' + b"x" * 1_000 + b'":1}', ["push.deal." + "x" * 54]),
    ],
)
def test_what_was_passed_over_unread_may_hold_anything(body: bytes, found: list[str]) -> None:
    """F10: a frame that was read without error ended the engine when it was the one looked at."""
    watch = FieldWatch()
    watch.look(body)
    assert list(watch.unknown) == found


def test_the_first_frame_and_one_in_many_are_looked_at() -> None:
    watch = FieldWatch()
    for _ in range(2 * LOOK_AT_EVERY):
        watch.look(frame(K=1))
    assert watch.unknown == {"push.deal.K": 2}
