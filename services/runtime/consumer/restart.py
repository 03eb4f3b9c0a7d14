"""How a service begins: with its snapshot, else with its run, else with what the record makes."""

from collections.abc import Callable

from services.kernel.stage import Restorable, StateUnreadableError, restore_exactly
from services.runtime.bus import journal, snapshots
from services.runtime.bus.bus import Bus, Heads, Unavailable
from services.runtime.consumer.loop_context import LoopContext
from services.runtime.service import logging

_log = logging.get(__name__)


def begin(
    bus: Bus,
    stage: Restorable,
    context: LoopContext,
    *,
    pristine: bytes,
    heads: Heads,
    from_record: Callable[[], int] | None = None,
    use_snapshot: bool = True,
) -> int:
    """Make stage and context what they are after their last snapshot, or after the run's beginning.

    Args:
        bus: Claimed.
        stage: It becomes what the snapshot says.
        context: Likewise.
        pristine: The stage's state before the first event.
        heads: How far the bus is, read after the claim.
        from_record: For a service that reads the record in PostgreSQL itself: the seq behind which
            it begins without a snapshot.
        use_snapshot: False to make the state again whatever the snapshot says.

    Returns:
        Seq of the last input in that state: the journal behind it comes next.

    Raises:
        Unavailable: There is neither a snapshot that can be used nor the run's beginning in the
            journal; ``cdb_db_writer`` has been asked to make the snapshot again. Call again.
    """
    why = f"the state of {bus.service} is to be made again"
    if use_snapshot:
        reach = 0 if from_record is not None else heads.trimmed
        try:
            return _from_snapshot(bus, stage, context, heads, reach)
        except StateUnreadableError as unreadable:
            why = str(unreadable)
    stage.restore(pristine)
    context.restore(LoopContext().snapshot())
    after = _run_start(bus, heads, from_record, why)
    snapshots.discard(bus, after)
    _log.info("begins_with_the_run", after=after, reason=why)
    return after


def _run_start(bus: Bus, heads: Heads, from_record: Callable[[], int] | None, why: str) -> int:
    """Seq before the run's beginning, in the journal or in PostgreSQL."""
    first = journal.run_start(bus, heads.trimmed)
    if first is not None:
        return first - 1
    if from_record is not None:
        return from_record()
    if snapshots.ask(bus, why, heads.trimmed - 1):
        _log.warning("snapshot_wanted", reason=why)
    raise Unavailable(f"{why}; waiting for cdb_db_writer to make it again from the record")


def _from_snapshot(
    bus: Bus, stage: Restorable, context: LoopContext, heads: Heads, reach: int
) -> int:
    try:
        snapshot = snapshots.load(bus)
    except snapshots.SnapshotCorrupt as corrupt:
        raise StateUnreadableError(str(corrupt)) from corrupt
    if snapshot is None:
        raise StateUnreadableError(f"there is no snapshot of {bus.service}")
    name, epoch = f"the snapshot of {bus.service} at {snapshot.cursor}", bus.own_claim().epoch
    if snapshot.epoch != epoch:
        raise StateUnreadableError(f"{name} is of epoch {snapshot.epoch}, the bus of {epoch}")
    if not 0 <= snapshot.cursor <= heads.seq:
        raise StateUnreadableError(f"{name} is of no use: the bus is at {heads.seq}")
    if reach > snapshot.cursor + 1:
        raise StateUnreadableError(f"{name} is of no use: the journal begins at {reach}")
    try:
        restore_exactly(stage, snapshot.state)
        restore_exactly(context, snapshot.context)
    except StateUnreadableError as unreadable:
        raise StateUnreadableError(f"{name} is of no use: {unreadable}") from unreadable
    return snapshot.cursor
