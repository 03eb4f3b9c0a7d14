import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from flask import Blueprint, Flask
from prometheus_client import CollectorRegistry, Counter

from services import __version__
from services.kernel.events import topics
from services.kernel.settings.model import SettingError
from services.runtime.service import healthcheck
from services.runtime.service.health import Health, merged
from services.runtime.service.http import HttpServer, create_app
from services.runtime.settings.http_ports import HTTP_PORTS

pytestmark = pytest.mark.unit


class FakeWorker:
    """Measures what the test says."""

    def __init__(self) -> None:
        self.found = Health(measured={"clock_age_s": 0.5})

    def health(self) -> Health:
        return self.found

    def status(self) -> dict[str, object]:
        return {"cursor": 7}


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker()


@pytest.fixture
def app(worker: FakeWorker) -> Flask:
    registry = CollectorRegistry()
    Counter("cdb_things", "Things.", registry=registry).inc(3)
    pages = Blueprint("pages", __name__)

    @pages.get("/broken")
    def _broken() -> str:
        raise RuntimeError("a defect with a secret in it")

    return create_app(
        "cdb_test", health=worker.health, status=worker.status, registry=registry, pages=pages
    )


@pytest.fixture
def serve() -> Iterator[Callable[[Flask], HttpServer]]:
    servers: list[HttpServer] = []

    def start(app: Flask) -> HttpServer:
        servers.append(HttpServer(app, "127.0.0.1", 0))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def test_health_is_200_with_service_version_and_what_was_measured(app: Flask):
    answer = app.test_client().get("/health")
    assert answer.status_code == 200
    assert answer.json == {
        "status": "ok",
        "service": "cdb_test",
        "version": __version__,
        "measured": {"clock_age_s": 0.5},
    }


def test_health_is_503_with_every_reason(app: Flask, worker: FakeWorker):
    worker.found = Health(("no clock for 12 s", "PostgreSQL is away"))
    answer = app.test_client().get("/health")
    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["status"] == "unavailable"
    assert answer.json["reason"] == "no clock for 12 s; PostgreSQL is away"
    assert answer.json["reasons"] == ["no clock for 12 s", "PostgreSQL is away"]


def test_health_is_measured_on_each_request(app: Flask, worker: FakeWorker):
    client = app.test_client()
    codes = [client.get("/health").status_code]
    worker.found = Health(("broken",))
    codes.append(client.get("/health").status_code)
    worker.found = Health()
    codes.append(client.get("/health").status_code)
    assert codes == [200, 503, 200]


def test_status_and_metrics(app: Flask):
    client = app.test_client()
    assert client.get("/status").json == {
        "service": "cdb_test",
        "version": __version__,
        "cursor": 7,
    }
    metrics = client.get("/metrics")
    assert metrics.content_type.startswith("text/plain")
    assert b"cdb_things_total 3.0" in metrics.data


def test_a_page_that_fails_reports_nothing_of_the_defect(app: Flask):
    answer = app.test_client().get("/broken")
    assert answer.status_code == 500
    assert b"secret" not in answer.data


def test_an_unknown_page_is_404_and_a_wrong_method_405(app: Flask):
    client = app.test_client()
    assert client.get("/nothing").status_code == 404
    assert client.post("/health").status_code == 405


def test_the_server_answers_over_tcp_and_the_health_command_asks_it(
    app: Flask,
    worker: FakeWorker,
    serve: Callable[[Flask], HttpServer],
    capsys: pytest.CaptureFixture[str],
):
    server = serve(app)

    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request("GET", "/health")
    response = connection.getresponse()
    assert response.status == 200
    assert json.loads(response.read())["status"] == "ok"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    connection.close()

    assert healthcheck.main([], {"HTTP_PORT": str(server.port)}) == 0
    worker.found = Health(("no clock",))
    assert healthcheck.main([], {"HTTP_PORT": str(server.port)}) == 1
    assert "no clock" in capsys.readouterr().out


@pytest.mark.parametrize("sent", [b"", b"GET /health HTTP/1.1\r\nHost: x"])
def test_600_half_open_connections_do_not_silence_health(
    app: Flask, serve: Callable[[Flask], HttpServer], sent: bytes
):
    server = serve(app)
    half_open = []
    try:
        for _ in range(600):
            half_open.append(socket.create_connection(("127.0.0.1", server.port), timeout=30))
            half_open[-1].sendall(sent)

        assert [healthcheck.ask(server.port) for _ in range(5)] == [0] * 5
        # Those that came first were closed for it, and the last ones are still being waited for.
        half_open[0].settimeout(30)
        assert half_open[0].recv(1) == b""
        half_open[-1].sendall(b"GET /health HTTP/1.0\r\n\r\n" if not sent else b"\r\n\r\n")
        assert half_open[-1].recv(12).startswith(b"HTTP/1.")
    finally:
        for connection in half_open:
            connection.close()


def test_the_health_command_fails_when_nobody_answers(capsys: pytest.CaptureFixture[str]):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert healthcheck.main([], {"HTTP_PORT": str(unused.getsockname()[1])}) == 1
    assert "no answer" in capsys.readouterr().out


def test_the_health_command_needs_no_site_packages():
    # As in docker-compose.yml; a package that it needs would make every container unhealthy.
    command = [sys.executable, "-S", "-m", "services.runtime.service.healthcheck", "cdb_nothing"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert "set HTTP_PORT, or name one of" in done.stdout


def test_every_service_has_a_port_of_its_own():
    assert sorted(HTTP_PORTS) == sorted(topics.SERVICES)
    assert len(set(HTTP_PORTS.values())) == len(HTTP_PORTS)


def test_the_health_command_without_a_port_says_what_to_set(capsys: pytest.CaptureFixture[str]):
    assert healthcheck.main([], {}) == 1
    assert "HTTP_PORT" in capsys.readouterr().out


def test_a_port_in_use_is_named_with_the_remedy(app: Flask, serve: Callable[[Flask], HttpServer]):
    port = serve(app).port
    with pytest.raises(SettingError, match=f"HTTP_PORT={port} is in use.*another HTTP_PORT"):
        HttpServer(app, "127.0.0.1", port)


def test_an_address_of_another_machine_is_named(app: Flask):
    with pytest.raises(SettingError, match=r"HTTP_HOST=192\.0\.2\.1"):
        HttpServer(app, "192.0.2.1", 0)


def test_merged_health_is_healthy_only_if_each_is():
    good, bad = Health(measured={"a": 1}), Health(("b is away",), {"b": 2})
    assert merged([lambda: good]).ok
    both = merged([lambda: good, lambda: bad])
    assert both.reasons == ("b is away",)
    assert both.measured == {"a": 1, "b": 2}


def test_closing_at_any_moment_ends_it_and_closing_again_is_harmless(
    app: Flask, serve: Callable[[Flask], HttpServer]
) -> None:
    server = serve(app)

    class LateTrigger:
        """The loop has seen the flag and ended before it is woken up."""

        def __init__(self, inner: object) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> object:
            return getattr(self._inner, name)

        def pull_trigger(self) -> None:
            server._thread.join(5)
            server_behind.pull_trigger()

    server_behind = server._server
    server._server = LateTrigger(server_behind)

    server.close()
    server.close()

    assert not server._thread.is_alive()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", server.port), timeout=1)
