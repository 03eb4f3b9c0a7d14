"""How long published events wait to be written down, whichever service should have written them."""

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from services.cdb_execution.config import UNWRITTEN_LIMIT_S
from services.persistence.orders import TOPICS
from services.runtime import host
from services.runtime.bus.bus import Heads

LOOK_EVERY_S: Final = 0.25
CAUGHT_UP_S: Final = 1.0
"""Age of the oldest unwritten event below which the record has caught up again."""
BLIND_S: Final = 2.0
"""Time between two looks after which nothing is known about what happened in between."""


class Tables(Protocol):
    """How far record and tables have come."""

    recorded_seq: int
    committed_seq: int
    is_writing: bool


class Publishing(Protocol):
    """The part of the bus that is looked at."""

    def heads(self) -> Heads:
        """How far the total order and each topic have come."""


class _Head(NamedTuple):
    at: float
    seq: int
    own_seq: int


class RecordWatch:
    """Compares the bus's head with the record, and with our own tables for their topics.

    In lock-step nothing is measured in seconds: there the market waits for the writer.

    Args:
        bus: Whose head it is.
        tables: Updated by another thread.
        now: A clock that never goes back, in seconds.

    Attributes:
        age: Seconds that the oldest unwritten event has been waiting.
        behind: Whether that is too long, until the record has caught up; None before it is known.
    """

    def __init__(
        self, bus: Publishing, tables: Tables, now: Callable[[], float] = host.monotonic
    ) -> None:
        self.age = 0.0
        self.behind: bool | None = None
        self._bus = bus
        self._tables = tables
        self._now = now
        self._looked_at = now()
        # Beyond the limit only "too long" matters, and later heads say when that is over.
        self._heads: deque[_Head] = deque(maxlen=int(UNWRITTEN_LIMIT_S / LOOK_EVERY_S) + 1)

    def look(self) -> bool:
        """Look again if it is time; returns whether it was.

        Raises:
            Unavailable: The bus is away.
        """
        now = self._now()
        since = now - self._looked_at
        if since < LOOK_EVERY_S:
            return False
        if since > BLIND_S:
            self._heads.clear()
        self._compare(now, self._bus.heads())
        self._looked_at = now
        return True

    def why(self) -> str:
        """Which of them is behind, in words."""
        if not self.behind:
            return "the record has what was published"
        tables = self._tables
        waiting = f"an event has been waiting to be written for {self.age:.1f} s"
        oldest = self._heads[0] if self._heads else None
        # While the tables wait for a lock they do not see how the record goes on.
        tables_wait = tables.is_writing or (
            oldest and tables.committed_seq < oldest.own_seq <= tables.recorded_seq
        )
        if oldest and oldest.seq > tables.recorded_seq and not tables_wait:
            return f"{waiting}: the record ends at {tables.recorded_seq}; is cdb_db_writer running?"
        return f"{waiting}: orders and trades end at {tables.committed_seq}"

    def _compare(self, now: float, heads: Heads) -> None:
        if heads.in_step:
            self.age, self.behind = 0.0, False
            self._heads.clear()
            return
        own_seq = max(heads.topic_heads[topic] for topic in TOPICS)
        self._heads.append(_Head(now, heads.seq, own_seq))
        confirmed = False
        while self._heads and self._is_written(self._heads[0]):
            self._heads.popleft()
            confirmed = True
        self.age = now - self._heads[0].at if self._heads else 0.0
        if self.age >= UNWRITTEN_LIMIT_S:
            self.behind = True
        elif confirmed and (self.behind is None or self.age < CAUGHT_UP_S):
            self.behind = False

    def _is_written(self, head: _Head) -> bool:
        tables = self._tables
        return head.seq <= tables.recorded_seq and head.own_seq <= tables.committed_seq
