"""Connections to Redis that break at a chosen call, before or after the server has run it."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, cast

import pytest

from services.runtime.bus import bus
from services.runtime.bus.redis.address import RedisAddress
from services.runtime.bus.redis.connection import Connection, ConnectionLost


class Breaks:
    """Decides which call breaks; then every connection that is open breaks, as if Redis died.

    What a call is: a connection that is opened, a command or several together with their replies,
    one sending without a reply, one receipt.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._service = ""
        self._calls: list[int] = []
        self._after = False
        self.generation = 0

    def arm(self, service: str, *calls: int, after: bool) -> None:
        """Break calls of a service from now on.

        Args:
            service: Whose calls are counted.
            calls: Which ones break, the first counted from now, each further one from the last.
            after: Whether the server has run them by then; their replies are lost in any case.
        """
        with self._lock:
            self._service, self._calls, self._after = service, list(calls), after

    def disarm(self) -> bool:
        """Break nothing from now on; returns whether all armed calls have been broken."""
        with self._lock:
            broken, self._calls = not self._calls, []
            return broken

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Let every bus use connections of this kind."""
        patch.setattr(bus, "Connection", type("Breaking", (_Breaking,), {"breaks": self}))

    def strikes(self, name: str) -> bool | None:
        """How the next call goes: None well, False broken before, True after the server's work."""
        with self._lock:
            if not self._calls or not name.startswith(self._service):
                return None
            self._calls[0] -= 1
            if self._calls[0]:
                return None
            del self._calls[0]
            self.generation += 1
            return self._after


class _Breaking(Connection):
    """A connection as every other, whose calls ``breaks`` may break."""

    breaks: ClassVar[Breaks]

    def __init__(self, address: RedisAddress, name: str) -> None:
        self._name, self._inside = name, True
        self._generation = self.breaks.generation
        broken = self.breaks.strikes(name)
        if broken is False:
            raise ConnectionLost("broken while connecting")
        super().__init__(address, name)
        self._inside = False
        if broken:
            self._break()

    def call_packed(self, command: bytes) -> Any:
        return self._around(super().call_packed, command)

    def pipeline(self, commands: Sequence[bytes]) -> list[Any]:
        return cast("list[Any]", self._around(super().pipeline, commands))

    def send(self, packed: bytes) -> None:
        self._around(super().send, packed)

    def receive(self, timeout: float, *, gather_s: float = 0.0) -> list[Any]:
        return cast("list[Any]", self._around(super().receive, timeout, gather_s=gather_s))

    def _around(self, operation: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        if self._inside:  # part of a call that is counted already
            return operation(*arguments, **options)
        if self._generation != self.breaks.generation:
            self._break()
        broken = self.breaks.strikes(self._name)
        if broken is False:
            self._break()
        self._inside = True
        try:
            result = operation(*arguments, **options)
        finally:
            self._inside = False
        if broken:
            self._break()
        return result

    def _break(self) -> None:
        self.close()
        raise ConnectionLost("the connection was broken by the test")
