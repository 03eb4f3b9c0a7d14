"""One lean connection to Redis: a socket, a parser, and two kinds of failure.

The bus is the hot path of the whole system; a general client's layers cost more there than the
server itself. Everything that is not hot uses the same connection, because it is enough.
"""

import select
import socket
import time
from collections.abc import Sequence
from typing import Any

import hiredis

from services.runtime.redis_address import RedisAddress

CONNECT_TIMEOUT_S = 3.0
REPLY_TIMEOUT_S = 5.0
RECEIVE_BYTES = 1 << 20
Argument = bytes | str | int


class Unavailable(Exception):
    """The server cannot do it now: away, loading, out of memory. Try again with back-off."""


class ConnectionLost(Unavailable):
    """The connection broke: whether the server ran the last command is not known."""


class ReplyError(Exception):
    """The server refused a command: no right to it, wrong type, an error in a script."""


TRANSIENT_ERRORS = ("LOADING", "OOM", "MISCONF", "BUSY", "MASTERDOWN", "READONLY", "TRYAGAIN")


def pack(*arguments: Argument) -> bytes:
    """One command as it goes over the wire."""
    # The stub wants a tuple of one; the function takes any number.
    packed: bytes = hiredis.pack_command(arguments)  # type: ignore[arg-type]
    return packed


class Connection:
    """A connection that is open from its construction until ``close`` or the first failure.

    Args:
        address: Server and user.
        name: Shown in ``CLIENT LIST``.

    Raises:
        Unavailable: Nobody answers there, or not yet.
        ReplyError: The password is wrong or the user unknown.
    """

    def __init__(self, address: RedisAddress, name: str) -> None:
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
            self._socket.settimeout(REPLY_TIMEOUT_S)
            self._poller = select.poll()
            self._poller.register(self._socket, select.POLLIN)
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
        return self._checked(self._read_reply())

    def pipeline(self, commands: Sequence[bytes]) -> list[Any]:
        """Send packed commands together and wait for all their replies."""
        self.send(b"".join(commands))
        replies = [self._read_reply() for _ in commands]
        return [self._checked(reply) for reply in replies]

    def send(self, packed: bytes) -> None:
        """Send without waiting for a reply."""
        try:
            self._socket.sendall(packed)
        except OSError as error:
            self.close()
            raise ConnectionLost(f"Redis at {self._address} went away: {error}") from error

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
        if not self._poller.poll(max(0.0, timeout) * 1000):
            return []
        if gather_s:
            time.sleep(max(0.0, self._received_at + gather_s - time.monotonic()))
            self._received_at = time.monotonic()
        self._feed()
        return self._parsed()

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
            self.close()
            raise ConnectionLost(f"Redis at {self._address} spoke nonsense: {error}") from error
        return replies

    def _feed(self) -> None:
        try:
            received = self._socket.recv_into(self._buffer)
        except TimeoutError as error:
            self.close()
            raise ConnectionLost(
                f"Redis at {self._address} did not answer within {REPLY_TIMEOUT_S:g} s"
            ) from error
        except OSError as error:
            self.close()
            raise ConnectionLost(f"Redis at {self._address} went away: {error}") from error
        if not received:
            self.close()
            raise ConnectionLost(f"Redis at {self._address} closed the connection")
        # The stub knows str and bytes only; every buffer works.
        self._reader.feed(self._buffer, 0, received)  # type: ignore[arg-type]

    def _read_reply(self) -> Any:
        reply = self._reader.gets()
        while reply is False:
            self._feed()
            reply = self._reader.gets()
        return reply

    def _checked(self, reply: Any) -> Any:
        if not isinstance(reply, hiredis.ReplyError):
            return reply
        message = str(reply)
        if message.startswith(TRANSIENT_ERRORS):
            raise Unavailable(f"Redis at {self._address} cannot do it now: {message}")
        raise ReplyError(message)
