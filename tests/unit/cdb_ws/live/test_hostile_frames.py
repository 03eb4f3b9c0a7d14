"""No frame of the venue ends the engine, or becomes an event that cannot be recorded."""

import asyncio

import pytest

from services.kernel.events import MarketData, MarketDataKind, codec
from tests import hostile
from tests.unit.cdb_ws.live.fake_venue import NOW, FakeVenue, Scene, play, until_subscribed

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("seed", "count"), [(1, 1_000), pytest.param(2, 20_000, marks=pytest.mark.local_only)]
)
def test_the_engine_outlives_every_frame(seed: int, count: int) -> None:
    async def program(scene: Scene) -> None:
        venue = scene.venue
        await until_subscribed(venue)
        for number, frame in enumerate(hostile.frames(seed, count, NOW)):
            venue.connection_of("BTC_USDT")._inbox.put_nowait(frame)  # type: ignore[arg-type]
            if number % 50 == 0:
                await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        before = len(scene.received.ticks(MarketDataKind.MARK))
        await until_subscribed(venue)
        venue.mark("BTC_USDT")
        await asyncio.sleep(0.5)
        assert len(scene.received.ticks(MarketDataKind.MARK)) > before

    received = play(program, FakeVenue(), limit_s=600)
    for event in received.events:
        assert codec.decode(codec.encode(event)) == event
        if isinstance(event, MarketData):
            assert abs(event.timestamp - NOW) < 3 * 86_400_000
            for number in (event.price, event.volume, event.mark_price, event.index_price):
                assert number is None or 0 <= number < 10**18
