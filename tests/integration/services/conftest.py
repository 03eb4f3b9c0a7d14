"""Services as processes on a real bus, and a market that the test plays by hand."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.kernel.events import topics
from services.runtime.bus import recovery
from services.runtime.bus.bus import Bus
from services.runtime.bus.recovery import Known
from services.runtime.database.migrations import READERS
from tests.integration.services.service_process import ServiceProcess
from tests.servers import PostgresServer, RedisServer


@pytest.fixture
def open_redis(redis_server: RedisServer) -> RedisServer:
    """An empty bus that the writer has opened."""
    open_bus(redis_server)
    return redis_server


def open_bus(server: RedisServer) -> None:
    """What the writer does after each start of the server."""
    recovery.restore(server.address("recovery"), Known())


def bus_variables(server: RedisServer, service: str) -> dict[str, str]:
    return {
        "REDIS_HOST": server.host,
        "REDIS_PORT": str(server.port),
        f"REDIS_PASSWORD_{service.upper()}": server.passwords[service],
        "CDB_SOURCE": "external",
        "SNAPSHOT_INTERVAL_SEC": "1",
    }


def database_variables(server: PostgresServer, service: str) -> dict[str, str]:
    address = server.role(service)
    return {
        "POSTGRES_HOST": address.host,
        "POSTGRES_PORT": str(address.port),
        "POSTGRES_DB": address.database,
        f"POSTGRES_PASSWORD_{service.upper()}": address.password,
    }


def writer_variables(redis: RedisServer, postgres: PostgresServer) -> dict[str, str]:
    """What cdb_db_writer needs beyond its own two passwords: it migrates, and it recovers."""
    roles = (topics.EXECUTION, topics.PAPER_RUNNER, *READERS)
    return {
        "REDIS_PASSWORD_RECOVERY": redis.passwords["recovery"],
        "POSTGRES_USER": postgres.address.user,
        "POSTGRES_PASSWORD": postgres.address.password,
        **{f"POSTGRES_PASSWORD_{role.upper()}": postgres.role(role).password for role in roles},
    }


StartService = Callable[..., ServiceProcess]


@pytest.fixture
def start_service(redis_server: RedisServer, tmp_path: Path) -> Iterator[StartService]:
    """Starts a service on the test's servers; what still runs at the end is killed."""
    started: list[ServiceProcess] = []

    def start(
        service: str, postgres: PostgresServer | None = None, **variables: str
    ) -> ServiceProcess:
        settings = bus_variables(redis_server, service)
        if postgres is not None:
            settings |= database_variables(postgres, service)
        process = ServiceProcess(service, tmp_path, settings | variables)
        started.append(process)
        return process.start()

    yield start
    for process in started:
        process.kill()


@pytest.fixture
def bus_of(open_redis: RedisServer) -> Iterator[Callable[[str], Bus]]:
    """A service's claimed bus, for a test that plays its part."""
    made: list[Bus] = []

    def make(service: str) -> Bus:
        bus = Bus(open_redis.address(service), service)
        if service in topics.SERVICES:
            bus.claim()
        made.append(bus)
        return bus

    yield make
    for bus in made:
        bus.close()
