"""The console as a process: it comes back after a crash, and ends its streams at once."""

import http.client
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.runtime.bus.redis.address import RedisAddress
from services.runtime.database.address import DatabaseAddress
from services.runtime.embedded.console_process import RESTARTS_ALLOWED, ConsoleProcess
from services.runtime.embedded.process import free_port
from services.runtime.service.http_query import get_json
from tests.deadline import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture
def console(tmp_path: Path) -> Iterator[ConsoleProcess]:
    """A console of a system that is not there."""
    process = ConsoleProcess(
        tmp_path / "console.log",
        free_port(),
        label="nothing",
        bus=RedisAddress("127.0.0.1", 1, "operator", "secret-bus-password"),
        database=DatabaseAddress("127.0.0.1", 1, "none", "nobody", "secret-database-password"),
        services={},
        token="secret-token",  # noqa: S106
        token_place="a test",  # noqa: S106
    )
    yield process
    process.stop()
    log = (tmp_path / "console.log").read_text("utf-8")
    assert "secret" not in log


def answers(console: ConsoleProcess) -> bool:
    return get_json(f"{console.url}/health").status != 0


def test_it_is_red_while_the_bus_is_away_and_shows_no_password(console: ConsoleProcess) -> None:
    wait_until(lambda: answers(console), "the console answers")

    health = get_json(f"{console.url}/health")

    assert health.status == 503
    assert "127.0.0.1:1" in health.body["reasons"][0]
    assert "secret" not in str(health.body)


def test_it_is_started_again_after_a_crash_and_given_up_when_that_does_not_help(
    console: ConsoleProcess,
) -> None:
    lines: list[str] = []

    def crashed_once_more() -> bool:
        console.kill()
        lines.extend(console.watch())
        return len(lines) > RESTARTS_ALLOWED

    wait_until(crashed_once_more, "the console is given up")

    assert all("started again" in line for line in lines[:-1])
    assert "stays away" in lines[-1]
    assert console.watch() == []


def test_open_streams_end_with_it(console: ConsoleProcess) -> None:
    wait_until(lambda: answers(console), "the console answers")
    connection = http.client.HTTPConnection(console.url.removeprefix("http://"), timeout=60)
    connection.request("GET", "/stream", headers={"Connection": "close"})
    stream = connection.getresponse()
    assert stream.status == 200
    assert stream.readline().startswith(b"retry: ")

    ended_with = console.stop()

    assert ended_with == 0, "it had to be killed"
    assert b"event: now" in stream.read()
    stream.close()
    connection.close()
