"""Distributes symbols over sockets, subscribes their channels and checks that data arrives."""

import asyncio
from collections import deque
from random import Random
from typing import Final, Protocol

from services.cdb_ws.connections.socket import LOOK_EVERY_S, Socket
from services.cdb_ws.symbols.symbol_feed import SymbolFeed
from services.runtime.service import logging
from services.venues.mexc.commands import (
    CHANNELS,
    CONTRACTS,
    TRADE_CHANNEL,
    subscription,
    unsubscription,
)
from services.venues.mexc.network import Network

SUBSCRIPTIONS: Final = 100
SYMBOLS_PER_SOCKET: Final = SUBSCRIPTIONS // len(CHANNELS)
LEAST_SOCKETS: Final = 3
"""Even a few symbols are spread over this many sockets, so that one loss does not hit them all."""

HANDSHAKES: Final = 8
MOVE_AFTER_S: Final = 60.0

_log = logging.get(__name__)


class User(Protocol):
    """Receives the frames and states of the symbols."""

    def received(self, socket: Socket, body: str | bytes) -> bool:
        """Take a frame; returns whether it is market data."""

    def fell_silent(self, feed: SymbolFeed, why: str) -> None:
        """A symbol's stream has ended, or sends nothing any more."""

    def never_speaks(self, feed: SymbolFeed) -> None:
        """Repeated subscriptions of a symbol brought no data."""

    def backpressure(self) -> bool:
        """Whether too many events wait to be published to receive more."""


