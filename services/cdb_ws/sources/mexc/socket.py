"""One WebSocket to MEXC, kept open by a thread of its own; what it receives goes into a queue.

The thread only moves frames, so that its ping timer is never late: the venue closes a connection
after a minute without a client's ping, however much it sends itself.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Sequence
from random import Random
from typing import Final, NamedTuple

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from services.cdb_ws.sources.mexc.backoff import Backoff
from services.cdb_ws.sources.mexc.messages import PING

PING_EVERY_S: Final = 15.0
SILENCE_S: Final = 30.0
OPEN_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 2.0
COMMANDS_PER_S: Final = 10
MAX_FRAME_BYTES: Final = 16 << 20
INBOX_FRAMES: Final = 20_000


class Received(NamedTuple):
    """A frame, and the number of the connection it came on."""

    connection: int
    body: str | bytes


class Lost(NamedTuple):
    """A connection ended, or could not be made."""

    connection: int
    reason: str


class MexcSocket:
    """A connection that is made again whenever it ends.

    Args:
        url: The WebSocket address.
        commands: What is sent after each connecting.
        random: Jitter of the waits between attempts.

    Attributes:
        inbox: What was received, oldest first.
        dropped: Frames that found the inbox full.
        connections: Connections made so far; the number of the present one.
    """

    def __init__(self, url: str, commands: Sequence[str], random: Random | None = None) -> None:
        self.inbox: queue.Queue[Received | Lost] = queue.Queue(INBOX_FRAMES)
        self.dropped = 0
        self.connections = 0
        self._url = url
        self._commands = list(commands)
        self._backoff = Backoff(random or Random())  # noqa: S311 - spreads attempts only
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._outbox: asyncio.Queue[str] | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mexc-socket", daemon=True)

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._thread.start()
        self._ready.wait(OPEN_TIMEOUT_S)

    def send(self, command: str) -> None:
        """Send a further command on the present connection, soon."""
        if self._loop is not None and self._outbox is not None:
            self._loop.call_soon_threadsafe(self._outbox.put_nowait, command)

    def close(self) -> None:
        """Disconnect and end the thread."""
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended already
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(CLOSE_TIMEOUT_S * 2)

    def _run(self) -> None:
        asyncio.run(self._keep_connected())

    async def _keep_connected(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = stop = asyncio.Event()
        self._outbox = asyncio.Queue()
        self._ready.set()
        stopping = asyncio.create_task(stop.wait())
        while not stop.is_set():
            session = asyncio.create_task(self._session())
            await asyncio.wait({session, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not session.done():
                session.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await session
                return
            self._put(Lost(self.connections, session.result()))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._backoff.next_wait())

    async def _session(self) -> str:
        """One connection from its opening to its end; returns why it ended."""
        try:
            async with connect(
                self._url,
                ping_interval=None,  # the venue counts its own text pings only
                compression=None,
                max_size=MAX_FRAME_BYTES,
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=CLOSE_TIMEOUT_S,
            ) as connection:
                self.connections += 1
                senders = [
                    asyncio.create_task(_ping(connection)),
                    asyncio.create_task(self._send_commands(connection)),
                ]
                try:
                    return await self._receive(connection)
                finally:
                    for sender in senders:
                        sender.cancel()
                    await asyncio.gather(*senders, return_exceptions=True)
        except (OSError, WebSocketException, EOFError) as error:
            return f"{type(error).__name__}: {error}"

    async def _send_commands(self, connection: ClientConnection) -> None:
        for command in self._commands:
            await connection.send(command)
            await asyncio.sleep(1 / COMMANDS_PER_S)
        assert self._outbox is not None
        while True:
            await connection.send(await self._outbox.get())
            await asyncio.sleep(1 / COMMANDS_PER_S)

    async def _receive(self, connection: ClientConnection) -> str:
        number = self.connections
        while True:
            try:
                async with asyncio.timeout(SILENCE_S):
                    body = await connection.recv()
            except TimeoutError:
                return f"nothing received for {SILENCE_S:g} s"
            if self._backoff.attempts and _is_data(body):
                self._backoff.reset()
            self._put(Received(number, body))

    def _put(self, item: Received | Lost) -> None:
        try:
            self.inbox.put_nowait(item)
        except queue.Full:
            self.dropped += 1


async def _ping(connection: ClientConnection) -> None:
    """At once and at a fixed pace, whatever else is sent or received."""
    while True:
        await connection.send(PING)
        await asyncio.sleep(PING_EVERY_S)


def _is_data(body: str | bytes) -> bool:
    return isinstance(body, bytes) or '"push.' in body
