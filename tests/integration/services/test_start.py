import socket

import pytest

from services.kernel.events import topics
from services.runtime.embedded.process import free_port
from tests.integration.services.conftest import StartService

pytestmark = pytest.mark.integration


def refused(start_service: StartService, service: str, **variables: str) -> str:
    """The one line of a service that does not start."""
    process = start_service(service, **variables)
    assert process.wait_exit() == 1
    lines = process.tail().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"{service}: ")
    return lines[0]


@pytest.mark.parametrize("service", [topics.EXECUTION, topics.PAPER_RUNNER])
def test_a_missing_variable_ends_a_service_with_one_line(start_service: StartService, service: str):
    line = refused(start_service, service)
    assert f"POSTGRES_PASSWORD_{service.upper()} is not set" in line


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"TRADING_MODE": "live"}, "TRADING_MODE=live is refused: phase N1 trades paper only"),
        ({"MAX_LEVERAGE": "three"}, "MAX_LEVERAGE='three' is not a number"),
        ({"CDB_SOURCE": "nasdaq"}, "CDB_SOURCE='nasdaq'"),
        ({"REDIS_PASSWORD_CDB_CORE": ""}, "REDIS_PASSWORD_CDB_CORE is not set"),
        ({"CDB_LOGGING_CONFIG": "/nowhere.json"}, "CDB_LOGGING_CONFIG=/nowhere.json"),
        ({"HTTP_HOST": "192.0.2.1"}, "HTTP_HOST=192.0.2.1"),
    ],
)
def test_what_only_a_person_can_mend_ends_a_service_with_one_line(
    start_service: StartService, variables: dict[str, str], words: str
):
    assert words in refused(start_service, topics.CORE, **variables)


def test_a_port_in_use_ends_a_service_with_one_line(start_service: StartService):
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        line = refused(start_service, topics.CORE, HTTP_PORT=str(port))
    assert f"HTTP_PORT={port} is in use" in line


def test_a_service_that_waits_ends_with_0_on_sigterm(start_service: StartService):
    process = start_service(topics.CORE, REDIS_PORT=str(free_port()))
    process.wait_health(503, "does not answer")
    assert process.terminate() == 0
    assert "stopped" in process.tail().splitlines()[-1]
