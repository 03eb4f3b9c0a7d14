"""Pauses are the venue's only while the feed itself was running."""

import asyncio

import pytest

from services.cdb_ws.connections.loop_uptime import BEAT_S, MOST_BETWEEN_BEATS_S, LoopUptime
from services.lab.soak.virtual_time import VirtualLoop
from tests.unit.cdb_ws.live.fake_venue import (
    FakeVenue,
    Scene,
    keep_speaking,
    play,
    until_subscribed,
)

pytestmark = pytest.mark.unit


def test_its_time_runs_while_it_beats_and_stands_still_between_beats_that_are_overdue() -> None:
    uptime = LoopUptime(100.0)
    for beat in range(1, 9):
        uptime.beat(100.0 + beat * BEAT_S)
    assert uptime.time(102.1) == pytest.approx(102.1)
    assert uptime.time(160.0) == pytest.approx(102.0 + MOST_BETWEEN_BEATS_S)
    uptime.beat(160.0)
    assert uptime.time(160.1) == pytest.approx(102.0 + MOST_BETWEEN_BEATS_S + 0.1)


@pytest.mark.parametrize("stalled", [False, True])
def test_a_pause_is_suspicious_only_if_it_was_the_venues_and_not_our_own(stalled: bool) -> None:
    async def program(scene: Scene) -> None:
        venue = scene.venue
        await until_subscribed(venue)
        venue.trade("BTC_USDT")
        await keep_speaking(venue, "BTC_USDT", "ETH_USDT", seconds=12)
        asked = len(venue.asked)
        if stalled:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualLoop)
            loop.stall(5)
        else:
            await asyncio.sleep(5)
        # When data comes again, of one symbol at once and of the other a little later
        venue.mark("BTC_USDT")
        await asyncio.sleep(0.4)
        venue.mark("ETH_USDT")
        await asyncio.sleep(0.2)
        suspected = {path for at, path in venue.asked[asked:] if path.startswith("deals/")}
        # Then REST is asked about it only where nobody knows what the venue did meanwhile
        suspects = {"deals/BTC_USDT?limit=100", "deals/ETH_USDT?limit=100"}
        assert suspected & suspects == (set() if stalled else suspects)

    play(program, FakeVenue(("BTC_USDT", "ETH_USDT")))