class Pool:
    """As many sockets as the symbols need.

    Args:
        network: Opens connections.
        url: WebSocket address.
        random: Jitter.
        user: Receives frames and states.

    Attributes:
        tasks: Runs the sockets; set before the first symbol is added.
        feeds: The symbols on sockets.
        sockets: By number.
        asked_again: Number of repeated subscriptions.
        moved: Number of symbols moved to another socket.
    """

    tasks: asyncio.TaskGroup

    def __init__(self, network: Network, url: str, random: Random, user: User) -> None:
        self.feeds: dict[str, SymbolFeed] = {}
        self.sockets: dict[int, Socket] = {}
        self.asked_again = 0
        self.moved = 0
        self._network = network
        self._url = url
        self._random = random
        self._user = user
        self._running: dict[int, asyncio.Task[None]] = {}
        self._members: dict[int, list[SymbolFeed]] = {}
        self._asked_trades: dict[int, deque[SymbolFeed]] = {}
        self._handshakes = asyncio.Semaphore(HANDSHAKES)
        self._numbers = 0
        self._contracts_on: int | None = None

    # -- which symbol is where ------------------------------------------------------------------

    def add(self, feed: SymbolFeed) -> None:
        """Subscribe a symbol."""
        self.feeds[feed.symbol] = feed
        self._place(feed, self._roomiest(None))

    def remove(self, symbol: str) -> None:
        """Unsubscribe a symbol; a socket without symbols is closed."""
        feed = self.feeds.pop(symbol)
        self._take_away(feed)

    def move(self, feed: SymbolFeed) -> None:
        """Move a symbol to another socket."""
        old = feed.socket
        new = self._roomiest(old)
        self._take_away(feed)
        self.moved += 1
        self._place(feed, new)

    def members(self, socket: Socket) -> list[SymbolFeed]:
        """The symbols on a socket."""
        return list(self._members.get(socket.number, ()))

    def _roomiest(self, but: Socket | None) -> Socket:
        """The socket with the fewest symbols, other than ``but``; a new one if all are full."""
        if len(self.sockets) >= LEAST_SOCKETS:
            rooms = [
                (len(self._members[number]), number)
                for number, socket in self.sockets.items()
                if socket is not but
            ]
            members, number = min(rooms)
            if members < SYMBOLS_PER_SOCKET:
                return self.sockets[number]
        return self._new_socket()

    def _new_socket(self) -> Socket:
        self._numbers += 1
        number = self._numbers
        socket = Socket(number, self._network, self._url, self._random, self, self._handshakes)
        self.sockets[number] = socket
        self._members[number] = []
        self._asked_trades[number] = deque()
        self._running[number] = self.tasks.create_task(socket.run())
        return socket

    def _place(self, feed: SymbolFeed, socket: Socket) -> None:
        feed.socket = socket
        feed.placed_at = asyncio.get_running_loop().time()
        self._members[socket.number].append(feed)
        socket.expects_data = True
        if socket.open:
            self.subscribe(feed)

    def _take_away(self, feed: SymbolFeed) -> None:
        socket, feed.socket = feed.socket, None
        if socket is None:
            return
        members = self._members[socket.number]
        members.remove(feed)
        if not members:
            self._running.pop(socket.number).cancel()
            del self.sockets[socket.number]
            del self._members[socket.number]
            del self._asked_trades[socket.number]
            if socket.number == self._contracts_on:
                self._contracts_on = None
                self._subscribe_contracts(next((s for s in self.sockets.values() if s.open), None))
        elif socket.open:
            for channel in CHANNELS:
                socket.send(unsubscription(channel, feed.symbol))

    # -- subscriptions --------------------------------------------------------------------------

    def subscribe(self, feed: SymbolFeed) -> None:
        """Subscribe all channels of one symbol on its socket."""
        assert feed.socket is not None
        feed.connected(asyncio.get_running_loop().time())
        for channel in CHANNELS:
            self._ask(feed.socket, channel, feed)

    def ask_again(self, feed: SymbolFeed, channel: str) -> None:
        """Subscribe one channel of a symbol again."""
        if feed.socket is not None and feed.socket.open:
            self.asked_again += 1
            feed.asked(channel, asyncio.get_running_loop().time())
            self._ask(feed.socket, channel, feed)

    def acknowledged(self, socket: Socket, channel: str) -> None:
        """The venue confirmed a subscription. It names no symbol, but answers in order."""
        asked = self._asked_trades.get(socket.number)
        if channel == f"rs.sub.{TRADE_CHANNEL}" and asked:
            asked.popleft().acknowledged = True

    def refused(self, socket: Socket) -> None:
        """The venue refused a command: the next answers can no longer be assigned to symbols."""
        self._asked_trades[socket.number].clear()

    def _ask(self, socket: Socket, channel: str, feed: SymbolFeed) -> None:
        if channel == TRADE_CHANNEL:
            self._asked_trades[socket.number].append(feed)
        socket.send(subscription(channel, feed.symbol))

    # -- what the sockets report ----------------------------------------------------------------

    def opened(self, socket: Socket) -> None:
        """Subscribe all symbols channel by channel, trades first."""
        now = asyncio.get_running_loop().time()
        self._asked_trades[socket.number].clear()
        members = self._members[socket.number]
        if self._contracts_on in (None, socket.number):
            self._subscribe_contracts(socket)
        for feed in members:
            feed.connected(now)
        for channel in CHANNELS:
            for feed in members:
                self._ask(socket, channel, feed)

    def _subscribe_contracts(self, socket: Socket | None) -> None:
        """Subscribe contract details; one socket brings those of all symbols."""
        if socket is not None:
            self._contracts_on = socket.number
            socket.send(CONTRACTS)

    def received(self, socket: Socket, body: str | bytes) -> bool:
        """Pass a frame on."""
        return self._user.received(socket, body)

    def lost(self, socket: Socket, reason: str) -> None:
        """All symbols of the socket have lost their stream."""
        for feed in self._members.get(socket.number, ()):
            feed.spoken = False
            self._user.fell_silent(feed, reason)

    def backpressure(self) -> bool:
        """Whether too many events wait to be published to receive more."""
        return self._user.backpressure()

    # -- liveness -------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Check every symbol, for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now = asyncio.get_running_loop().time()
            for feed in list(self.feeds.values()):
                socket = feed.socket
                if socket is not None and socket.open and not socket.unsent:
                    self._look_at(feed, socket, now)

    def _look_at(self, feed: SymbolFeed, socket: Socket, now: float) -> None:
        if feed.fell_silent(now):
            _log.warning("symbol_silent", symbol=feed.symbol, socket=socket.number)
            self._user.fell_silent(feed, "its stream fell silent")
            self.subscribe(feed)
            return
        for channel in feed.due(now, socket.idle_since):
            self.ask_again(feed, channel)
        if feed.never_speaks(now):
            self._user.never_speaks(feed)
            if now - feed.placed_at > MOVE_AFTER_S:
                self.move(feed)

    def down(self) -> list[SymbolFeed]:
        """Symbols without data on the current connection."""
        return [feed for feed in self.feeds.values() if not feed.spoken]

    def up_count(self) -> int:
        """Sockets that bring data."""
        return sum(socket.up for socket in self.sockets.values())
