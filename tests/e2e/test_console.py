"""The web console of the stack, as a browser reaches it on this machine."""

import http.cookiejar
import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.deadline import wait_until
from tests.e2e.stack import SERVICES, Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

WITHIN_S = 60.0


class Page:
    """A page of the console: its cookies, its origin and its CSRF token."""

    def __init__(self, stack: Stack) -> None:
        self.url = stack.console
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(cookies)

    def get(self, path: str) -> Any:
        with self._opener.open(f"{self.url}{path}", timeout=10) as answer:
            return json.load(answer)

    def post(self, path: str, body: dict[str, Any], origin: str | None = None) -> tuple[int, Any]:
        content = json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", content)  # noqa: S310
        request.add_header("Content-Type", "application/json")
        request.add_header("Origin", origin or self.url)
        request.add_header("X-CSRFToken", self.get("/api/session")["csrf_token"])
        try:
            with self._opener.open(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def act(self, action: str, word: str) -> tuple[int, Any]:
        return self.post(f"/api/actions/{action}", {"reason": "an e2e test", "confirmation": word})

    def state_becomes(self, state: str) -> None:
        wait_until(lambda: self.state() == state, f"the state {state}", WITHIN_S)

    def state(self) -> str | None:
        """The state in which trading is; None while the console does not answer."""
        try:
            name: str = self.get("/api/now")["state"]["name"]
        except OSError:
            return None
        return name


def test_it_shows_the_state_and_every_service(external: Stack) -> None:
    page = Page(external)

    page.state_becomes("ACTIVE")

    wait_until(
        lambda: all(one["healthy"] for one in page.get("/api/now")["services"]), "green", WITHIN_S
    )
    assert {one["name"] for one in page.get("/api/now")["services"]} == set(SERVICES)
    assert page.get("/services/cdb_db_writer/health")["status"] == "ok"
    assert "runs" in page.get("/api/runs")


def test_it_halts_with_the_token_only(external: Stack) -> None:
    page = Page(external)

    assert page.act("halt", "HALT")[0] == 401
    assert page.post("/api/login", {"token": "a guess"})[0] == 403
    login = {"token": external.env["CONSOLE_TOKEN"]}
    assert page.post("/api/login", login, origin="http://elsewhere.example")[0] == 403
    page.state_becomes("ACTIVE")

    assert page.post("/api/login", login)[0] == 200
    status, halted = page.act("halt", "HALT")
    assert status == 200, halted
    page.state_becomes("HALTED")
    assert page.act("reset", "RELEASE")[0] == 200
    page.state_becomes("ACTIVE")

    who = "SELECT body->>'issued_by' FROM events WHERE body->>'type' = 'halt' ORDER BY seq DESC"
    wait_until(
        lambda: (external.query(who) or [("",)])[0][0].startswith("console "),
        "the record",
        WITHIN_S,
    )


def test_its_death_is_alerted_and_stops_nothing(external: Stack) -> None:
    restarts = external.inspect("cdb_paper_runner")["RestartCount"]
    kill = (
        "import os, pathlib;"
        "[os.kill(int(p.parent.name), 9) for p in pathlib.Path('/proc').glob('[0-9]*/cmdline')"
        " if b'services.console' in p.read_bytes() and int(p.parent.name) != os.getpid()]"
    )

    external.run_in("cdb_paper_runner", "python", "-c", kill)

    alerted = "SELECT count(*) FROM alerts WHERE code = 'CONSOLE_DOWN'"
    wait_until(lambda: external.one(alerted), "the alert", WITHIN_S)
    wait_until(lambda: external.get("cdb_paper_runner", "/health")[0] == 200, "green", WITHIN_S)
    Page(external).state_becomes("ACTIVE")
    assert external.inspect("cdb_paper_runner")["RestartCount"] == restarts
