"""Where a Redis (or Valkey) server listens, and as whom to speak to it."""

from dataclasses import dataclass, field, replace
from typing import Self

from services.runtime.bus.redis.connection import Connection, SocketConnection


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """One user's way to one server. The password never shows in a ``repr``.

    Attributes:
        host: Name or IP address.
        port: TCP port.
        username: ACL user: a service's name, ``operator``, ``recovery``, or ``default``.
        password: That user's password; empty for a server without passwords.
    """

    host: str
    port: int
    username: str = "default"
    password: str = field(default="", repr=False)

    def as_user(self, username: str, password: str) -> Self:
        """The same server, as somebody else."""
        return replace(self, username=username, password=password)

    def connect(self, name: str) -> Connection:
        """A new connection, shown as ``name`` in the server's list of clients.

        Raises:
            Unavailable: Nobody answers there, or not yet.
            LoginRefusedError: The password is wrong or the user unknown, or not yet known.
        """
        return SocketConnection(self, name)

    def __str__(self) -> str:
        return f"{self.username}@{self.host}:{self.port}"
