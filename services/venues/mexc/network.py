"""What the engine needs of a network: sockets, GET requests and the wall's time; and the real one.

The engine is one asyncio program over a ``Network``. A simulation hands in pipes in memory and a
loop whose time jumps; production hands in ``InternetNetwork``.
"""

import asyncio
import time
import urllib.error
import urllib.request
from typing import Final, Protocol

from msgspec import Struct
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

OPEN_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 2.0
GET_TIMEOUT_S: Final = 8.0
MAX_FRAME_BYTES: Final = 16 << 20
MAX_BODY_BYTES: Final = 64 << 20
UNREAD_FRAMES: Final = 1024
"""Frames that wait in a socket's buffer before the venue's sending is slowed down."""


class ConnectionLost(Exception):
    """A connection could not be made, or has ended; the message says how."""


class Connection(Protocol):
    """One WebSocket connection."""

    async def send(self, text: str) -> None:
        """Send a text frame.

        Raises:
            ConnectionLost: It has ended.
        """

    async def recv(self) -> str | bytes:
        """The next frame, in the order of their sending.

        Raises:
            ConnectionLost: It has ended.
        """

    async def close(self) -> None:
        """End it; closing twice is allowed."""


class Answer(Struct, frozen=True):
    """What an HTTP server answered."""

    status: int
    body: bytes


class Network(Protocol):
    """What the engine reaches the venue with."""

    async def connect(self, url: str) -> Connection:
        """Open a WebSocket.

        Raises:
            ConnectionLost: Refused, no handshake, or none in time.
        """

    async def get(self, url: str) -> Answer:
        """Fetch an address; an answer with an error status is an answer.

        Raises:
            OSError: No answer (``TimeoutError``: none in time).
        """

    def now_ms(self) -> int:
        """Wall time, Unix milliseconds."""


class InternetNetwork:
    """The real network."""

    async def connect(self, url: str) -> Connection:
        """Open a WebSocket without compression and without the library's own pings.

        Raises:
            ConnectionLost: Refused, no handshake, or none in time.
        """
        try:
            opened = await connect(
                url,
                ping_interval=None,  # the venue counts its own text pings only
                compression=None,
                max_size=MAX_FRAME_BYTES,
                max_queue=UNREAD_FRAMES,
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=CLOSE_TIMEOUT_S,
            )
        except (OSError, WebSocketException, EOFError, ValueError) as error:
            raise ConnectionLost(f"{type(error).__name__}: {error}") from error
        return _InternetConnection(opened)

    async def get(self, url: str) -> Answer:
        """Fetch an address in a thread, so that nothing else waits for it.

        Raises:
            OSError: No answer.
            ValueError: Not an http address.
        """
        return await asyncio.to_thread(_get, url)

    def now_ms(self) -> int:
        """Wall time, Unix milliseconds."""
        return time.time_ns() // 1_000_000


class _InternetConnection:
    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def send(self, text: str) -> None:
        try:
            await self._connection.send(text)
        except (ConnectionClosed, OSError) as closed:
            raise ConnectionLost(str(closed)) from closed

    async def recv(self) -> str | bytes:
        try:
            # Text stays bytes: the decoder wants bytes, and one decoding less is time saved.
            return await self._connection.recv(decode=False)
        except (ConnectionClosed, OSError) as closed:
            raise ConnectionLost(str(closed)) from closed

    async def close(self) -> None:
        await self._connection.close()


def _get(url: str) -> Answer:
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"MEXC_REST_URL {url!r} is no http address; set one that is")
    request = urllib.request.Request(url, headers={"Language": "en-US"})  # noqa: S310 - checked
    try:
        with urllib.request.urlopen(request, timeout=GET_TIMEOUT_S) as answer:  # noqa: S310 - checked
            return Answer(answer.status, answer.read(MAX_BODY_BYTES))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read(MAX_BODY_BYTES))
