"""One lean connection to Redis: a socket, a parser, and two kinds of failure.

The bus is the hot path of the whole system; a general client's layers cost more there than the
server itself. Everything that is not hot uses the same connection, because it is enough.
"""

import select
import socket
import time
from collections.abc import Sequence
from typing import Any, Protocol

import hiredis

CONNECT_TIMEOUT_S = 3.0
REPLY_TIMEOUT_S = 5.0
RECEIVE_BYTES = 1 << 20
FEED_BYTES = 1 << 14
"""The parser moves all that it still holds with every few replies: little by little is faster."""
Argument = bytes | str | int


class Unavailable(Exception):
    """The server cannot do it now: away, loading, out of memory. Try again with back-off."""


class ConnectionLost(Unavailable):
    """The connection broke: whether the server ran the last command is not known."""


class ReplyError(Exception):
    """The server refused a command: no right to it, wrong type, an error in a script."""


class LoginRefusedError(ReplyError, Unavailable):
    """The password is wrong, or the server was started and has not let its users in yet."""


TRANSIENT_ERRORS = ("LOADING", "OOM", "MISCONF", "BUSY", "MASTERDOWN", "READONLY", "TRYAGAIN")


def pack(*arguments: Argument) -> bytes:
    """One command as it goes over the wire."""
    # The stub wants a tuple of one; the function takes any number.
    packed: bytes = hiredis.pack_command(arguments)  # type: ignore[arg-type]
    return packed


class Place(Protocol):
    """Where a server listens, and as whom to log in."""

    @property
    def host(self) -> str:
        """Name or IP address."""
        ...

    @property
    def port(self) -> int:
        """TCP port."""
        ...

    @property
    def username(self) -> str:
        """ACL user."""
        ...

    @property
    def password(self) -> str:
        """Empty for a server without passwords."""
        ...


class Connection(Protocol):
    """The bus's port: one connection, open until ``close`` or the first failure.

    Behind it are a real server (`SocketConnection`) and the twin in ``bus/memory``. Every method
    raises `ConnectionLost` where the connection broke.
    """

    def call(self, *arguments: Argument) -> Any:
        """Send one command and wait for its reply."""
        ...

    def pipeline(self, commands: Sequence[bytes]) -> list[Any]:
        """Send packed commands together and wait for all their replies."""
        ...

    def send(self, packed: bytes) -> None:
        """Send without waiting for a reply."""
        ...

    def receive(self, timeout: float, *, gather_s: float = 0.0) -> list[Any]:
        """All replies that wait; blocks up to ``timeout`` seconds for the first."""
        ...

    def close(self) -> None:
        """Disconnect; harmless when closed already."""
        ...


def checked(reply: Any, server: object) -> Any:
    """A reply that is not an error.

    Args:
        reply: As the server sent it.
        server: For messages.

    Raises:
        Unavailable, LoginRefusedError, ReplyError: It is one.
    """
    if not isinstance(reply, hiredis.ReplyError):
        return reply
    message = str(reply)
    if message.startswith("WRONGPASS"):
        raise LoginRefusedError(f"Redis at {server} lets nobody in as that user: {message}")
    if message.startswith(TRANSIENT_ERRORS):
        raise Unavailable(f"Redis at {server} cannot do it now: {message}")
    raise ReplyError(message)


