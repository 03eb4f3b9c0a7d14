"""One WebSocket to the venue that reconnects whenever it ends."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Coroutine
from random import Random
from typing import Any, Final, Protocol

from services.cdb_ws.connections.attempts import Attempts
from services.runtime.service import logging
from services.venues.mexc.commands import PING
from services.venues.mexc.network import Connection, ConnectionLost, Network

PING_EVERY_S: Final = 15.0
MISSED_PONGS: Final = 2
SILENCE_S: Final = 30.0
OPEN_TIMEOUT_S: Final = 12.0
CLOSE_TIMEOUT_S: Final = 3.0
LOOK_EVERY_S: Final = 1.0
COMMANDS_PER_S: Final = 10
FRAMES_A_TURN: Final = 200
"""Frames after which other tasks may run, even if more frames are waiting."""

_log = logging.get(__name__)


class Owner(Protocol):
    """Uses the sockets."""

    def opened(self, socket: "Socket") -> None:
        """A connection was made: subscribe."""

    def received(self, socket: "Socket", body: str | bytes) -> bool:
        """Take a frame; returns whether it is market data."""

    def lost(self, socket: "Socket", reason: str) -> None:
        """The connection ended, or could not be made."""

    def backpressure(self) -> bool:
        """Whether too many events wait to be published to receive more."""


class Socket:
    """A connection that is made again whenever it ends.

    Args:
        number: Number of this socket.
        network: Opens connections.
        url: WebSocket address.
        random: Jitter of the waits between attempts.
        owner: Receives frames and states.
        handshakes: Limits concurrent handshakes, so that a venue that comes back is not flooded.

    Attributes:
        connection: Number of the current connection over the socket's life; 0 before the first.
        open: Whether there is a connection now.
        up: Whether market data has arrived on it.
        reason: Why the last connection ended.
        pinged_ms: Wall time of the ping without a pong yet; None without one.
        expects_data: Whether anything is subscribed; silence is a fault then.
        idle_since: When the last command was sent, on the loop's clock.
    """

    def __init__(
        self,
        number: int,
        network: Network,
        url: str,
        random: Random,
        owner: Owner,
        handshakes: asyncio.Semaphore,
    ) -> None:
        self.number = number
        self.connection = 0
        self.open = self.up = False
        self.reason = "not connected yet"
        self.pinged_ms: int | None = None
        self.expects_data = False
        self.idle_since = 0.0
        self.attempts = Attempts(random)
        self._network = network
        self._url = url
        self._owner = owner
        self._handshakes = handshakes
        self._commands: deque[str] = deque()
        self._wanted = asyncio.Event()
        self._frame_at = self._data_at = 0.0
        self._unanswered = 0

    def send(self, command: str) -> None:
        """Queue a command for the current connection."""
        self._commands.append(command)
        self._wanted.set()

    @property
    def connection_id(self) -> int:
        """Identifies the current connection within the process."""
        return self.number * 1_000_000 + self.connection

    @property
    def unsent(self) -> int:
        """Number of queued commands."""
        return len(self._commands)

    def pong(self) -> None:
        """A pong arrived."""
        self._unanswered = 0
        self.pinged_ms = None

    async def run(self) -> None:
        """Stay connected until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            while self._owner.backpressure():
                await asyncio.sleep(LOOK_EVERY_S)
            try:
                self.reason = await self._session()
            except ConnectionLost as lost:
                self.reason = str(lost)
            self.open = self.up = False
            wait = self.attempts.next_wait(loop.time())
            _log.warning(
                "socket_lost", socket=self.number, reason=self.reason, again_in_s=round(wait, 1)
            )
            self._owner.lost(self, self.reason)
            await asyncio.sleep(wait)

    async def _session(self) -> str:
        """Run one connection from its opening to its end; returns why it ended."""
        try:
            async with self._handshakes, asyncio.timeout(OPEN_TIMEOUT_S):
                connection = await self._network.connect(self._url)
        except TimeoutError:
            return f"no handshake within {OPEN_TIMEOUT_S:g} s"
        try:
            self._begin()
            return await _first_of(
                self._receive(connection),
                self._ping(connection),
                self._send_commands(connection),
                self._watch(),
            )
        finally:
            with contextlib.suppress(ConnectionLost, TimeoutError, OSError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await connection.close()

    def _begin(self) -> None:
        self.connection += 1
        self.open = True
        self._frame_at = self._data_at = asyncio.get_running_loop().time()
        self._unanswered = 0
        self.pinged_ms = None
        self._commands.clear()
        self._owner.opened(self)

    async def _receive(self, connection: Connection) -> str:
        now = asyncio.get_running_loop().time
        turn = 0
        while True:
            body = await connection.recv()
            self._frame_at = now()
            if self._owner.received(self, body):
                self._data_at = self._frame_at
                if not self.up:
                    self.up = True
                    self.attempts.reset()
            turn += 1
            if turn == FRAMES_A_TURN:
                turn = 0
                if self._owner.backpressure():
                    return "more waits to be published than may wait"
                await asyncio.sleep(0)

    async def _ping(self, connection: Connection) -> str:
        """Ping at once and at a fixed rate, whatever else is sent or received."""
        while True:
            if self._unanswered >= MISSED_PONGS:
                return f"{self._unanswered} pings without a pong"
            self._unanswered += 1
            self.pinged_ms = self._network.now_ms()
            await connection.send(PING)
            await asyncio.sleep(PING_EVERY_S)

    async def _send_commands(self, connection: Connection) -> str:
        while True:
            while self._commands:
                await connection.send(self._commands.popleft())
                self.idle_since = asyncio.get_running_loop().time()
                await asyncio.sleep(1 / COMMANDS_PER_S)
            self._wanted.clear()
            await self._wanted.wait()

    async def _watch(self) -> str:
        now = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if now() - self._frame_at > SILENCE_S:
                return f"nothing received for {SILENCE_S:g} s"
            if self.expects_data and now() - self._data_at > SILENCE_S:
                return f"no market data for {SILENCE_S:g} s"


async def _first_of(*parts: Coroutine[Any, Any, str]) -> str:
    """Run all until one ends; returns its result or raises its error."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task in done).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
