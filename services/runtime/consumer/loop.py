"""The one loop: receive, handle, commit; after any failure, again from what is settled."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final, Generic, Protocol, TypeVar

from services.runtime import host
from services.runtime.bus.bus import Bus, Refused, Unavailable
from services.runtime.bus.dead_letters import DeadLetters
from services.runtime.bus.journal import JournalTrimmed
from services.runtime.bus.subscription import Batch, Rewound
from services.runtime.database.address import DatabaseAwayError, DatabaseRefusedError
from services.runtime.service.backoff import Backoff
from services.runtime.service.health import Health

RECEIVE_S: Final = 0.2
SECOND_S: Final = 1.0
AWAY: Final = (Unavailable, DatabaseAwayError, DatabaseRefusedError)
"""Failures that pass: what raised them may be called again."""
OVERTAKEN: Final = frozenset({"EPOCH", "LOST", "STALE_CURSOR", "FUTURE_CURSOR", "TURN"})
"""Refusals of a loop that does not know where the bus stands; its next start finds out."""


class Source(Protocol):
    """Where events come from, in their total order.

    Attributes:
        position: Seq up to which everything was received.
    """

    position: int

    def receive(self, timeout: float) -> Batch:
        """Everything that waits; blocks up to ``timeout`` seconds for the first event."""

    def lag(self) -> int:
        """Events that are published and not yet received."""

    def close(self) -> None:
        """Disconnect."""


Outputs = TypeVar("Outputs")
From = TypeVar("From", bound=Source)


class Loop(ABC, Generic[Outputs, From]):
    """Follows the total order: receives events, handles them, commits what they cause.

    A kind of loop says in `begin` where it stands, in `handle` what events cause, and in `commit`
    where that goes: to the bus, or into tables. Outputs and position are committed together. After
    any failure the source is closed, and `begin` goes back to what is settled (ADR-094).

    Args:
        bus: As the service of the loop.
        on_batch: Called after each batch, whose outputs are committed as far as they are due.
        every_second: Called about once a second in the loop's thread, while nothing is away.
        on_wait: Called with the reason when something is away.
        now: A clock that never goes back, in seconds.

    Attributes:
        stopping: Ends every wait; ``run`` sets it to its own. Set it before ``start`` to drive the
            loop step by step.
        waiting_for: Why nothing goes on; None while it does.
        lag: Events published and not yet received, measured once a second.
        counters: ``inputs`` and ``restarts``, and what the kind of loop counts.
        batch_seconds: From the receipt of the last batch to the commit of what it caused; None
            where it was empty.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        on_batch: Callable[[], None] = lambda: None,
        every_second: Callable[[], None] = lambda: None,
        on_wait: Callable[[str], None] = lambda _: None,
        now: Callable[[], float] = host.monotonic,
    ) -> None:
        self.bus = bus
        self.now = now
        self.dead_letters = DeadLetters(bus)
        self.counters: Counter[str] = Counter()
        self.stopping = host.event()
        self.waiting_for: str | None = "the first connection"
        self.lag = 0
        self.batch_seconds: float | None = None
        self._on_batch = on_batch
        self._every_second = every_second
        self._on_wait = on_wait
        self._source: From | None = None
        self._backoff = Backoff()
        self._second_at = 0.0

    # -- what each kind of loop does ----------------------------------------------------------

    @abstractmethod
    def begin(self) -> From:
        """Become what is settled; returns the source of what comes after it."""

    @abstractmethod
    def handle(self, batch: Batch) -> Iterable[tuple[Outputs, int]]:
        """What is to be committed now, each with the seq up to which inputs caused it."""

    @abstractmethod
    def commit(self, outputs: Outputs, position: int) -> None:
        """Write outputs and position, both or neither."""

    def patience(self) -> float:
        """Seconds after which outputs are due although no event comes."""
        return RECEIVE_S

    def run_and_clock(self) -> tuple[str | None, int | None]:
        """The current run, and event time; for what the loop itself reports."""
        return None, None

    def housekeep(self) -> None:
        """What else is done about once a second."""

    def end(self) -> None:
        """Settle what is not settled yet; called once, when asked to stop."""

    # -- the loop -----------------------------------------------------------------------------

    def run(self, stop: host.Event) -> None:
        """Run until asked to stop.

        Raises:
            Refused: ``FENCED``, when another instance took over; ``TOPIC``, when the loop makes
                what this service must not publish.
        """
        self.stopping = stop
        try:
            while not stop.is_set():
                self.attempt()
            self.end()
        except AWAY as reason:
            self._on_wait(f"not settled at the end: {reason}")
        finally:
            self.close()

    def attempt(self) -> None:
        """One step; after a failure a wait, and from what is settled the next time."""
        try:
            if self._source is None:
                self.start()
            self.step(RECEIVE_S)
            self._backoff.reset()
        except (*AWAY, JournalTrimmed) as reason:
            self._begin_again(str(reason))
        except Rewound as rewound:
            for malformed in rewound.malformed:
                self.dead_letters.put(malformed.reason, malformed.topic, malformed.body)
            self._begin_again(str(rewound))
        except Refused as refused:
            if refused.reason not in OVERTAKEN:
                raise
            self._begin_again(str(refused))

    def start(self) -> None:
        """Connect, become what is settled, and receive what comes after it from now on.

        Raises:
            Unavailable, DatabaseAwayError: Call again after a while.
        """
        self._close_source()
        self.counters["restarts"] += 1
        self._source = self.begin()

    def step(self, timeout: float) -> int:
        """Receive, handle and commit once.

        Returns:
            How many inputs were received.

        Raises:
            Unavailable, Refused, Rewound, JournalTrimmed, DatabaseAwayError: See ``attempt``.
        """
        if self._source is None:
            raise RuntimeError("start the loop before its first step")
        batch = self._source.receive(min(timeout, self.patience()))
        received = self.now()
        self.waiting_for = None
        for malformed in batch.malformed:
            self.dead_letters.put(malformed.reason, malformed.topic, malformed.body)
        for outputs, position in self.handle(batch):
            self.commit(outputs, position)
        self.counters["inputs"] += len(batch.events)
        now = self.now()
        self.batch_seconds = now - received if batch.events else None
        self._on_batch()
        if now - self._second_at >= SECOND_S:
            self._second_at = now
            self.lag = self._source.lag()
            self.dead_letters.report(*self.run_and_clock())
            self.housekeep()
            self._every_second()
        return len(batch.events)

    def close(self) -> None:
        """Disconnect; nothing more is settled."""
        self._close_source()
        self.bus.close()

    def measured(self, lag_limit: int) -> Health:
        """What the loop waits for, and how far it is behind.

        Args:
            lag_limit: Events that it may be behind.
        """
        reasons = [] if self.waiting_for is None else [self.waiting_for]
        if self.lag > lag_limit:
            reasons.append(f"{self.lag} events behind the bus (limit {lag_limit})")
        return Health(tuple(reasons), {"bus_lag_events": self.lag})

    def _begin_again(self, reason: str) -> None:
        """The one rule after a failure: back to what is settled, and what comes after it again."""
        self._close_source()
        self._note_wait(reason)
        self._backoff.wait(self.stopping)

    def _note_wait(self, reason: object) -> None:
        self.waiting_for = str(reason)
        self._on_wait(self.waiting_for)

    def _close_source(self) -> None:
        if self._source is not None:
            self._source.close()
            self._source = None
