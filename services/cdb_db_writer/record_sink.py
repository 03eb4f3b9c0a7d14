"""Commits the writer's events to the record, then reports the committed seq to the bus."""

from collections import Counter
from collections.abc import Callable
from typing import Final

from services.cdb_db_writer.alert_publisher import AlertPublisher
from services.persistence.ports import RecordTables
from services.persistence.recorder import Keep, Recorder, UnstorableError
from services.persistence.refusals import commit_all
from services.runtime import host
from services.runtime.bus.batch import Batch
from services.runtime.bus.bus import Bus
from services.runtime.bus.dead_letters import DeadLetters
from services.runtime.database.address import DataRefusedError
from services.runtime.service import logging

REFUSAL_SHOWN: Final = 300
"""Characters of what the database says about an event."""

_log = logging.get(__name__)


class RecordSink:
    """Commits events and position to the record, and acknowledges them on the bus.

    Args:
        store: The record, as its one writer.
        bus: As ``cdb_db_writer``.
        dead_letters: What no table can hold goes there.
        notices: Reports what only the writer knows.
        counters: ``commits``, ``ticks``, ``events`` and ``refused`` are counted here.

    Attributes:
        recorder: Where the record stands; None before it was opened.
        committed_seq: Last seq that is committed.
        commit_seconds: How long the last transaction took.
        on_commit: Called with ``commit_seconds``.
    """

    def __init__(
        self,
        store: RecordTables,
        bus: Bus,
        dead_letters: DeadLetters,
        notices: AlertPublisher,
        counters: Counter[str],
    ) -> None:
        self.recorder: Recorder | None = None
        self.committed_seq = 0
        self.commit_seconds = 0.0
        self.on_commit: Callable[[float], None] = lambda _: None
        self._store = store
        self._bus = bus
        self._dead_letters = dead_letters
        self._notices = notices
        self._counters = counters
        self._acknowledged = 0

    @property
    def opened(self) -> Recorder:
        """Where the record stands."""
        assert self.recorder is not None, "the record is open while events are received"
        return self.recorder

    def open(self) -> Recorder:
        """Become the one writer, and begin where the record stands.

        Raises:
            DatabaseAwayError: Call again after a while.
        """
        self.recorder = Recorder(self._store.readable(self._store.open()))
        self.committed_seq = self.recorder.cursor.seq
        return self.recorder

    def claimed(self, acknowledged: int) -> None:
        """The place on the bus is claimed; acknowledge what the record had before.

        Args:
            acknowledged: Seq up to which the bus knows it.
        """
        self._acknowledged = acknowledged
        self._acknowledge(min(self.committed_seq, self._bus.head()))

    def commit(self, batch: Batch) -> None:
        """Write a batch; an event that no table can hold is set aside, not waited for.

        Raises:
            DatabaseAwayError, Unavailable: What is committed, ``open`` says.
        """
        commit_all(batch, self._commit, self._set_aside)
        self._acknowledge(batch.upto)

    def _set_aside(self, batch: Batch, why: str) -> None:
        [event], [body] = batch.events, batch.bodies
        self._counters["refused"] += 1
        _log.error("unstorable", seq=event.seq, event_id=event.event_id, reason=why)
        self._dead_letters.put("UNSTORABLE", event.TOPIC, body)
        try:
            self._commit(batch, Keep.RECORD)
        except (UnstorableError, DataRefusedError) as refused:
            detail = f"event {event.seq}, {event.event_id} of {event.producer} on {event.TOPIC}, is"
            detail = f"{detail} UNSTORABLE: {str(refused)[:REFUSAL_SHOWN]}"
            projector = self.opened.projector
            self._notices.record_broken(detail, projector.run_id, projector.clock, event.seq)
            self._commit(batch, Keep.NOTHING)

    def _commit(self, batch: Batch, keep: Keep = Keep.ALL) -> None:
        recorder, events = self.opened, batch.events
        epoch = self._bus.own_claim().epoch
        try:
            transaction = recorder.prepare(
                events, batch.bodies, upto=batch.upto, epoch=epoch, keep=keep
            )
            began = host.monotonic()
            self._store.commit(transaction)
            self.commit_seconds = host.monotonic() - began
            self.on_commit(self.commit_seconds)
        except (UnstorableError, DataRefusedError):
            recorder.go_back()
            raise
        recorder.accept(transaction)
        self.committed_seq = batch.upto
        self._counters["commits"] += 1
        self._counters["ticks"] += transaction.ticks
        self._counters["events"] += len(events) - transaction.ticks
        self._notices.committed(transaction, recorder)

    def _acknowledge(self, seq: int) -> None:
        if seq > self._acknowledged:
            self._bus.publish([], cursor=seq)
            self._acknowledged = seq
