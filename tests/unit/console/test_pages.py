"""Who may read, who may act, and what a page says when something is away."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask.testing import FlaskClient

from services.console import actions, session
from services.console.pages import create_app
from services.console.reader import RecordReader
from services.console.sources import DeskSources
from services.console.watch import Watch
from services.runtime.bus.redis.address import RedisAddress
from services.runtime.database.address import DatabaseAddress, DatabaseAwayError
from services.runtime.database.connections import Connection

pytestmark = pytest.mark.unit
TOKEN = "a token for tests"  # noqa: S105
NOWHERE = RedisAddress("127.0.0.1", 1, "operator", "x")
DATABASE = DatabaseAddress("127.0.0.1", 1, "nothing", "nobody", "x")


class AwayReader(RecordReader):
    """A record whose database does not answer."""

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        raise DatabaseAwayError("the database at 127.0.0.1:1 does not answer")
        yield


@pytest.fixture
def client() -> FlaskClient:
    sources = DeskSources("a test", NOWHERE, DATABASE, {}, TOKEN)
    watch = Watch({}, lambda _view: None, lambda: False)
    return create_app(sources, watch, AwayReader(DATABASE)).test_client()


def posted(
    client: FlaskClient, path: str, body: Any, *, origin: str | None = "http://localhost"
) -> Any:
    csrf = client.get("/api/session").json or {}
    headers = {"X-CSRFToken": str(csrf.get("csrf_token"))}
    if origin is not None:
        headers["Origin"] = origin
    return client.post(path, json=body, headers=headers)


def logged_in(client: FlaskClient) -> FlaskClient:
    assert posted(client, "/api/login", {"token": TOKEN}).status_code == 200
    return client


def test_reading_needs_no_token(client: FlaskClient) -> None:
    assert client.get("/").status_code == 200
    assert client.get("/api/now").json["state"]["name"] == "UNKNOWN"  # type: ignore[index]


def test_the_token_is_on_no_page(client: FlaskClient) -> None:
    logged_in(client)
    for path in ("/", "/api/now", "/api/settings", "/api/session", "/static/app.js"):
        with client.get(path) as page:
            assert TOKEN.encode() not in page.data


def test_another_token_begins_no_session(client: FlaskClient) -> None:
    refused = posted(client, "/api/login", {"token": "another"})

    assert refused.status_code == 403
    assert "CONSOLE_TOKEN" in refused.json["error"]
    assert client.get("/api/session").json["logged_in"] is False  # type: ignore[index]


def test_guessing_is_slowed_down(client: FlaskClient) -> None:
    codes = [posted(client, "/api/login", {"token": str(n)}).status_code for n in range(7)]

    assert codes[0] == 403
    assert codes[-1] == 429


def test_an_action_needs_a_session(client: FlaskClient) -> None:
    body = {"reason": "drill", "confirmation": "HALT"}

    assert posted(client, "/api/actions/halt", body).status_code == 401


@pytest.mark.parametrize("origin", [None, "http://elsewhere.example", "null"])
def test_another_site_s_page_cannot_act(client: FlaskClient, origin: str | None) -> None:
    logged_in(client)
    body = {"reason": "drill", "confirmation": "HALT"}

    assert posted(client, "/api/actions/halt", body, origin=origin).status_code == 403


def test_a_request_without_the_csrf_token_is_refused(client: FlaskClient) -> None:
    logged_in(client)
    body = {"reason": "drill", "confirmation": "HALT"}

    refused = client.post("/api/actions/halt", json=body, headers={"Origin": "http://localhost"})

    assert refused.status_code == 400


def test_a_name_of_another_site_is_not_this_machine(client: FlaskClient) -> None:
    assert client.get("/api/now", headers={"Host": "evil.example:8004"}).status_code == 421
    for host in ("localhost:8004", "127.0.0.1:8004", "192.168.1.7", "[::1]:8004"):
        assert client.get("/api/now", headers={"Host": host}).status_code == 200


def test_a_session_ends_after_its_lifetime(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged_in(client)
    later = session.time.time() + session.LIFETIME_S + 1
    monkeypatch.setattr(session.time, "time", lambda: later)

    assert client.get("/api/session").json["logged_in"] is False  # type: ignore[index]


def test_logging_out_ends_the_session(client: FlaskClient) -> None:
    logged_in(client)
    posted(client, "/api/logout", {})

    assert client.get("/api/session").json["logged_in"] is False  # type: ignore[index]


@pytest.mark.parametrize(
    ("action", "body", "complaint"),
    [
        ("sell", {"reason": "x", "confirmation": "SELL"}, "no action"),
        ("halt", {"reason": " ", "confirmation": "HALT"}, "reason"),
        ("halt", {"reason": "x" * 501, "confirmation": "HALT"}, "500"),
        ("halt", {"reason": "x", "confirmation": "halt"}, "type HALT"),
        ("close-all", {"reason": "x", "confirmation": "CLOSE ALL"}, "no open position"),
    ],
)
def test_an_incomplete_request_says_what_is_missing(
    client: FlaskClient, action: str, body: dict[str, str], complaint: str
) -> None:
    refused = posted(logged_in(client), f"/api/actions/{action}", body)

    assert refused.status_code == 400
    assert complaint in refused.json["error"]


def test_every_action_has_a_word_of_its_own() -> None:
    assert len(set(actions.CONFIRMATIONS.values())) == len(actions.CONFIRMATIONS)


def test_an_action_without_a_bus_says_so(client: FlaskClient) -> None:
    body = {"reason": "drill", "confirmation": "HALT"}

    away = posted(logged_in(client), "/api/actions/halt", body)

    assert away.status_code == 503
    assert "127.0.0.1:1" in away.json["error"]


def test_an_oversize_body_is_refused(client: FlaskClient) -> None:
    body = {"reason": "x" * 20_000, "confirmation": "HALT"}

    assert posted(logged_in(client), "/api/actions/halt", body).status_code in (400, 413)


def test_a_record_that_is_away_is_said_with_its_address(client: FlaskClient) -> None:
    away = client.get("/api/runs")

    assert away.status_code == 503
    assert "127.0.0.1:1" in away.json["error"]  # type: ignore[index]


def test_every_page_forbids_other_hosts_and_frames(client: FlaskClient) -> None:
    page = client.get("/")

    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    assert page.headers["X-Frame-Options"] == "DENY"
    assert b"http://" not in page.data.replace(b"http://www.w3.org/2000/svg", b"")


def test_vendored_scripts_carry_their_hash(client: FlaskClient) -> None:
    page = client.get("/").data.decode()

    assert page.count('integrity="sha384-') == 2
    assert client.get("/vendor/uPlot.iife.min.js").status_code == 200
    assert client.get("/vendor/NOTICE").status_code == 404


def test_another_token_ends_every_session() -> None:
    watch = Watch({}, lambda _view: None, lambda: False)
    first, second = (
        create_app(DeskSources("a test", NOWHERE, DATABASE, {}, token), watch, AwayReader(DATABASE))
        for token in (TOKEN, "rotated")
    )
    before = logged_in(first.test_client())
    cookie = before.get_cookie("claire_console")
    assert cookie is not None
    after = second.test_client()
    after.set_cookie("claire_console", cookie.value)

    assert after.get("/api/session").json["logged_in"] is False  # type: ignore[index]
    assert before.get("/api/session").json["logged_in"] is True  # type: ignore[index]
