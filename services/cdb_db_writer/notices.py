"""What the writer itself has to say: the database is away, or back; the folds differ."""

import contextlib
import time
from collections.abc import Sequence

from services.kernel import topics
from services.kernel.events import (
    SCHEMA_VERSION,
    AnyEvent,
    Condition,
    ConditionName,
    ConditionPhase,
)
from services.kernel.ids import make_id
from services.persistence.recorder import Recorder, Transaction
from services.runtime import logging
from services.runtime.bus import Bus, Refused, Unavailable

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
