"""A server in memory: keys, channels, restarts, and a memory that may be full."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import hiredis

from services.kernel.events import topics
from services.runtime import host
from services.runtime.bus.memory import library
from services.runtime.bus.memory.streams import Stream
from services.runtime.bus.redis import functions
from services.runtime.bus.redis.address import RedisAddress
from services.runtime.bus.redis.connection import (
    Argument,
    Connection,
    ConnectionLost,
    Unavailable,
    checked,
    pack,
)

Value = bytes | dict[bytes, bytes] | Stream
OUTPUT_LIMIT: Final = 32 << 20
"""Bytes that may wait for a subscriber before the server drops it."""
_OOM: Final = "OOM command not allowed when used memory > 'maxmemory'."
_GROWS: Final = frozenset({b"SET", b"HSET", b"HINCRBY", b"XADD"})


@dataclass(frozen=True, slots=True)
class MemoryAddress(RedisAddress):
    """A user's way to a server in memory."""

    server: "MemoryServer" = field(kw_only=True, repr=False, compare=False)

    def connect(self, name: str) -> Connection:
        """A new connection.

        Raises:
            Unavailable: The server is down.
        """
        return self.server.connect(self.username, name)


class MemoryServer:
    """What a real server with the bus's library does, as far as the bus asks for it.

    Attributes:
        up: Whether it answers.
        full: Whether its memory is full.
        life: Which start of the server this is.
        connections: Those that are open.
        one_at_a_time: Held while a command runs: a real server too runs one after the other,
            however many threads send them.
    """

    def __init__(self) -> None:
        self.up = True
        self.full = False
        self.life = 1
        self.output_limit = OUTPUT_LIMIT
        self.connections: list[MemoryConnection] = []
        self.subscribers: dict[bytes, list[MemoryConnection]] = {}
        self.dropped = 0
        self.one_at_a_time = host.lock()
        self._data: dict[bytes, Value] = {}

    def address(self, user: str) -> MemoryAddress:
        """The server as one of its users."""
        return MemoryAddress("memory", 0, user, server=self)

    def connect(self, user: str, name: str) -> "MemoryConnection":
        """A new connection."""
        with self.one_at_a_time:
            if not self.up:
                raise Unavailable(f"Redis at {user}@memory does not answer")
            connection = MemoryConnection(self, user, name)
            self.connections.append(connection)
            return connection

    # -- what happens to servers --------------------------------------------------------------

    def backup(self) -> dict[bytes, Value]:
        """Everything that it holds now."""
        with self.one_at_a_time:
            return {
                key: value if isinstance(value, bytes) else value.copy()
                for key, value in self._data.items()
            }

    def stop(self) -> None:
        """Go away; every connection breaks."""
        with self.one_at_a_time:
            self.up = False
            for connection in self.connections.copy():
                connection.drop()

    def start(self, held: dict[bytes, Value] | None = None) -> None:
        """Come back, with everything or with what an earlier backup held."""
        self.life += 1
        self.up = True
        if held is not None:
            self._data = held

    # -- keys ---------------------------------------------------------------------------------

    def get(self, key: bytes) -> bytes | None:
        """A text; None where there is none."""
        value = self._data.get(key)
        assert value is None or isinstance(value, bytes)
        return value

    def set(self, key: bytes, value: bytes) -> None:
        """Keep a text."""
        self._data[key] = value

    def hash(self, key: bytes) -> dict[bytes, bytes]:
        """A hash, made when it is first used."""
        value = self._data.setdefault(key, {})
        assert isinstance(value, dict)
        return value

    def stream(self, key: bytes) -> Stream:
        """A stream, made when it is first used."""
        value = self._data.get(key)
        if value is None:
            value = self._data[key] = Stream()
        assert isinstance(value, Stream)
        return value

    def remove(self, keys: list[bytes]) -> int:
        """Forget keys; returns how many there were."""
        return sum(self._data.pop(key, None) is not None for key in keys)

    def publish(self, channel: bytes, body: bytes) -> int:
        """Hand a message to everybody who listens."""
        listeners = self.subscribers.get(channel, [])
        for listener in listeners.copy():
            listener.push([b"message", channel, body])
        return len(listeners)

    def info(self, section: bytes) -> bytes:
        """What the bus asks for of ``INFO``."""
        if section == b"memory":
            used = 100 if self.full else 10
            return b"used_memory:%d\r\nmaxmemory:100\r\n" % used
        return b"run_id:%040d\r\n" % self.life


