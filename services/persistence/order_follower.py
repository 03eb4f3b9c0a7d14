"""Follows the journal into ``orders`` and ``trades``, in a thread of its own beside the stage.

As in the writer there is one way back from every trouble: forget what is not committed, and begin
again behind the last seq that the database has.

The tables never come before the record: what the bus may still lose, because ``cdb_db_writer`` has
not written it down, is in no table of ours either.
"""

from collections.abc import Sequence
from typing import Final

from services.kernel.events import AnyEvent
from services.kernel.stage import StateUnreadableError, restore_exactly
from services.persistence import stores
from services.persistence.orders import TOPICS, OrderProjector, OrderRows
from services.runtime import host
from services.runtime.bus import journal
from services.runtime.bus.bus import Bus, Unavailable
from services.runtime.bus.journal import JournalTrimmed
from services.runtime.bus.subscription import Batch, Rewound, Subscription
from services.runtime.database.connections import (
    DatabaseAddress,
    DatabaseAwayError,
    DatabaseRefusedError,
    DataRefusedError,
)
from services.runtime.service import logging
from services.runtime.service.backoff import Backoff

RECEIVE_S: Final = 0.2
RECORD_POLL_S: Final = 0.05
"""Between two looks whether the record has come as far as what waits."""
RECORD_LOOK_S: Final = 0.2
"""Between two looks how far the record has come, while nothing waits for it."""
GATHER_S: Final = 0.1
"""Time between two receipts: in a rush, orders and results share a transaction."""
IDLE_MOVE_S: Final = 5.0
"""Seconds between two looks whether the cursor can follow the head in a silence."""

_log = logging.get(__name__)


class OrderFollower:
    """Writes ``orders`` and ``trades``; every recorded order and fill once, whatever crashes when.

    Args:
        address: The database, as role ``cdb_execution``.
        bus: The bus, as ``cdb_execution``; need not be the stage's own, and is never claimed here.

    Attributes:
        away: Why the database cannot be written now; None while it can. Read it from any thread:
            while it is not None, no new entries (condition DATABASE_AWAY).
        committed_seq: Last seq that the tables have taken.
        recorded_seq: Last seq of the record, as of the last look at it.
        refused: Events that no table could hold, since the start of the process.
    """

    def __init__(self, address: DatabaseAddress, bus: Bus) -> None:
        self.away: str | None = "not connected yet"
        self.committed_seq = 0
        self.recorded_seq = 0
        self.refused = 0
        self._bus = bus
        self._store = stores.behind(address).orders(address)
        self._projector = OrderProjector()
        self._state = b""
        self._moved_at = 0.0
        self._looked_at = 0.0

    def run(self, stopping: host.Event) -> None:
        """Follow until ``stopping`` is set; waits out whatever is away."""
        backoff = Backoff(longest=1.0)
        while not stopping.is_set():
            try:
                self._follow(stopping, backoff)
            except (DatabaseAwayError, DatabaseRefusedError) as error:
                self._note_away(str(error))
            except (Unavailable, Rewound, JournalTrimmed) as error:
                _log.warning("orders_wait_for_bus", reason=str(error))
            except Exception as error:
                # A thread that ended in silence would leave trading on without a record.
                self.away = f"orders and trades cannot be written: {error}"
                _log.exception("orders_failed")
            finally:
                self._store.close()
            backoff.wait(stopping)

    def _follow(self, stopping: host.Event, backoff: Backoff) -> None:
        self.committed_seq, self._state = self._store.open()
        self._restore()
        self._look_at_record()
        subscription = self._subscribe()
        try:
            self._note_back()
            while not stopping.is_set():
                batch = subscription.receive(RECEIVE_S)
                if batch.events and self._is_recorded(batch, stopping):
                    self._write(batch.events, batch.upto)
                    backoff.reset()
                elif not batch.events:
                    self._move_in_silence(subscription)
        finally:
            subscription.close()

    def _restore(self) -> None:
        """Become what the database says, or what the record makes where that cannot be read."""
        if not self._state:
            return
        try:
            restore_exactly(self._projector, self._state)
        except StateUnreadableError as unreadable:
            _log.warning("fold_made_again", seq=self.committed_seq, reason=str(unreadable))
            self._state = self._store.folded(self.committed_seq)

    def _subscribe(self) -> Subscription:
        while self._bus.heads().trimmed > self.committed_seq + 1:
            events, upto = self._store.recorded(self.committed_seq)
            if upto == self.committed_seq:
                break
            self._write(events, upto)
        return Subscription(self._bus, TOPICS, self.committed_seq, gather_s=GATHER_S)

    def _is_recorded(self, batch: Batch, stopping: host.Event) -> bool:
        """Wait until the record has a batch; False when asked to stop before it has.

        Raises:
            Rewound: The bus lost the batch before it was recorded.
        """
        while self._look_at_record() < batch.upto:
            if stopping.wait(RECORD_POLL_S):
                return False
        last = batch.events[-1]
        # The record may have come this far without it: with what followed a loss.
        if not journal.holds(self._bus, last.producer, last.seq, batch.bodies[-1]):
            raise Rewound(f"event {last.seq} was delivered, and no journal holds it any more")
        return True

    def _write(self, events: Sequence[AnyEvent], upto: int) -> None:
        """Write some events; one that no table can hold is left out, not waited for."""
        try:
            self._commit(events, upto)
        except DataRefusedError:
            if len(events) > 1:
                middle = len(events) // 2
                self._write(events[:middle], events[middle - 1].seq)
                self._write(events[middle:], upto)
                return
            if not events:
                raise
            _log.exception("unstorable", seq=events[0].seq, event_id=events[0].event_id)
            self.refused += 1
            self._commit(events, upto, keep=False)

    def _commit(self, events: Sequence[AnyEvent], upto: int, *, keep: bool = True) -> None:
        self._projector.restore(self._state)
        rows = OrderRows()
        payments = self._store.funding_payments(self.committed_seq, upto)
        self._projector.fold(events, payments, rows)
        state = self._projector.snapshot()
        self._store.commit(
            rows if keep else OrderRows(), before=self.committed_seq, after=upto, state=state
        )
        self.committed_seq, self._state = upto, state
        journal.record_commit(self._bus, upto)

    def _look_at_record(self) -> int:
        self.recorded_seq = self._store.record_seq()
        self._looked_at = host.monotonic()
        return self.recorded_seq

    def _move_in_silence(self, subscription: Subscription) -> None:
        """Let the cursor follow events of other topics, so that the journal can be trimmed."""
        now = host.monotonic()
        if now - self._looked_at >= RECORD_LOOK_S:
            self._look_at_record()
        if now - self._moved_at < IDLE_MOVE_S:
            return
        self._moved_at = now
        upto = min(self.recorded_seq, self._bus.head())
        # Asked after it: nothing of our topics lies between our last event and it.
        if upto > self.committed_seq and subscription.lag() == 0:
            self._write([], upto)

    def _note_away(self, reason: str) -> None:
        if self.away is None:
            _log.error("orders_database_away", reason=reason)
        self.away = reason

    def _note_back(self) -> None:
        if self.away is not None:
            _log.info("orders_database_back", committed_seq=self.committed_seq)
        self.away = None
