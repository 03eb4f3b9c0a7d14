"""The in-memory server with the interface of `tests.servers.RedisServer`."""

from typing import Any

import pytest

from services.runtime.bus.memory.server import MemoryServer
from services.runtime.bus.redis.address import RedisAddress


class TwinServer:
    """A `MemoryServer` as the contract's tests use a server."""

    def __init__(self) -> None:
        self._server = MemoryServer()

    def address(self, user: str) -> RedisAddress:
        """How ``user`` connects."""
        return self._server.address(user)

    def admin(self) -> Any:
        """The twin has no client of another library."""
        pytest.skip("arranged with a client of the real server")

    def start(self) -> None:
        """Bring it back after ``stop`` or ``kill``."""
        self._server.start()

    def stop(self) -> None:
        """Stop it."""
        self._server.stop()

    kill = stop
    close = stop

    def memory(self) -> Any:
        """Everything that it holds now."""
        return self._server.backup()

    def go_back(self, memory: Any) -> None:
        """Hold what it held once."""
        life = self._server.life
        self._server.start(memory)
        self._server.life = life
