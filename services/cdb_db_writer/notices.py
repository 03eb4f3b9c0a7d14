"""What the writer itself says: the database is away, or back; folds differ; how far it came."""

import contextlib
import time
from collections.abc import Sequence
from typing import Final

from services.kernel import topics
from services.kernel.events import (
    SCHEMA_VERSION,
    AnyEvent,
    Condition,
    ConditionName,
    ConditionPhase,
    RecordHead,
)
from services.kernel.ids import make_id
from services.persistence.recorder import Recorder, Transaction
from services.runtime import logging
from services.runtime.bus import Bus, Refused, Unavailable

HEAD_EVERY_S: Final = 60.0

_log = logging.get(__name__)


class Notices:
    """Publishes conditions of the writer, each change once.

    Whether DATABASE_AWAY holds is read from the record itself: the writer meets its own BEGAN
    again when the database is back, so nothing has to be remembered over a crash.

    Args:
        bus: As ``cdb_db_writer``.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._away_told = False
        self._head_told_at = 0.0
        self._head_told = 0

    def database_away(self, recorder: Recorder | None, why: str) -> None:
        """Say that nothing can be written down; entries are forbidden until it can."""
        if self._away_told or recorder is None or not recorder.projector.run_id:
            return
        projector = recorder.projector
        condition = _condition(
            projector.run_id,
            projector.clock,
            ConditionName.DATABASE_AWAY,
            ConditionPhase.BEGAN,
            detail=why,
            cause=f"{self._bus.last_published}:{time.time_ns()}",
        )
        with contextlib.suppress(Unavailable, Refused, RuntimeError):
            self._bus.publish([condition], shell_id=condition.event_id)
            self._away_told = True

    def before_commit(self, events: Sequence[AnyEvent]) -> None:
        """The database is there: end what began while it was away.

        It is published before the commit that takes the BEGAN off the journal: a crash in between
        repeats it, and the repetition does nothing.
        """
        began: Condition | None = None
        for event in events:
            if (
                type(event) is Condition
                and event.producer == topics.DB_WRITER
                and event.name is ConditionName.DATABASE_AWAY
            ):
                began = event if event.phase is ConditionPhase.BEGAN else None
        if began is None:
            return
        condition = _condition(
            began.run_id,
            began.timestamp,
            began.name,
            ConditionPhase.CLEARED,
            detail="PostgreSQL answers again",
            cause=began.event_id,
        )
        self._bus.publish([condition], shell_id=condition.event_id)
        self._away_told = False

    def committed(self, transaction: Transaction, recorder: Recorder) -> None:
        """Say that the writer's fold is not the orchestrator's, if it is not."""
        mismatch = transaction.projections.mismatch
        if mismatch is None:
            return
        _log.error("checksum_mismatch", reason=mismatch)
        projector = recorder.projector
        condition = _condition(
            projector.run_id,
            projector.clock,
            ConditionName.CHECKSUM_MISMATCH,
            ConditionPhase.BEGAN,
            detail=mismatch,
            cause=mismatch,
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


def _condition(
    run_id: str,
    timestamp: int,
    name: ConditionName,
    phase: ConditionPhase,
    *,
    detail: str,
    cause: str,
) -> Condition:
    return Condition(
        event_id=make_id(run_id, topics.DB_WRITER, name, phase, cause),
        run_id=run_id,
        producer=topics.DB_WRITER,
        schema_version=SCHEMA_VERSION,
        timestamp=timestamp,
        causation_id=None,
        correlation_id=None,
        name=name,
        phase=phase,
        symbol=None,
        detail=detail,
    )
