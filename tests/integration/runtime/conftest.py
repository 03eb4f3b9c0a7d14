"""The bus, open, with one claimed ``Bus`` per service."""

from collections.abc import Callable, Iterator
from typing import cast

import pytest

from services.runtime.bus import recovery
from services.runtime.bus.bus import Bus
from services.runtime.bus.recovery import Known
from tests.integration.runtime.twin_server import TwinServer
from tests.servers import RedisServer


@pytest.fixture(params=["server", "twin"])
def any_redis(request: pytest.FixtureRequest) -> RedisServer:
    """An empty server, and then its twin in memory: one contract holds both."""
    if request.param == "twin":
        return cast("RedisServer", TwinServer())
    server: RedisServer = request.getfixturevalue("redis_server")
    return server


@pytest.fixture
def open_redis(any_redis: RedisServer) -> RedisServer:
    """An empty server that the writer has opened."""
    recovery.restore(any_redis.address("recovery"), Known())
    return any_redis


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
