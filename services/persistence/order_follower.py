"""Follows the record into ``orders`` and ``trades``, in a thread of its own beside the stage.

The source is table ``events``: what the bus may still lose, because ``cdb_db_writer`` has not
written it down, comes into no table of ours either.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from services.kernel.stage import StateUnreadableError, restore_exactly
from services.persistence import stores
from services.persistence.orders import OrderProjector, OrderRows
from services.persistence.ports import OrderTables
from services.persistence.refusals import commit_all
from services.runtime.bus.batch import Batch
from services.runtime.bus.bus import Bus
from services.runtime.consumer.loop import Loop
from services.runtime.database.connections import DatabaseAddress
from services.runtime.service import logging

POLL_S: Final = 0.1
"""Time between two looks at the record: in a rush, orders and results share a transaction."""
IDLE_MOVE_S: Final = 5.0
"""Time between two commits without events: a restart reads what comes after the last one."""

_log = logging.get(__name__)


class RecordSource:
    """Recorded events of orders and trades, as they are written down.

    Args:
        store: Open.
        after: Seq of the last event that is known already.
        wait: Waits some seconds; returns whether the loop is to stop.

    Attributes:
        position: Seq up to which everything was received.
        recorded_seq: Last seq of the record, as of the last look at it.
    """

    def __init__(self, store: OrderTables, after: int, wait: Callable[[float], bool]) -> None:
        self.position = after
        self.recorded_seq = 0
        self._store = store
        self._wait = wait
        self._has_more = False

    def receive(self, timeout: float) -> Batch:
        """What was recorded since the last time, after a wait of at most ``timeout`` seconds.

        Raises:
            DatabaseAwayError: The record cannot be read.
        """
        if not self._has_more and self._wait(min(timeout, POLL_S)):
            return Batch(upto=self.position)
        batch, self.recorded_seq = self._store.recorded(self.position)
        self._has_more = batch.upto < self.recorded_seq
        self.position = batch.upto
        return batch

    def lag(self) -> int:
        """Recorded seqs that are not received yet."""
        return max(0, self.recorded_seq - self.position)

    def close(self) -> None:
        """The store stays open until the next begin."""


class OrderFollower(Loop[Batch, RecordSource]):
    """Writes ``orders`` and ``trades``; every recorded order and fill once, whatever crashes when.

    Args:
        address: The database, as role ``cdb_execution``.
        bus: For dead letters only; never claimed here.
        options: As for `Loop`.

    Attributes:
        committed_seq: Last seq that the tables have.
        recorded_seq: Last seq of the record, as of the last look at it.
        is_writing: Whether a write has begun and not ended; it may wait for a lock.
        refused: Events that no table could hold, since the start of the process.
    """

    def __init__(self, address: DatabaseAddress, bus: Bus, **options: Any) -> None:
        super().__init__(bus, **options)
        self.committed_seq = 0
        self.recorded_seq = 0
        self.is_writing = False
        self.refused = 0
        self._store = stores.behind(address).orders(address)
        self._projector = OrderProjector()
        self._state = b""
        self._moved_at = 0.0

    @property
    def away(self) -> str | None:
        """Why the tables cannot be written now; None while they can. For any thread."""
        return self.waiting_for

    def attempt(self) -> None:
        """As `Loop.attempt`; whatever fails, the thread goes on: trading needs its tables."""
        try:
            super().attempt()
        except Exception as error:
            _log.exception("orders_failed")
            self._begin_again(f"orders and trades cannot be written: {error}")

    def begin(self) -> RecordSource:
        """Become what the tables have."""
        self.committed_seq, state = self._store.open()
        self._state = self._readable(state)
        return RecordSource(self._store, self.committed_seq, self.stopping.wait)

    def handle(self, batch: Batch) -> Iterator[tuple[Batch, int]]:
        """All of it; in a silence the position only, now and then."""
        self.counters["looks"] += 1
        if self._source is not None:
            self.recorded_seq = self._source.recorded_seq
        is_due = bool(batch.events) or self.now() - self._moved_at >= IDLE_MOVE_S
        if is_due and batch.upto > self.committed_seq:
            self._moved_at = self.now()
            yield batch, batch.upto

    def commit(self, outputs: Batch, position: int) -> None:  # noqa: ARG002 - its own ``upto``
        """Write events and position; one that no table can hold is left out, not waited for."""
        self.is_writing = True
        try:
            commit_all(outputs, self._commit, self._set_aside)
        finally:
            self.is_writing = False

    def close(self) -> None:
        """Disconnect."""
        self._store.close()
        super().close()

    def _readable(self, state: bytes) -> bytes:
        """A fold that this program can read: the saved one, or what the record makes."""
        if state:
            try:
                restore_exactly(self._projector, state)
            except StateUnreadableError as unreadable:
                _log.warning("fold_made_again", seq=self.committed_seq, reason=str(unreadable))
                return self._store.folded(self.committed_seq)
        return state

    def _set_aside(self, batch: Batch, why: str) -> None:
        [event] = batch.events
        _log.error("unstorable", seq=event.seq, event_id=event.event_id, reason=why)
        self.refused += 1
        self._commit(batch, keep=False)

    def _commit(self, batch: Batch, *, keep: bool = True) -> None:
        self._projector.restore(self._state)
        rows = OrderRows()
        payments = self._store.funding_payments(self.committed_seq, batch.upto)
        self._projector.fold(batch.events, payments, rows)
        state = self._projector.snapshot()
        self._store.commit(
            rows if keep else OrderRows(), before=self.committed_seq, after=batch.upto, state=state
        )
        self.committed_seq, self._state = batch.upto, state
