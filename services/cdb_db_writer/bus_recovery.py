"""Opening the bus: after each start of Redis, the writer compares it with the record."""

from collections.abc import Iterator

from services.kernel.events import topics
from services.persistence.ports import RecordTables
from services.persistence.recorder import Recorder
from services.runtime.bus import recovery
from services.runtime.bus.recovery import Known, TailEvent
from services.runtime.bus.redis.address import RedisAddress
from services.runtime.service import logging

_log = logging.get(__name__)


def open_bus(address: RedisAddress, store: RecordTables, recorder: Recorder) -> None:
    """See that nothing is published before Redis has at least what the record has.

    Args:
        address: The bus, as user ``recovery``.
        store: The record, open.
        recorder: Where it stands.

    Raises:
        Unavailable: The bus is away.
        DatabaseAwayError: The database is.
    """
    if recovery.is_open(address):
        return
    opened = recovery.restore(address, known(store, recorder))
    if opened.lost_from is None:
        _log.info("bus_opened", epoch=opened.epoch)
    else:
        _log.error(
            "bus_recovered",
            epoch=opened.epoch,
            lost_from=opened.lost_from,
            lost_to=opened.lost_to,
            message="Redis had less than PostgreSQL; trading stays halted until `claire reset`",
        )


def known(store: RecordTables, recorder: Recorder) -> Known:
    """What the record knows about the bus."""
    cursor = recorder.cursor
    run_id = recorder.projector.run_id
    kept = store.snapshots()
    return Known(
        epoch=cursor.epoch,
        seq=cursor.seq,
        run_id=run_id or None,
        clock_ms=recorder.projector.clock,
        topic_seqs=cursor.topic_seqs,
        tail=_tail(store, cursor.seq, {s.service: s.cursor for s in kept}),
        snapshots=kept,
        positions=_positions(store, run_id),
    )


def _positions(store: RecordTables, run_id: str) -> dict[str, str]:
    """Where a recorded market goes on: what the bus has is older than the record, or gone."""
    last = store.last_source_event(run_id)
    if last is None:
        return {}
    ended = store.source_has_ended(run_id)
    return {topics.WS: recovery.place_behind(run_id, last, ended=ended)}


def _tail(store: RecordTables, upto: int, cursors: dict[str, int]) -> Iterator[TailEvent]:
    """What everybody needs to go on from their snapshots; read only when asked for."""
    if upto == 0:
        return
    behind = [cursors.get(name) for name in topics.SERVICES if name != topics.DB_WRITER]
    known_cursors = [cursor for cursor in behind if cursor is not None]
    if len(known_cursors) == len(behind):
        yield from store.tail(min(known_cursors), upto)
    else:
        # Who has no snapshot begins with the run, which says all that it needs.
        yield from store.tail(store.last_run_seq() - 1, upto)
