"""One WebSocket to the venue, opened again whenever it ends."""

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
"""Frames after which everybody else gets a turn, even when more are there."""

_log = logging.get(__name__)


class Owner(Protocol):
    """Who uses sockets."""

    def opened(self, socket: "Socket") -> None:
        """A connection is there: subscribe."""

    def received(self, socket: "Socket", body: str | bytes) -> bool:
        """A frame came; says whether it is market data."""

    def lost(self, socket: "Socket", reason: str) -> None:
        """The connection ended, or could not be made."""

    def backpressure(self) -> bool:
        """Whether so much waits to be published that nothing more may be received."""


class Socket:
    """A connection that is made again whenever it ends.

    Args:
        number: Tells it from the other sockets.
        network: Opens connections.
        url: The address.
        random: Jitter of the waits between attempts.
        owner: Told what happens.
        handshakes: How many sockets may be opened at the same time, so that a venue that comes
            back is not stormed.

    Attributes:
        connection: Number of the present connection, counted over its life; 0 before the first.
        open: Whether there is a connection now.
        up: Whether market data has come on it.
        reason: Why the last connection ended.
        pinged_ms: Wall time of the ping that waits for its pong; None without one.
        expects_data: Whether anything is subscribed, so that silence means trouble.
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
        """Send a command on the present connection, in its turn."""
        self._commands.append(command)
        self._wanted.set()

    @property
    def connection_id(self) -> int:
        """Tells the present connection from all others of the process."""
        return self.number * 1_000_000 + self.connection

    @property
    def unsent(self) -> int:
        """Commands that wait for their turn."""
        return len(self._commands)

    def pong(self) -> None:
        """A pong came."""
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
        """One connection from its opening to its end; returns why it ended."""
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
        """At once and at a fixed pace, whatever else is sent or received."""
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
    """Run all until one ends; that one's result or error."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task in done).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
