"""The host port: clocks, waiting and threads, from the machine or from a simulation.

Services take time from here and nowhere else, so a simulation can run all of them in one process
under virtual time. A process has one host; `install` replaces it before anything is built.
"""

import secrets
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from random import Random
from typing import Any, Protocol


class Event(Protocol):
    """A flag that tasks can wait for; `threading.Event` is one."""

    def is_set(self) -> bool:
        """Whether the flag is set."""
        ...

    def set(self) -> None:
        """Set the flag and wake everybody who waits for it."""
        ...

    def clear(self) -> None:
        """Reset the flag."""
        ...

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the flag, at most ``timeout`` seconds; returns whether it is set."""
        ...


Lock = AbstractContextManager[Any]
"""A lock that its owner may take again; `threading.RLock` makes one."""


class Task(Protocol):
    """Something that runs beside its starter; `threading.Thread` is one."""

    def is_alive(self) -> bool:
        """Whether it still runs."""
        ...

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended, at most ``timeout`` seconds."""
        ...


class Host(Protocol):
    """What a machine gives to a process."""

    random: Random
    """For jitter, not for secrets."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        ...

    def wall_ms(self) -> int:
        """Unix time in milliseconds."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

    def event(self) -> Event:
        """A new flag, not set."""
        ...

    def lock(self) -> Lock:
        """A new lock."""
        ...

    def start(self, target: Callable[..., object], *args: object, name: str) -> Task:
        """Run ``target(*args)`` beside the caller; it does not keep the process from ending."""
        ...

    def token(self) -> str:
        """A text that nobody else has: 16 hexadecimal digits."""
        ...


class Machine:
    """The real host."""

    def __init__(self) -> None:
        self.random = Random()  # noqa: S311 - jitter, not a secret
        self.monotonic = time.monotonic
        self.sleep = time.sleep

    def wall_ms(self) -> int:
        """Unix time in milliseconds."""
        return int(time.time() * 1000)

    def event(self) -> Event:
        """A new flag, not set."""
        return threading.Event()

    def lock(self) -> Lock:
        """A new lock."""
        return threading.RLock()

    def start(self, target: Callable[..., object], *args: object, name: str) -> Task:
        """Start a daemon thread."""
        thread = threading.Thread(target=target, args=args, name=name, daemon=True)
        thread.start()
        return thread

    def token(self) -> str:
        """From the system's source of randomness."""
        return secrets.token_hex(8)


_host: Host = Machine()


def install(host: Host) -> Host:
    """Use another host from now on; returns the one before it."""
    global _host
    previous, _host = _host, host
    return previous


def monotonic() -> float:
    """Seconds on a clock that never goes back."""
    return _host.monotonic()


def wall_ms() -> int:
    """Unix time in milliseconds."""
    return _host.wall_ms()


def sleep(seconds: float) -> None:
    """Wait."""
    _host.sleep(seconds)


def event() -> Event:
    """A new flag, not set."""
    return _host.event()


def lock() -> Lock:
    """A new lock that its owner may take again."""
    return _host.lock()


def start(target: Callable[..., object], *args: object, name: str) -> Task:
    """Run ``target(*args)`` beside the caller."""
    return _host.start(target, *args, name=name)


def token() -> str:
    """A text that nobody else has: 16 hexadecimal digits."""
    return _host.token()


def random() -> Random:
    """For jitter, not for secrets."""
    return _host.random