class SocketConnection:
    """A connection to a real server.

    Args:
        address: Server and user.
        name: Shown in ``CLIENT LIST``.

    Raises:
        Unavailable: Nobody answers there, or not yet.
        LoginRefusedError: The password is wrong or the user unknown, or not yet known.
    """

    def __init__(self, address: Place, name: str) -> None:
        self._address = address
        self._reader = hiredis.Reader()
        self._buffer = bytearray(RECEIVE_BYTES)  # made once: a fresh one costs more than a receipt
        self._received_at = 0.0
        try:
            self._socket = socket.create_connection(
                (address.host, address.port), timeout=CONNECT_TIMEOUT_S
            )
        except OSError as error:
            raise Unavailable(f"Redis at {address} does not answer: {error}") from error
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # Waiting is done with pollers of our own: with a timeout, the socket would ask the
            # system before every single receipt and every send whether it may.
            self._socket.setblocking(False)
            self._readable, self._writable = select.poll(), select.poll()
            self._readable.register(self._socket, select.POLLIN)
            self._writable.register(self._socket, select.POLLOUT)
            if address.password:
                self.call("AUTH", address.username, address.password)
            self.call("CLIENT", "SETNAME", name)
        except BaseException:
            self.close()
            raise

    def call(self, *arguments: Argument) -> Any:
        """Send one command and wait for its reply."""
        return self.call_packed(pack(*arguments))

    def call_packed(self, command: bytes) -> Any:
        """Send one packed command and wait for its reply."""
        self.send(command)
        return checked(self._read_reply(), self._address)

    def pipeline(self, commands: Sequence[bytes]) -> list[Any]:
        """Send packed commands together and wait for all their replies."""
        self.send(b"".join(commands))
        replies = [self._read_reply() for _ in commands]
        return [checked(reply, self._address) for reply in replies]

    def send(self, packed: bytes) -> None:
        """Send without waiting for a reply."""
        try:
            sent = self._send_some(packed)
            while sent < len(packed):
                sent += self._send_some(memoryview(packed)[sent:])
        except OSError as error:
            raise self._lost(f"went away: {error}") from error

    def receive(self, timeout: float, *, gather_s: float = 0.0) -> list[Any]:
        """All replies that wait on the socket; blocks up to ``timeout`` seconds for the first.

        Args:
            timeout: Seconds.
            gather_s: Seconds since the last receipt in which others may join the first: whoever
                is in no hurry wakes up seldom, and leaves the processor to those who are.

        Raises:
            ConnectionLost: The server closed the connection (a restart, or we were too slow).
        """
        replies = self._parsed()
        if replies:
            return replies
        if not self._readable.poll(max(0.0, timeout) * 1000):
            return []
        if gather_s:
            time.sleep(max(0.0, self._received_at + gather_s - time.monotonic()))
            self._received_at = time.monotonic()
        received = self._receive_bytes()
        for start in range(0, received, FEED_BYTES):
            self._feed(start, min(FEED_BYTES, received - start))
            replies += self._parsed()
        return replies

    def close(self) -> None:
        """Close the socket; harmless when closed already."""
        self._socket.close()

    def _parsed(self) -> list[Any]:
        replies: list[Any] = []
        gets, append = self._reader.gets, replies.append
        try:
            reply = gets()
            while reply is not False:
                append(reply)
                reply = gets()
        except hiredis.ProtocolError as error:
            raise self._lost(f"spoke nonsense: {error}") from error
        return replies

    def _send_some(self, packed: bytes | memoryview) -> int:
        try:
            return self._socket.send(packed)
        except BlockingIOError:
            if not self._writable.poll(REPLY_TIMEOUT_S * 1000):
                raise self._lost(f"took nothing for {REPLY_TIMEOUT_S:g} s") from None
            return 0

    def _receive_bytes(self) -> int:
        """Into the buffer, what has come; only after the socket was found readable."""
        try:
            received = self._socket.recv_into(self._buffer)
        except BlockingIOError:  # the system may have been wrong
            return 0
        except OSError as error:
            raise self._lost(f"went away: {error}") from error
        if not received:
            raise self._lost("closed the connection")
        return received

    def _feed(self, start: int, count: int) -> None:
        # The stub knows str and bytes only; every buffer works.
        self._reader.feed(self._buffer, start, count)  # type: ignore[arg-type]

    def _read_reply(self) -> Any:
        reply = self._reader.gets()
        while reply is False:
            if not self._readable.poll(REPLY_TIMEOUT_S * 1000):
                raise self._lost(f"did not answer within {REPLY_TIMEOUT_S:g} s")
            self._feed(0, self._receive_bytes())
            reply = self._reader.gets()
        return reply

    def _lost(self, what: str) -> ConnectionLost:
        self.close()
        return ConnectionLost(f"Redis at {self._address} {what}")
