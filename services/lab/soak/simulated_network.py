"""A network in memory between the engine and the fake exchange.

Frames keep their order, take some time, wait until they are read, and are lost when a connection is
cut. All times are those of the event loop.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Final

from services.exchange_sim.peer import Frame, PeerGone
from services.venues.mexc.network import MAX_FRAME_BYTES, ConnectionLost

GET_TIMEOUT_S: Final = 8.0
MOST_UNREAD: Final = 2_000
"""Frames on the way in one direction before the sender has to wait."""

QUICKEST_S: Final = 0.002
SLOWEST_S: Final = 0.120


class _Pipe:
    """One direction of a connection."""

    def __init__(self, delay: Callable[[], float]) -> None:
        self._loop = asyncio.get_running_loop()
        self._delay = delay
        self._sent: deque[tuple[float, Frame]] = deque()
        self._arrived: deque[Frame] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._writers: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._last_due = 0.0
        self.ending: str | None = None
        """Why nothing more will be sent; what is on the way still arrives."""

    async def put(self, frame: Frame) -> None:
        while self.ending is None and len(self._sent) + len(self._arrived) >= MOST_UNREAD:
            room = self._loop.create_future()
            self._writers.append(room)
            await room
        if self.ending is not None:
            return
        self._last_due = max(self._last_due, self._loop.time() + self._delay())
        self._sent.append((self._last_due, frame))
        self._plan()

    async def take(self) -> Frame | None:
        """The next frame; None at the end."""
        while not self._arrived:
            if self.ending is not None and not self._sent:
                return None
            self._reader = self._loop.create_future()
            await self._reader
        frame = self._arrived.popleft()
        while self._writers and (room := self._writers.popleft()):
            if not room.done():
                room.set_result(None)
        return frame

    def end(self, why: str, *, cut: bool = False) -> None:
        """Nothing more comes; what is on the way is lost when the connection is cut."""
        if cut:
            self._sent.clear()
        if self.ending is None:
            self.ending = why
        while self._writers:
            room = self._writers.popleft()
            if not room.done():
                room.set_result(None)
        self._wake()

    def _plan(self) -> None:
        if self._timer is None and self._sent:
            self._timer = self._loop.call_at(self._sent[0][0], self._deliver)

    def _deliver(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._sent and self._sent[0][0] <= now:
            self._arrived.append(self._sent.popleft()[1])
        self._wake()
        self._plan()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


class ClientEnd:
    """The engine's end: a ``Connection``.

    Attributes:
        sent: Commands sent, for inspection.
        lost: Called once with the reason when the client learns of the end.
    """

    def __init__(
        self,
        up: _Pipe,
        down: _Pipe,
        on_sent: Callable[["ClientEnd", str], None],
        on_lost: Callable[["ClientEnd", str], None],
    ) -> None:
        self._up = up
        self._down = down
        self._on_sent = on_sent
        self._on_lost = on_lost
        self._over = False

    async def send(self, text: str) -> None:
        """Send a text frame.

        Raises:
            ConnectionLost: It has ended.
        """
        if self._up.ending is not None:
            self._say_lost(self._up.ending)
        self._on_sent(self, text)
        await self._up.put(text)

    async def recv(self) -> str | bytes:
        """The next frame, text as bytes, as the real network gives it.

        Raises:
            ConnectionLost: It has ended.
        """
        frame = await self._down.take()
        if frame is None:
            self._say_lost(self._down.ending or "ended")
        body = frame.encode() if isinstance(frame, str) else frame
        assert body is not None
        if len(body) > MAX_FRAME_BYTES:
            await self.close()
            self._say_lost(f"a frame of {len(body)} bytes is over the limit of {MAX_FRAME_BYTES}")
        return body

    async def close(self) -> None:
        """End it; closing twice is allowed."""
        self.vanish()

    def vanish(self) -> None:
        """End it from outside: the process that held it was killed."""
        self._over = True
        self._up.end("closed by the client")
        self._down.end("closed by the client", cut=True)

    def _say_lost(self, why: str) -> None:
        if not self._over:
            self._over = True
            self._on_lost(self, why)
        raise ConnectionLost(why)


class ServerEnd:
    """The exchange's end: a ``Peer``."""

    def __init__(self, up: _Pipe, down: _Pipe) -> None:
        self._up = up
        self._down = down

    async def send(self, frame: Frame) -> None:
        """Send a frame; waits while the client does not read.

        Raises:
            PeerGone: The connection has ended.
        """
        await self._down.put(frame)
        if self._down.ending is not None:
            raise PeerGone(self._down.ending)

    async def recv(self) -> Frame:
        """The next frame.

        Raises:
            PeerGone: The connection has ended.
        """
        frame = await self._up.take()
        if frame is None:
            raise PeerGone(self._up.ending or "ended")
        return frame

    async def close(self, code: int) -> None:
        """End it in order: what was sent before still arrives."""
        self._down.end(f"closed by the exchange with code {code}")
        self._up.end("closed by the exchange")

    def abort(self) -> None:
        """Cut it: what is on the way is lost."""
        self._down.end("cut", cut=True)
        self._up.end("cut", cut=True)


def joined(
    random: Random,
    on_sent: Callable[[ClientEnd, str], None],
    on_lost: Callable[[ClientEnd, str], None],
) -> tuple[ClientEnd, ServerEnd]:
    """The two ends of a new connection.

    Args:
        random: Source of the delays.
        on_sent: Called with each command of the client.
        on_lost: Called once, when the client learns of an end that it did not make.
    """

    def delay() -> float:
        return random.uniform(QUICKEST_S, SLOWEST_S)

    up, down = _Pipe(delay), _Pipe(delay)
    return ClientEnd(up, down, on_sent, on_lost), ServerEnd(up, down)