@dataclass(slots=True)
class _Rights:
    """The server's keys with the rights of one user."""

    server: MemoryServer
    user: str

    def __getattr__(self, name: str) -> Any:
        return getattr(self.server, name)

    def may_publish(self, topic: bytes) -> bool:
        return topic.decode() in topics.PRODUCES.get(self.user, ())

    def may_write(self, service: bytes) -> bool:
        return service.decode() == self.user

    def may_start_run(self) -> bool:
        return self.user == topics.PAPER_RUNNER


class MemoryConnection:
    """A connection to a server in memory; commands are run as they are sent."""

    def __init__(self, server: MemoryServer, user: str, name: str) -> None:
        self.server, self.user, self.name = server, user, name
        self.is_open = True
        self.silent = False
        self.waiting: deque[Any] = deque()
        self.waiting_bytes = 0
        self._arrived = host.event()
        self._reader = hiredis.Reader()
        self._queued: list[list[bytes]] | None = None

    # -- the port -----------------------------------------------------------------------------

    def call(self, *arguments: Argument) -> Any:
        """Send one command and wait for its reply."""
        [reply] = self.pipeline([pack(*arguments)])
        return reply

    def pipeline(self, commands: list[bytes] | Any) -> list[Any]:
        """Send packed commands together and wait for all their replies."""
        replies = [self.run(command) for command in commands]
        return [checked(reply, f"{self.user}@memory") for reply in replies]

    def send(self, packed: bytes) -> None:
        """Send without waiting for a reply."""
        reply = self.run(packed)
        if reply is not None and not self.silent:
            self.push(reply)

    def receive(self, timeout: float, *, gather_s: float = 0.0) -> list[Any]:
        """All replies that wait; blocks up to ``timeout`` seconds for the first."""
        self._arrived.clear()
        if not self.waiting and self.is_open:
            self._arrived.wait(max(0.0, timeout))
        if gather_s and self.waiting:
            host.sleep(gather_s)
        if not self.waiting and not self.is_open:
            raise ConnectionLost(f"Redis at {self.user}@memory closed the connection")
        with self.server.one_at_a_time:
            replies = list(self.waiting)
            self.waiting.clear()
            self.waiting_bytes = 0
        return replies

    def close(self) -> None:
        """Disconnect."""
        with self.server.one_at_a_time:
            if self.is_open:
                self.is_open = False
                self.server.connections.remove(self)
                for listeners in self.server.subscribers.values():
                    if self in listeners:
                        listeners.remove(self)

    # -- the server's side --------------------------------------------------------------------

    def push(self, reply: Any) -> None:
        """Put something into the connection; a reader that is too slow is dropped."""
        self.waiting.append(reply)
        if isinstance(reply, list) and len(reply) > 2 and isinstance(reply[2], bytes):
            self.waiting_bytes += len(reply[2])
            if self.waiting_bytes > self.server.output_limit:
                self.server.dropped += 1
                self.drop()
        self._arrived.set()

    def drop(self) -> None:
        """The server ends the connection; what waited in it is lost."""
        self.close()
        self.waiting.clear()
        self._arrived.set()

    def run(self, packed: bytes) -> Any:
        """Run one packed command; returns its reply, or an error as the real server words it."""
        with self.server.one_at_a_time:
            if not self.is_open:
                raise ConnectionLost(f"Redis at {self.user}@memory closed the connection")
            self._reader.feed(packed)
            return self._run(self._reader.gets())

    def _run(self, arguments: list[bytes]) -> Any:
        verb = arguments[0].upper()
        if self._queued is not None and verb != b"EXEC":
            self._queued.append(arguments)
            return b"QUEUED"
        if self.server.full and verb in _GROWS:
            return hiredis.ReplyError(_OOM)
        command = _COMMANDS.get(verb)
        if command is None:
            return hiredis.ReplyError(f"ERR unknown command '{verb.decode()}'")
        return command(self, arguments[1:])

    def function(self, arguments: list[bytes]) -> Any:
        """Call a function of the library."""
        name, parameters = arguments[0], arguments[2:]
        if name == functions.DIGEST.encode():
            return functions.digest().encode()
        found = library.EVEN_FULL.get(name)
        if found is None:
            found = library.UNLESS_FULL.get(name)
            if found is not None and self.server.full:
                return hiredis.ReplyError(_OOM)
        if found is None:
            return hiredis.ReplyError("ERR Function not found")
        return found(_Rights(self.server, self.user), parameters)

    def begin(self, _arguments: list[bytes]) -> Any:
        """Collect commands until ``EXEC``."""
        self._queued = []
        return b"OK"

    def execute(self, _arguments: list[bytes]) -> Any:
        """Run what was collected."""
        queued, self._queued = self._queued or [], None
        return [_COMMANDS[command[0].upper()](self, command[1:]) for command in queued]

    def subscribe(self, channels: list[bytes]) -> Any:
        """Listen to channels."""
        confirmations: list[Any] = []
        for channel in channels:
            listeners = self.server.subscribers.setdefault(channel, [])
            if self not in listeners:
                listeners.append(self)
            confirmations.append([b"subscribe", channel, len(confirmations) + 1])
        for confirmation in confirmations[:-1]:
            self.push(confirmation)
        return confirmations[-1]

    def echo(self, arguments: list[bytes]) -> Any:
        """The argument as it came."""
        return arguments[0]

    def ping(self, _arguments: list[bytes]) -> Any:
        """Answer as a subscriber or as anybody else."""
        listens = any(self in listeners for listeners in self.server.subscribers.values())
        return [b"pong", b""] if listens else b"PONG"

    def client(self, arguments: list[bytes]) -> Any:
        """``CLIENT REPLY OFF`` and what needs no answer."""
        if [part.upper() for part in arguments] == [b"REPLY", b"OFF"]:
            self.silent = True
        return b"OK"

    def add(self, arguments: list[bytes]) -> Any:
        """``XADD`` with an id, or with a limit and an id of the server's choice."""
        stream, limit = self.server.stream(arguments[0]), None
        rest = arguments[1:]
        if rest[0].upper() == b"MAXLEN":
            skip = 2 if rest[1] in (b"~", b"=") else 1
            limit, rest = int(rest[skip]), rest[skip + 1 :]
        if rest[0] == b"*":
            now = (host.wall_ms(), 0)
            last = stream.ids[-1] if stream.ids else (0, 0)
            entry_id = now if now > last else (last[0], last[1] + 1)
        else:
            first, _, second = rest[0].partition(b"-")
            entry_id = (int(first), int(second or b"0"))
        try:
            stream.add(entry_id, rest[1:])
        except ValueError as error:
            return hiredis.ReplyError(f"ERR The {error}")
        if limit is not None:
            stream.keep(limit)
        return b"%d-%d" % entry_id


