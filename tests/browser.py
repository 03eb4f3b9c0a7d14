"""A page in Debian's Chromium, driven over its DevTools protocol; no driver is downloaded."""

import base64
import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.deadline import wait_until

PROGRAM: Final = shutil.which("chromium")
ANSWER_S: Final = 60.0
"""Of one DevTools command, on a busy machine."""
needs_chromium = pytest.mark.skipif(
    PROGRAM is None, reason="chromium is not installed: apt-get install chromium"
)
_OPTIONS: Final = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--no-first-run", "--mute-audio", "--hide-scrollbars", "--remote-debugging-port=0"),
)


class Browser:
    """One page.

    Attributes:
        requests: URL of every request that the page made.
        errors: What the page logged as an error.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._socket = socket
        self._ids = count(1)
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One DevTools command; events that arrive before its answer are noted."""
        wanted = next(self._ids)
        self._socket.send(json.dumps({"id": wanted, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(ANSWER_S))
            if message.get("id") == wanted:
                assert "error" not in message, f"{method}: {message['error']}"
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    def open(self, url: str) -> None:
        """Load a page."""
        self.call("Page.navigate", url=url)

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression, a promise's too."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, f"{expression}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def wait(self, expression: str, what: str, seconds: float = 60.0) -> Any:
        """Wait until an expression is true; its value."""
        return wait_until(lambda: self.ask(expression), f"{what} on the page", seconds, 0.2)

    def text(self, selector: str) -> str:
        """The text that a person sees in an element; empty where there is none."""
        return str(self.ask(f"document.querySelector({selector!r})?.innerText ?? ''"))

    def click(self, selector: str, text: str = "") -> None:
        """Click the first element of a selector whose text contains ``text``, once it is there."""
        found = (
            f"[...document.querySelectorAll({selector!r})]"
            f".find((one) => one.innerText.includes({text!r}))"
        )
        self.wait(f"!!{found}", f"{selector} {text}")
        self.ask(f"{found}.click()")

    def type(self, selector: str, text: str) -> None:
        """Fill a field."""
        self.wait(f"!!document.querySelector({selector!r})", selector)
        self.ask(f"document.querySelector({selector!r}).value = {text!r}")

    def screen(self, width: int, height: int, *, dark: bool = False) -> None:
        """The size of the window, and the colours that the system prefers."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, file: Path) -> None:
        """Write what the window shows as PNG."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def _note(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])
            case "Runtime.exceptionThrown":
                self.errors.append(json.dumps(parameters["exceptionDetails"]))
            case "Log.entryAdded" if parameters["entry"]["level"] == "error":
                self.errors.append(parameters["entry"]["text"])


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser with an empty profile.

    Args:
        folder: For the profile.
    """
    assert PROGRAM is not None
    profile = folder / "chromium"
    process = subprocess.Popen(
        [PROGRAM, *_OPTIONS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"HOME": str(folder)},
    )
    try:
        with connect(_page_address(profile), max_size=None) as socket:
            yield Browser(socket)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()


def _page_address(profile: Path) -> str:
    """Where the page's DevTools listen, once the browser has started."""
    port_file = profile / "DevToolsActivePort"
    wait_until(lambda: port_file.exists() and port_file.read_text(), "chromium starts", 90)
    port = port_file.read_text().split()[0]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=30) as answer:
        pages = json.load(answer)
    address: str = next(p["webSocketDebuggerUrl"] for p in pages if p["type"] == "page")
    return address
