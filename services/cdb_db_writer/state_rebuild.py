"""A stage's snapshot, made again from the record for a stage that has none it can use.

``cdb_core``, ``cdb_risk`` and ``cdb_ws`` cannot reach PostgreSQL. The writer can, and folds the
record for them, in a thread of its own: the record goes on meanwhile.
"""

from collections.abc import Callable, Mapping
from typing import Final

from services.kernel.events import topics
from services.kernel.execution.stage import ExecutionStage
from services.kernel.market.run_watch import RunWatch
from services.kernel.risk.stage import RiskStage
from services.kernel.stage import Stage, StateUnreadableError, restore_exactly
from services.kernel.strategies.stage import SignalStage
from services.persistence import stores
from services.persistence.ports import Reader
from services.runtime import host
from services.runtime.bus import snapshots
from services.runtime.bus.bus import Bus
from services.runtime.bus.redis.address import RedisAddress
from services.runtime.bus.redis.connection import Unavailable
from services.runtime.bus.redis.names import EPOCH_KEY
from services.runtime.bus.snapshots import Snapshot
from services.runtime.consumer.loop_context import LoopContext
from services.runtime.database.connections import (
    DatabaseAddress,
    DatabaseAwayError,
)
from services.runtime.service import logging

STAGES: Final[Mapping[str, Callable[[], Stage]]] = {
    topics.CORE: SignalStage,
    topics.RISK: RiskStage,
    topics.EXECUTION: ExecutionStage,
    topics.WS: RunWatch,
}
"""The orchestrator is not among them: it reads the record itself."""
RETRY_S: Final = 30.0
"""After a failure that is not an outage."""

_log = logging.get(__name__)


class StateRebuild:
    """Makes the snapshots that stages ask for.

    Args:
        bus: As ``cdb_db_writer``.
        recovery: The bus, as the user ``recovery``, who may write every snapshot.
        record: The database, as a role that may read the record.

    Attributes:
        failures: By service, why its snapshot could not be made.
    """

    def __init__(self, bus: Bus, recovery: RedisAddress, record: DatabaseAddress) -> None:
        self.failures: dict[str, str] = {}
        self._bus = bus
        self._recovery = recovery
        self._record = record
        self._thread: host.Task | None = None
        self._retry_at = 0.0

    def look(self, committed_seq: int) -> None:
        """Begin to make what is asked for; call about once a second.

        Args:
            committed_seq: How far the record has come.

        Raises:
            Unavailable: The bus is away.
        """
        if self._thread is not None and self._thread.is_alive():
            return
        wanted = snapshots.asked(self._bus, list(STAGES))
        self.failures = {name: why for name, why in self.failures.items() if name in wanted}
        if not wanted or host.monotonic() < self._retry_at:
            return
        self._thread = host.start(self._work, wanted, committed_seq, name="state rebuild")

    def _work(self, wanted: list[str], upto: int) -> None:
        for service in wanted:
            try:
                self._make(service, upto)
            except (DatabaseAwayError, Unavailable) as away:
                _log.warning("state_rebuild_waits", service=service, reason=str(away))
                return
            except Exception as error:
                # The thread must not end in silence: the stage waits, and /health names the reason.
                _log.exception("state_rebuild_failed", service=service)
                self.failures[service] = str(error)
                self._retry_at = host.monotonic() + RETRY_S

    def _make(self, service: str, upto: int) -> None:
        epoch = self._bus.own_claim().epoch
        began = host.monotonic()
        with stores.behind(self._record).reading(self._record, topics.DB_WRITER) as database:
            snapshot, after = remade(database, service, upto, epoch)
        redis = self._recovery.connect("recovery")
        try:
            if redis.call("GET", EPOCH_KEY) != epoch.encode():
                return  # another epoch: the stage asks again
            pairs = [part for pair in snapshot.fields().items() for part in pair]
            redis.call("HSET", f"cdb:snapshot:{service}", *pairs)
        finally:
            redis.close()
        _log.info(
            "state_made_again",
            service=service,
            after=after,
            cursor=upto,
            seconds=round(host.monotonic() - began, 1),
        )


def remade(database: Reader, service: str, upto: int, epoch: str) -> tuple[Snapshot, int]:
    """A stage's snapshot after a recorded seq, from a kept one or from the beginning of the run.

    Args:
        database: As a role that may read the record.
        service: Whose.
        upto: Seq of the last recorded event.
        epoch: Of the total order.

    Returns:
        It, and the seq behind which the record was folded for it.
    """
    stage, context = STAGES[service](), LoopContext()
    pristine, nothing = stage.snapshot(), context.snapshot()
    after = database.last_run_seq() - 1
    for kept in database.kept_snapshots(service):
        if not after <= kept.cursor <= upto:
            continue
        try:
            restore_exactly(stage, kept.state)
            restore_exactly(context, kept.context)
        except StateUnreadableError:
            stage.restore(pristine)
            context.restore(nothing)
            continue
        after = kept.cursor
        break
    for event in database.recorded_events(after, upto):
        context.note(event)
        if event.TOPIC in stage.topics:
            stage.handle(event)
    return Snapshot(service, stage.snapshot(), upto, epoch, context.snapshot()), after
