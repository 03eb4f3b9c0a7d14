"""The console in a browser beside a live run: it moves, explains, stops trading and releases it."""

import json
from pathlib import Path

import pytest

from services.kernel.events import topics
from services.runtime.service.http_query import get_json
from services.runtime.settings.secrets import CONSOLE_TOKEN
from tests.browser import Browser, browser, needs_chromium
from tests.claire_command import Claire, commands_in
from tests.deadline import wait_until
from tests.outside import post_as_operator

pytestmark = [pytest.mark.integration, pytest.mark.slow, needs_chromium]
EARLY = {
    "LOOKBACK_MINUTES": "2",
    "SIGNAL_COOLDOWN_SEC": "5",
    "SIGNAL_THRESHOLD_PCT": "0.001",
    "MAX_TRADES_PER_HOUR": "1",
    "MAX_SIGNAL_AGE_SEC": "60",
}
"""Settings with which the first entry and the first refused signal come within seconds."""
MARKUP = "<img src=x onerror=document.title='broken'>"


def test_a_person_watches_asks_stops_and_releases_a_live_run(tmp_path: Path) -> None:
    settings = [word for name, value in EARLY.items() for word in ("--set", f"{name}={value}")]
    with commands_in(tmp_path) as claire, browser(tmp_path) as page:
        url = console_of(claire, *settings)
        page.screen(1280, 900)
        page.open(url)
        page.wait("document.querySelector('.state .word')?.innerText === 'ACTIVE'", "ACTIVE")

        it_moves(page)
        a_message_from_outside_is_text(claire, page)
        a_refused_signal_is_explained(page)
        halt_and_release(claire, page)

        it_fits_a_phone(page, url)
        strange = [one for one in page.requests if not one.startswith((url, "data:"))]
        assert (strange, page.errors) == ([], [])


def console_of(claire: Claire, *settings: str) -> str:
    """Start a live run; the address that it prints."""
    market = ("--source", "synthetic", "--speed", "20", "--symbols", "BTC_USDT,ETH_USDT")
    process = claire.start("run-paper", "--fresh", *market, *settings)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("page "):
            return answering(line.split()[1].rstrip(","))
    raise AssertionError(f"no page: {process.stderr and process.stderr.read()}")


def answering(url: str) -> str:
    """The address, once somebody answers there."""
    wait_until(lambda: get_json(f"{url}/health").status, "the console answers", 60)
    return url


def it_moves(page: Browser) -> None:
    clock = "document.querySelector('.state')?.innerText.match(/market time ([^U]+)/)?.[1]"
    before = page.wait(clock, "the market's time")
    page.wait(f"{clock} !== {json.dumps(before)}", "a later time")
    page.wait(
        "/^[0-9]/.test(document.getElementById('equity')?.innerText)"
        " && document.getElementById('equity').innerText !== '100,000.00'",
        "an equity other than the start's",
    )


def a_message_from_outside_is_text(claire: Claire, page: Browser) -> None:
    """What an alert carries is shown, and never becomes markup."""
    post_as_operator(claire.home, topics.ALERTS, {"level": "warning", "message": MARKUP})

    page.wait("document.querySelector('.feed')?.innerText.includes('<img src=x')", "the alert")
    assert page.ask("document.querySelectorAll('.feed img').length") == 0
    assert page.ask("document.title") == "Claire de Binare"


def a_refused_signal_is_explained(page: Browser) -> None:
    page.click("nav a", "Chart")
    page.wait("!!document.querySelector('.chart canvas')", "the candles")
    page.wait("document.querySelector('.legend')?.innerText.includes('refused:')", "a refusal")
    page.click("section:last-child tr.click")

    page.wait("!!document.querySelector('.story li.subject')", "the explanation")
    assert "layer" in page.text("#drawer").lower()


def halt_and_release(claire: Claire, page: Browser) -> None:
    act(page, "Halt", "HALT", token=claire.home.passwords((CONSOLE_TOKEN,))[CONSOLE_TOKEN])
    page.click("nav a", "Now")
    page.wait("document.querySelector('.state .word')?.innerText === 'HALTED'", "HALTED")
    assert "OPERATOR" in page.text(".state")

    act(page, "Release", "RELEASE")
    page.wait("document.querySelector('.state .word')?.innerText === 'ACTIVE'", "ACTIVE")


def it_fits_a_phone(page: Browser, url: str) -> None:
    page.screen(390, 844, dark=True)
    for name in ("now", "chart", "why", "record", "settings"):
        page.open(f"{url}/#{name}")
        page.wait("!!document.querySelector('#screen .panel')", f"the screen {name}")
        width = page.ask("document.documentElement.scrollWidth")
        assert width <= 390, f"{name} is {width} pixels wide"


def act(page: Browser, title: str, word: str, token: str | None = None) -> None:
    """Do an action as a person does, with the token when it is asked for."""
    page.click("#act")
    if token is not None:
        page.type("dialog input[type=password]", token)
        page.click("dialog button", "Log in")
    page.click("dialog .tiles button", title)
    page.type("dialog input[maxlength]", "a browser test")
    page.type("dialog input[autocapitalize]", word)
    page.click("dialog button", title)
    page.wait("document.querySelector('dialog h2')?.innerText.includes('done')", f"{title} done")
    page.click("dialog button", "Close")
