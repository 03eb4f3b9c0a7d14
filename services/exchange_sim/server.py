"""The fake exchange on a port: WebSocket at /edge, REST and control beside it."""

import asyncio
import http
import logging
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from services.exchange_sim.control import PREFIX, Control
from services.exchange_sim.exchange import Admission, Exchange
from services.exchange_sim.peer import Frame, PeerGone
from services.exchange_sim.rest import HttpAnswer

WS_PATH: Final = "/edge"
HEALTH_PATH: Final = "/health"
FLUSH_BYTES: Final = 1 << 16
CLOSE_TIMEOUT_S: Final = 2.0

# A connection that a fault cuts in its handshake is an error to the library, and the aim here.
_quiet = logging.getLogger("services.exchange_sim.websockets")
_quiet.setLevel(logging.CRITICAL)


class WebSocketPeer:
    """One client on a real socket.

    Frames of one moment are written together: a client then reads many at once, as it does from a
    busy exchange, and the exchange needs a fraction of the system calls.

    Args:
        connection: Accepted, without compression.
    """

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        self._waiting = bytearray()
        self._flushing = False
        self._loop = asyncio.get_running_loop()

    async def send(self, frame: Frame) -> None:
        """Write a frame; waits while the client does not read.

        Raises:
            PeerGone: The connection has ended.
        """
        transport = self._connection.transport
        if transport.is_closing():
            raise PeerGone("the connection is closing")
        self._waiting += framed(frame)
        if len(self._waiting) >= FLUSH_BYTES:
            self._flush()
            await self._connection.drain()
        elif not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    async def recv(self) -> Frame:
        """The client's next frame.

        Raises:
            PeerGone: The connection has ended.
        """
        try:
            return await self._connection.recv()
        except (ConnectionClosed, OSError) as error:
            raise PeerGone(str(error)) from error

    async def close(self, code: int) -> None:
        """Close with a close frame."""
        self._flush()
        await self._connection.close(code)

    def abort(self) -> None:
        """Cut the connection."""
        self._waiting.clear()
        self._connection.transport.abort()

    def _flush(self) -> None:
        self._flushing = False
        if self._waiting and not self._connection.transport.is_closing():
            self._connection.transport.write(bytes(self._waiting))
        self._waiting.clear()


def framed(frame: Frame) -> bytes:
    """A whole WebSocket message as a server writes it (RFC 6455, section 5.2)."""
    body = frame.encode() if isinstance(frame, str) else frame
    first = b"\x81" if isinstance(frame, str) else b"\x82"
    size = len(body)
    if size < 126:
        return first + bytes((size,)) + body
    if size < 1 << 16:
        return first + b"\x7e" + size.to_bytes(2, "big") + body
    return first + b"\x7f" + size.to_bytes(8, "big") + body


class ExchangeServer:
    """An exchange on a port.

    Args:
        exchange: Runs in the same loop.
        host, port: Where it listens; port 0 takes a free one.
        control: Whether faults can be begun and cleared at ``/sim/``.

    Attributes:
        host, wanted_port: As given.
    """

    def __init__(self, exchange: Exchange, host: str, port: int, *, control: bool = False) -> None:
        self._exchange = exchange
        self.host = host
        self.wanted_port = port
        self._control = Control(exchange) if control else None
        self._server: Server | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None, "the server was not started"
        port: int = next(iter(self._server.sockets)).getsockname()[1]
        return port

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: The port is taken, or the address is not ours.
        """
        self._server = await serve(
            self._serve, self.host, self.wanted_port,
            process_request=self._request, compression=None, ping_interval=None,
            close_timeout=CLOSE_TIMEOUT_S, max_queue=None, logger=_quiet,
        )  # fmt: skip

    async def run(self, started: Callable[[], None] = lambda: None) -> None:
        """Listen and let the market run, until cancelled.

        Raises:
            OSError: The port is taken, or the address is not ours.
        """
        await self.start()
        assert self._server is not None
        started()
        try:
            await self._exchange.run()
        finally:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, connection: ServerConnection) -> None:
        await self._exchange.serve(WebSocketPeer(connection))

    async def _request(self, connection: ServerConnection, request: Request) -> Response | None:
        address = urlsplit(request.path)
        if address.path == HEALTH_PATH:
            return _response(HttpAnswer(200, b'{"status":"ok","service":"cdb_sim"}\n'))
        if address.path.startswith(PREFIX) and self._control is not None:
            return _response(self._control.answer(address.path, address.query))
        if address.path != WS_PATH:
            return _response(await self._exchange.answer(address.path, address.query))
        admission = self._exchange.admit()
        if admission is Admission.MOVED:
            return _response(HttpAnswer(404, b"not found"))
        if admission is Admission.ACCEPT:
            return None
        if admission is Admission.DROP_HANDSHAKE:
            connection.transport.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: web")
            connection.transport.close()
        else:
            connection.transport.abort()
        return _response(HttpAnswer(503, b""))  # nobody reads it


def _response(answer: HttpAnswer) -> Response:
    kind = "application/json" if answer.body[:1] in {b"{", b"["} else "text/plain"
    headers = Headers(
        [
            ("Content-Type", kind),
            ("Content-Length", str(len(answer.body))),
            ("Connection", "close"),
        ]
    )
    if answer.location:
        headers["Location"] = answer.location
    return Response(answer.status, http.HTTPStatus(answer.status).phrase, headers, answer.body)
