"""Where a Redis (or Valkey) server listens, and as whom to speak to it."""

from dataclasses import dataclass, field, replace


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

    def as_user(self, username: str, password: str) -> "RedisAddress":
        """The same server, as somebody else."""
        return replace(self, username=username, password=password)

    def __str__(self) -> str:
        return f"{self.username}@{self.host}:{self.port}"
