"""The console as a process: what is away, what it hides, and how it ends."""

import http.client
from collections.abc import Iterator

import pytest

from services.runtime.bus.redis.address import RedisAddress
from services.runtime.database.address import DatabaseAddress
from services.runtime.embedded.console_process import ConsoleProcess
from services.runtime.embedded.process import free_port
from services.runtime.service.http_query import get_json
from tests.deadline import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slow]
PORT = free_port()
URL = f"http://127.0.0.1:{PORT}"


@pytest.fixture
def console(capfd: pytest.CaptureFixture[str]) -> Iterator[ConsoleProcess]:
    """A console of a system that is not there."""
    process = ConsoleProcess(
        "127.0.0.1",
        PORT,
        label="nothing",
        bus=RedisAddress("127.0.0.1", 1, "operator", "secret-bus-password"),
        database=DatabaseAddress("127.0.0.1", 1, "none", "nobody", "secret-database-password"),
        services={"cdb_risk": "http://127.0.0.1:1"},
        token="secret-token",  # noqa: S106
        token_place="a test",  # noqa: S106
    )
    assert not process.is_running
    process.start()
    yield process
    process.stop()
    assert "secret" not in "".join(capfd.readouterr())


def test_it_is_red_while_the_bus_is_away_and_ends_its_streams(console: ConsoleProcess) -> None:
    wait_until(lambda: get_json(f"{URL}/health").status != 0, "the console answers")
    health = get_json(f"{URL}/health")
    assert health.status == 503
    assert "127.0.0.1:1" in health.body["reasons"][0]
    assert "secret" not in str(health.body)
    assert get_json(f"{URL}/services/cdb_risk/health").status == 504

    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    connection.request("GET", "/stream", headers={"Connection": "close"})
    stream = connection.getresponse()
    assert stream.status == 200
    assert stream.readline().startswith(b"retry: ")

    ended_with = console.stop(120)

    assert ended_with == 0, "it had to be killed"
    assert b"event: now" in stream.read()
    stream.close()
    connection.close()


def test_a_killed_one_can_be_started_again(console: ConsoleProcess) -> None:
    console.kill()

    assert (console.is_running, console.exit_code) == (False, -9)
    console.start()
    assert console.is_running