def _count(arguments: list[bytes]) -> int | None:
    return int(arguments[4]) if len(arguments) > 4 else None


def _hset(connection: MemoryConnection, arguments: list[bytes]) -> int:
    found = connection.server.hash(arguments[0])
    before = len(found)
    found.update(zip(arguments[1::2], arguments[2::2], strict=True))
    return len(found) - before


def _hincrby(connection: MemoryConnection, arguments: list[bytes]) -> int:
    found = connection.server.hash(arguments[0])
    number = int(found.get(arguments[1], b"0")) + int(arguments[2])
    found[arguments[1]] = b"%d" % number
    return number


def _hdel(connection: MemoryConnection, arguments: list[bytes]) -> int:
    found = connection.server.hash(arguments[0])
    return sum(found.pop(name, None) is not None for name in arguments[1:])


def _set(connection: MemoryConnection, arguments: list[bytes]) -> bytes:
    connection.server.set(arguments[0], arguments[1])
    return b"OK"


_Command = Callable[[MemoryConnection, list[bytes]], Any]
_COMMANDS: Final[dict[bytes, _Command]] = {
    b"FCALL": MemoryConnection.function,
    b"FCALL_RO": MemoryConnection.function,
    b"MULTI": MemoryConnection.begin,
    b"EXEC": MemoryConnection.execute,
    b"SUBSCRIBE": MemoryConnection.subscribe,
    b"PING": MemoryConnection.ping,
    b"ECHO": MemoryConnection.echo,
    b"CLIENT": MemoryConnection.client,
    b"XADD": MemoryConnection.add,
    b"PUBLISH": lambda c, a: c.server.publish(a[0], a[1]),
    b"INFO": lambda c, a: c.server.info(a[0]),
    b"GET": lambda c, a: c.server.get(a[0]),
    b"MGET": lambda c, a: [c.server.get(key) for key in a],
    b"SET": _set,
    b"DEL": lambda c, a: c.server.remove(a),
    b"HSET": _hset,
    b"HDEL": _hdel,
    b"HINCRBY": _hincrby,
    b"HGET": lambda c, a: c.server.hash(a[0]).get(a[1]),
    b"HMGET": lambda c, a: [c.server.hash(a[0]).get(name) for name in a[1:]],
    b"HGETALL": lambda c, a: [part for pair in c.server.hash(a[0]).items() for part in pair],
    b"XLEN": lambda c, a: len(c.server.stream(a[0]).ids),
    b"XRANGE": lambda c, a: c.server.stream(a[0]).range(a[1], a[2], _count(a)),
    b"XREVRANGE": lambda c, a: c.server.stream(a[0]).backwards(a[1], a[2], _count(a)),
}
