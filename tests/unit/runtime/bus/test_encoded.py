"""A tick that is encoded early is the same on the bus."""

import pytest
from msgspec.structs import replace

from services.kernel.events import codec
from services.runtime.bus.encoded import EncodedTick, body_of, encoded, unpublished_body
from tests import builders

pytestmark = pytest.mark.unit


def test_a_tick_keeps_what_is_asked_of_it_and_has_the_codecs_body() -> None:
    tick = builders.trade()

    early = encoded(tick)

    assert isinstance(early, EncodedTick)
    assert (early.TOPIC, early.event_id, early.run_id) == (tick.TOPIC, tick.event_id, tick.run_id)
    assert (early.timestamp, early.kind, early.symbol) == (tick.timestamp, tick.kind, tick.symbol)
    assert unpublished_body(early) == body_of(early) == codec.encode(tick) == body_of(tick)


def test_every_other_event_stays_as_it_is() -> None:
    clock = builders.clock()
    assert encoded(clock) is clock


@pytest.mark.parametrize("number", ["seq", "topic_seq"])
def test_what_the_bus_has_published_is_not_published_again(number: str) -> None:
    published = replace(builders.trade(), **{number: 7})

    with pytest.raises(ValueError, match="published already"):
        encoded(published)
    with pytest.raises(ValueError, match="published already"):
        unpublished_body(published)
