"""What the writer itself says: its fold differs from the orchestrator's, and how far it came."""

from typing import Final

from services.kernel.events import (
    SCHEMA_VERSION,
    Condition,
    ConditionName,
    ConditionPhase,
    RecordHead,
    topics,
)
from services.kernel.events.ids import make_id
from services.persistence.recorder import Recorder, Transaction
from services.runtime.bus.bus import Bus
from services.runtime.service import logging

HEAD_EVERY_S: Final = 60.0

_log = logging.get(__name__)


class Notices:
    """Publishes what only the writer knows about the record.

    Whether events are written down at all is what ``cdb_execution`` compares.

    Args:
        bus: As ``cdb_db_writer``.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._head_told_at = 0.0
        self._head_told = 0
        self._broken_run = ""

    def committed(self, transaction: Transaction, recorder: Recorder) -> None:
        """Say that the writer's fold is not the orchestrator's, if it is not."""
        mismatch = transaction.projections.mismatch
        if mismatch is None:
            return
        _log.error("checksum_mismatch", reason=mismatch)
        projector, seq = recorder.projector, transaction.after.seq
        at = (projector.run_id, projector.clock, seq)
        self._begin(ConditionName.CHECKSUM_MISMATCH, mismatch, *at)

    def record_broken(self, detail: str, run_id: str, timestamp: int, seq: int) -> None:
        """Publish that the record will lack an event; before it is passed over, once for a run.

        Args:
            detail: Which event, and why.
            run_id: The run that it belongs to; empty before the first.
            timestamp: Event time, Unix milliseconds.
            seq: Of that event.

        Raises:
            Unavailable: The bus is away: the event is not passed over.
        """
        _log.error("record_broken", reason=detail)
        if not run_id or self._broken_run == run_id:
            return
        self._begin(ConditionName.RECORD_BROKEN, detail, run_id, timestamp, seq)
        self._broken_run = run_id

    def _begin(
        self, name: ConditionName, detail: str, run_id: str, timestamp: int, seq: int
    ) -> None:
        instance = self._bus.own_claim().instance
        condition = Condition(
            event_id=make_id(run_id, topics.DB_WRITER, name, instance, seq),
            run_id=run_id,
            producer=topics.DB_WRITER,
            schema_version=SCHEMA_VERSION,
            timestamp=timestamp,
            causation_id=None,
            correlation_id=None,
            name=name,
            phase=ConditionPhase.BEGAN,
            symbol=None,
            detail=detail,
        )
        self._bus.publish([condition], shell_id=condition.event_id)

    def record_head(self, recorder: Recorder, now: float) -> None:
        """Publish how far the record has come, about once a minute while it grows.

        What stands on the bus, in the record behind it, and in every log, cannot be cut off the
        database's end without a trace.

        Args:
            recorder: Everything it holds is committed.
            now: Monotonic seconds.
        """
        head, projector = recorder.cursor, recorder.projector
        # What follows one's own publication is no growth: an idle record stays idle.
        if now - self._head_told_at < HEAD_EVERY_S or head.seq <= self._head_told + 1:
            return
        if not projector.run_id or not projector.clock:
            return
        self._head_told_at = now
        _log.info("chain_head", seq=head.seq, chain_hash=head.chain_hash.hex())
        if self._bus.heads().in_step:
            return  # the wall clock has no part in a run that repeats to the last seq
        event = RecordHead(
            event_id=make_id(projector.run_id, topics.DB_WRITER, "head", head.seq),
            run_id=projector.run_id,
            producer=topics.DB_WRITER,
            schema_version=SCHEMA_VERSION,
            timestamp=projector.clock,
            causation_id=None,
            correlation_id=None,
            committed_seq=head.seq,
            chain_hash=head.chain_hash.hex(),
        )
        published = self._bus.publish([event], shell_id=event.event_id)
        self._head_told = published.last_seq
