"""One connection: what waits to be sent on it, in order, and what it has subscribed."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from services.exchange_sim.peer import Frame, Peer, PeerGone

MOST_WAITING_BYTES: Final = 64 << 20
"""A reader that is further behind is cut off."""

GOING_AWAY: Final = 1001

OnLost = Callable[[], None] | None


class Session:
    """One peer and its outbox.

    Args:
        peer: The connection.
        number: Counts the connections from 1.
        now: The loop's time, seconds.

    Attributes:
        muted: What is sent is lost.
        dead: As muted, for ever, and what is received is not read either.
        delay_s: How late frames go out.
        topics: Channel and symbol of its subscriptions.
    """

    def __init__(self, peer: Peer, number: int, now: float) -> None:
        self.number = number
        self.muted = False
        self.dead = False
        self.delay_s = 0.0
        self.last_ping = now
        self.topics: set[tuple[str, str]] = set()
        self.sent = 0
        self.lost = 0
        self.most_commands_per_s = 0
        self._commands: deque[float] = deque()
        self._peer = peer
        self._outbox: deque[tuple[float, Frame, OnLost]] = deque()
        self._waiting_bytes = 0
        self._ready = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._closing: int | None = None

    def push(self, frame: Frame, on_lost: OnLost = None) -> None:
        """Put a frame behind those that wait; ``on_lost`` is called if it is muted."""
        if self.muted or self.dead:
            self._lose(on_lost)
            return
        due = self._loop.time() + self.delay_s if self.delay_s else 0.0
        self._outbox.append((due, frame, on_lost))
        self._waiting_bytes += len(frame)
        if self._waiting_bytes > MOST_WAITING_BYTES:
            self.cut()
        self._ready.set()

    def close(self, code: int) -> None:
        """End the connection in order, behind the frames that wait."""
        self._closing = code
        self._ready.set()

    def cut(self) -> None:
        """End the connection at once; what waits is lost."""
        self.lost += len(self._outbox)
        self._outbox.clear()
        self._waiting_bytes = 0
        self._peer.abort()

    def _lose(self, on_lost: OnLost) -> None:
        self.lost += 1
        if on_lost is not None and not self.dead:
            on_lost()

    def commanded(self) -> None:
        """Count a command, for the highest rate."""
        now = self._loop.time()
        self._commands.append(now)
        while self._commands[0] <= now - 1.0:
            self._commands.popleft()
        self.most_commands_per_s = max(self.most_commands_per_s, len(self._commands))

    async def receive(self) -> Frame:
        """The next command.

        Raises:
            PeerGone: The connection has ended.
        """
        return await self._peer.recv()

    async def write(self) -> None:
        """Send what is pushed, until the peer is gone."""
        with suppress(PeerGone):
            while True:
                while self._outbox:
                    due, frame, on_lost = self._outbox.popleft()
                    self._waiting_bytes -= len(frame)
                    if due > self._loop.time():
                        await asyncio.sleep(due - self._loop.time())
                    if self.muted or self.dead:
                        self._lose(on_lost)
                        continue
                    await self._peer.send(frame)
                    self.sent += 1
                if self._closing is not None:
                    await self._peer.close(self._closing)
                    return
                self._ready.clear()
                await self._ready.wait()
