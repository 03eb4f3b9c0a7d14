"""The bus, open, with one claimed ``Bus`` per service."""

from collections.abc import Callable, Iterator

import pytest

from services.runtime.bus import recovery
from services.runtime.bus.bus import Bus
from services.runtime.bus.recovery import Known
from tests.servers import RedisServer


@pytest.fixture
def open_redis(redis_server: RedisServer) -> RedisServer:
    """An empty server that the writer has opened."""
    recovery.restore(redis_server.address("recovery"), Known())
    return redis_server


@pytest.fixture
def bus_of(open_redis: RedisServer) -> Iterator[Callable[[str], Bus]]:
    """Makes a service's claimed bus; all are closed at the end."""
    made: list[Bus] = []

    def make(service: str) -> Bus:
        bus = Bus(open_redis.address(service), service)
        if service.startswith("cdb_"):
            bus.claim()
        made.append(bus)
        return bus

    yield make
    for bus in made:
        bus.close()
