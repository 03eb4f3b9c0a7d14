"""The simulated system's way to the twins: every call is a point where another task may run.

A fault that is armed for a process strikes at its next call.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from services.lab.simulation.scheduler import Process, Scheduler
from services.persistence.memory.database import MemoryAddress as DatabaseTwinAddress
from services.persistence.memory.database import MemoryDatabase
from services.runtime.bus.memory.server import MemoryConnection, MemoryServer
from services.runtime.bus.redis.address import RedisAddress
from services.runtime.bus.redis.connection import (
    REPLY_TIMEOUT_S,
    Argument,
    Connection,
    ConnectionLost,
    checked,
    pack,
)
from services.runtime.database.address import DatabaseAwayError

AWAY_BEFORE = "bus_away_before_effect"
ANSWER_LOST = "bus_answer_lost"
SLOW = "bus_slow"
COMMIT_LOST = "commit_not_made"
COMMIT_UNKNOWN = "commit_outcome_unknown"


@dataclass(slots=True)
class Network:
    """Between processes and servers.

    Attributes:
        armed: Process name to what strikes at its next bus call.
        armed_commits: Process name to what strikes at its next transaction.
        struck: How often which fault has happened.
    """

    scheduler: Scheduler
    bus: MemoryServer
    database: MemoryDatabase
    armed: dict[str, str] = field(default_factory=dict)
    armed_commits: dict[str, str] = field(default_factory=dict)
    struck: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.database.before = self._before_statement
        self.database.after = self._after_statement

    def bus_address(self, user: str) -> "SimulatedAddress":
        """The bus as one of its users."""
        return SimulatedAddress("memory", 0, user, network=self)

    def database_address(self, role: str) -> DatabaseTwinAddress:
        """The database as one of its roles."""
        return self.database.address(role)

    def strike(self, kind: str, process: Process) -> bool:
        """Whether an armed fault of a kind strikes now."""
        if self.armed.get(process.name) != kind:
            return False
        del self.armed[process.name]
        self.struck[kind] += 1
        return True

    def _before_statement(self, _role: str) -> None:
        self.scheduler.call()
        name = self.scheduler.current().process.name
        if self.armed_commits.get(name) == COMMIT_LOST:
            del self.armed_commits[name]
            self.struck[COMMIT_LOST] += 1
            raise DatabaseAwayError("the connection broke before the transaction")

    def _after_statement(self, _role: str) -> None:
        name = self.scheduler.current().process.name
        if self.armed_commits.get(name) == COMMIT_UNKNOWN:
            del self.armed_commits[name]
            self.struck[COMMIT_UNKNOWN] += 1
            self.scheduler.call()
            raise DatabaseAwayError("the connection broke before the answer to a transaction")
        self.scheduler.call()


@dataclass(frozen=True, slots=True)
class SimulatedAddress(RedisAddress):
    """A user's way to the bus through the network."""

    network: Network = field(kw_only=True, repr=False, compare=False)

    def connect(self, name: str) -> Connection:
        """A new connection of the process that runs."""
        network = self.network
        network.scheduler.call()
        process = network.scheduler.current().process
        inner = network.bus.connect(self.username, name)
        process.on_kill.append(inner.close)
        return SimulatedConnection(network, inner, process)


class SimulatedConnection:
    """A connection whose calls take time and may go wrong."""

    def __init__(self, network: Network, inner: MemoryConnection, process: Process) -> None:
        self.inner = inner
        self._network = network
        self._process = process

    def call(self, *arguments: Argument) -> Any:
        """Send one command and wait for its reply."""
        [reply] = self.pipeline([pack(*arguments)])
        return reply

    def pipeline(self, commands: Sequence[bytes]) -> list[Any]:
        """Send packed commands together; others may run between two of them."""
        network, inner = self._network, self.inner
        scheduler = network.scheduler
        scheduler.call()
        if network.strike(AWAY_BEFORE, self._process):
            self._cut()
        replies = []
        for number, command in enumerate(commands):
            if number:
                scheduler.call()
            replies.append(inner.run(command))
        if network.strike(ANSWER_LOST, self._process):
            scheduler.call()
            self._cut()
        if network.strike(SLOW, self._process):
            wait = network.scheduler.random.uniform(0.2, 1.4 * REPLY_TIMEOUT_S)
            scheduler.sleep(min(wait, REPLY_TIMEOUT_S))
            if wait > REPLY_TIMEOUT_S:
                self._cut()
        scheduler.call()
        if not inner.is_open:
            self._cut()
        return [checked(reply, f"{inner.user}@memory") for reply in replies]

    def send(self, packed: bytes) -> None:
        """Send without waiting for a reply."""
        self._network.scheduler.call()
        if self._network.strike(AWAY_BEFORE, self._process):
            self._cut()
        self.inner.send(packed)

    def receive(self, timeout: float, *, gather_s: float = 0.0) -> list[Any]:
        """All replies that wait."""
        self._network.scheduler.call()
        return self.inner.receive(timeout, gather_s=gather_s)

    def close(self) -> None:
        """Disconnect."""
        self.inner.close()
        if self.inner.close in self._process.on_kill:
            self._process.on_kill.remove(self.inner.close)

    def _cut(self) -> None:
        self.close()
        raise ConnectionLost(f"Redis at {self.inner.user}@memory went away: connection cut")
