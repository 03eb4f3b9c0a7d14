"""The live market's thread: what it leaves behind."""

import weakref

import pytest

from services.cdb_ws.live.engine_config import EngineConfig
from services.cdb_ws.live.source import Mexc
from services.kernel.events import MarketData
from services.venues.mexc.network import Answer, Connection, ConnectionLost
from tests.bus_builders import tick

pytestmark = pytest.mark.unit


class Nowhere:
    """A network without anybody."""

    async def connect(self, url: str) -> Connection:
        raise ConnectionLost(f"{url}: refused")

    async def get(self, url: str) -> Answer:
        raise OSError(f"{url}: no answer")

    def now_ms(self) -> int:
        return 1_767_225_600_000


class Past(list[MarketData]):
    """A list that notes when it is gone."""


def test_a_closed_market_keeps_nothing_of_the_past_that_it_was_given() -> None:
    config = EngineConfig(run_id="run", ws_url="ws://venue/edge", rest_urls=("http://venue",))
    market = Mexc(config, network=Nowhere())
    past = Past([tick(1)])
    gone = weakref.ref(past)

    market.begin(past, 0)
    del past
    assert gone() is not None
    market.close()

    assert gone() is None
