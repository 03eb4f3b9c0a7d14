"""What a restarted feed reads of its own past."""

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from services.cdb_ws.control_subscriber import ControlSubscriber
from services.cdb_ws.replay import past
from services.kernel.events import topics
from services.kernel.market.run_watch import RunWatch
from services.runtime.bus.bus import Bus
from tests.bus_builders import clock
from tests.deadline import wait_until
from tests.integration.cdb_ws.conftest import WsOnBus

pytestmark = pytest.mark.integration


@pytest.fixture
def bus(ws: WsOnBus) -> Iterator[Bus]:
    feed = Bus(ws.server.address(topics.WS), topics.WS)
    yield feed
    feed.close()


def test_the_last_clock_is_there_although_it_is_the_oldest_that_is_kept(
    ws: WsOnBus, bus: Bus
) -> None:
    # Given a feed that has published one clock, heard it, and saved a snapshot behind it
    run = ws.begin_run("external")
    control = ControlSubscriber(RunWatch(), bus, lambda _message, _context: None)
    control.start()
    published = bus.publish([replace(clock(5_000), run_id=run.run_id)])

    def heard() -> bool:
        control.step(0.01)
        return control.context.clock_ms == clock(5_000).timestamp

    wait_until(heard, "the clock is heard")
    control.save_snapshot()
    # When it reads its past
    found = past.read(bus, run.run_id, RunWatch().open, ticks=False)
    # Then the clock from which a hole is counted is there
    assert published
    assert found.clock_ms == clock(5_000).timestamp
    control.close()
