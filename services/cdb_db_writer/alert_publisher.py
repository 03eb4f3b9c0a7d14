"""What the writer itself says: its fold differs from the orchestrator's, and how far it came."""

from typing import Final

from services.kernel.events import (
    SCHEMA_VERSION,
    Alert,
    AlertLevel,
    AlertPhase,
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
QUIET_AFTER_S: Final = 60.0
"""Time without a changed counter after which the alert about them is over."""
COUNTERS_CHANGED: Final = "COUNTERS_CHANGED"

_log = logging.get(__name__)


class AlertPublisher:
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
        self._healed = 0
        self._healed_at: float | None = None

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

    def counters_healed(self, count: int, changed: str, recorder: Recorder, now: float) -> None:
        """Alert that a client changed the bus's counters by hand, and once that is over.

        Args:
            count: How many were put right since the start of the process.
            changed: The last of them, in words.
            recorder: Knows run and time.
            now: Monotonic seconds.
        """
        if count > self._healed:
            phase, message = AlertPhase.BEGAN, f"changed by hand and put right: {changed}"
        elif self._healed_at is not None and now - self._healed_at >= QUIET_AFTER_S:
            phase, message = AlertPhase.CLEARED, "no counter was changed by hand for a minute"
        else:
            return
        is_news = phase is AlertPhase.CLEARED or self._healed_at is None
        run_id, clock_ms = recorder.projector.run_id, recorder.projector.clock
        if is_news and run_id and clock_ms:
            claim = self._bus.own_claim()
            unique = (claim.epoch, claim.instance, count, phase)
            alert = Alert(
                event_id=make_id(run_id, topics.DB_WRITER, COUNTERS_CHANGED, *unique),
                run_id=run_id,
                producer=topics.DB_WRITER,
                schema_version=SCHEMA_VERSION,
                timestamp=clock_ms,
                causation_id=None,
                correlation_id=None,
                level=AlertLevel.CRITICAL if phase is AlertPhase.BEGAN else AlertLevel.INFO,
                code=COUNTERS_CHANGED,
                message=message,
                symbol=None,
                layer=None,
                phase=phase,
                count=count,
                context={},
            )
            self._bus.publish([alert], shell_id=alert.event_id)
        self._healed = count
        self._healed_at = now if phase is AlertPhase.BEGAN else None

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
