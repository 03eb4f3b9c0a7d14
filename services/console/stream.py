"""Server-sent events: each view of the desk, and each event that is not a tick."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final

MOST_STREAMS: Final = 200
"""Open at a time; one more is answered 503."""
MOST_WAITING: Final = 500
"""Messages that a slow page may be behind; then its stream ends, and it connects again."""
MOST_MISSED: Final = 500
"""Events that a page which was away gets; after more it reads the record again."""
PING_S: Final = 10.0


class TooManyStreamsError(RuntimeError):
    """`MOST_STREAMS` pages are open already."""


class _Client:
    """One open page: what waits to be sent to it."""

    def __init__(self) -> None:
        self.waiting: deque[bytes] = deque()
        self.wake = asyncio.Event()
        self.is_open = True


class Hub:
    """All open streams. Its methods are called on the event loop's thread, but for `post`.

    Args:
        loop: The server's event loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._clients: set[_Client] = set()
        self._last_view: bytes | None = None
        self._is_closed = False

    @property
    def open_streams(self) -> int:
        """Number of pages that listen."""
        return len(self._clients)

    def post_view(self, view: dict[str, Any]) -> None:
        """Send a view to every page; from any thread."""
        self._from_thread(message("now", view), is_view=True)

    def post_event(self, row: dict[str, Any]) -> None:
        """Send an event to every page; from any thread."""
        self._from_thread(message("event", row, row["seq"]))

    def post_link(self, state: str) -> None:
        """Say that the bus is ``up`` or ``away``; from any thread."""
        self._from_thread(message("bus", {"state": state}))

    def close(self) -> None:
        """End every stream; from any thread."""
        self._loop.call_soon_threadsafe(self._close)

    async def stream(self, missed: list[dict[str, Any]] | None) -> AsyncIterator[bytes]:
        """What one page receives, until the hub closes or the page falls behind.

        Args:
            missed: Events since the page's last one; None where there were too many.

        Raises:
            TooManyStreamsError: See there.
        """
        client = self.join()
        try:
            yield b"retry: 1000\n\n"
            if missed is None:
                yield message("reload", {})
            for row in missed or ():
                yield message("event", row, row["seq"])
            if self._last_view is not None:
                yield self._last_view
            while client.is_open:
                while client.waiting:
                    yield client.waiting.popleft()
                client.wake.clear()
                try:
                    await asyncio.wait_for(client.wake.wait(), PING_S)
                except TimeoutError:
                    yield b": still here\n\n"
        finally:
            self._clients.discard(client)

    def join(self) -> _Client:
        """Register a page.

        Raises:
            TooManyStreamsError: See there.
        """
        if self._is_closed or len(self._clients) >= MOST_STREAMS:
            raise TooManyStreamsError(f"{MOST_STREAMS} pages are open; close one and load again")
        client = _Client()
        self._clients.add(client)
        return client

    @property
    def is_full(self) -> bool:
        """Whether another page would be refused."""
        return self._is_closed or len(self._clients) >= MOST_STREAMS

    def _from_thread(self, data: bytes, *, is_view: bool = False) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._send, data, is_view)

    def _send(self, data: bytes, is_view: bool) -> None:
        if is_view:
            self._last_view = data
        for client in tuple(self._clients):
            client.waiting.append(data)
            if len(client.waiting) > MOST_WAITING:
                client.is_open = False
                self._clients.discard(client)
            client.wake.set()

    def _close(self) -> None:
        self._is_closed = True
        for client in tuple(self._clients):
            client.is_open = False
            client.wake.set()


def message(name: str, body: dict[str, Any], identity: int | None = None) -> bytes:
    """One server-sent event; JSON has no line ends, so the data is one line."""
    head = "" if identity is None else f"id: {identity}\n"
    return f"{head}event: {name}\ndata: {json.dumps(body, separators=(',', ':'))}\n\n".encode()
