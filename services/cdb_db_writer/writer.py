"""The writer: follows the journal into PostgreSQL, every event once, and opens the bus.

What is settled is what the database has: after any failure the journal behind its last seq comes
again. The journal keeps everything that comes after it.
"""

from collections.abc import Iterator, Mapping, Sequence

from services.cdb_db_writer.alert_publisher import AlertPublisher
from services.cdb_db_writer.bus_guard import BusGuard
from services.cdb_db_writer.bus_recovery import open_bus
from services.cdb_db_writer.commit_boundary import end_of_portion, without_last_input
from services.cdb_db_writer.config import (
    BATCH_EVENTS,
    CONSUMES,
    GATHER_S,
    LAG_LIMIT,
    LINGER_S,
    SNAPSHOT_COPY_S,
    WRITE_AGE_LIMIT_S,
)
from services.cdb_db_writer.record_sink import RecordSink
from services.cdb_db_writer.state_rebuild import StateRebuild
from services.kernel.events import AnyEvent, topics
from services.persistence import stores
from services.persistence.recorder import RecordCursor
from services.runtime import host
from services.runtime.bus import journal, snapshots
from services.runtime.bus.bus import Bus
from services.runtime.bus.redis.address import RedisAddress
from services.runtime.bus.snapshots import Snapshot
from services.runtime.bus.subscription import Batch, InvalidMessage, Subscription
from services.runtime.consumer.loop import Loop
from services.runtime.consumer.loop_context import REMEDY
from services.runtime.database.connections import DatabaseAddress
from services.runtime.service import logging
from services.runtime.service.health import Health
from services.runtime.service.lifecycle import Lifecycle

_log = logging.get(__name__)


class RecordService(Loop[Batch, Subscription]):
    """The record of everything but orders and trades.

    Args:
        bus: As ``cdb_db_writer``.
        recovery: The bus, as user ``recovery``.
        owner: The database, as its owner, for the schema.
        roles: The database, as each service role; the writer works as its own.
        lifecycle: Is told when the service works.
    """

    def __init__(
        self,
        *,
        bus: Bus,
        recovery: RedisAddress,
        owner: DatabaseAddress,
        roles: Mapping[str, DatabaseAddress],
        lifecycle: Lifecycle,
    ) -> None:
        super().__init__(bus, on_wait=lifecycle.waits)
        self._stores = stores.behind(owner)
        self.store = self._stores.record(roles[topics.DB_WRITER])
        self._notices = AlertPublisher(bus)
        self.sink = RecordSink(self.store, bus, self.dead_letters, self._notices, self.counters)
        self.guard = BusGuard(recovery, self._recorded)
        self._recovery = recovery
        self._owner = owner
        self._passwords = {role: address.password for role, address in roles.items()}
        self._lifecycle = lifecycle
        self._guarding: host.Task | None = None
        self._migrated = False
        self._states = StateRebuild(bus, recovery, roles[topics.DB_WRITER])
        self._pending = Batch()
        self._waiting_since: float | None = None
        self._copied_at = 0.0
        self._copied_upto = 0
        self._copies: list[Snapshot] = []

    @property
    def committed_seq(self) -> int:
        """Last seq that is written down."""
        return self.sink.committed_seq

    @property
    def connected(self) -> bool:
        """Whether the database can be written."""
        return self.waiting_for is None

    # -- begin and end ------------------------------------------------------------------------

    def run(self, stop: host.Event) -> None:
        """Write until asked to stop."""
        if self._guarding is None:
            self._guarding = host.start(self.guard.run, stop, name="guard")
        super().run(stop)

    def begin(self) -> Subscription:
        """From wherever things stand to a subscription behind the last committed seq."""
        if not self._migrated:
            for migration in self._stores.migrate(self._owner, self._passwords):
                _log.info("migrated", migration=migration)
            self._migrated = True
        recorder = self.sink.open()
        cursor = recorder.cursor
        self._pending, self._waiting_since = Batch(upto=cursor.seq), None
        self._copies = []  # of a bus that may have lost some of it
        open_bus(self._recovery, self.store, recorder)
        claim = self.bus.claim()
        self.sink.claimed(claim.cursor)
        _log.info("record", seq=cursor.seq, chain_hash=cursor.chain_hash.hex(), epoch=claim.epoch)
        return Subscription(self.bus, CONSUMES, cursor.seq, gather_s=GATHER_S)

    def end(self) -> None:
        """Write what waits."""
        for batch, upto in self._due():
            self.commit(batch, upto)

    def close(self) -> None:
        """Disconnect; what waits is read again the next time."""
        self.store.close()
        super().close()

    # -- events to rows -----------------------------------------------------------------------

    def patience(self) -> float:
        """Seconds until what waits is to be written."""
        if self._waiting_since is None:
            return super().patience()
        return max(0.0, self._waiting_since + LINGER_S - self.now())

    def handle(self, batch: Batch) -> Iterator[tuple[Batch, int]]:
        """Collect events, until there are many or they have waited long enough."""
        pending = self._pending
        for malformed in batch.malformed:
            if malformed.seq is not None:  # it was published, and the record will not have it
                self._pass_over(malformed, [*pending.events, *batch.events])
        if batch.events:
            pending.events += batch.events
            pending.bodies += batch.bodies
            if self._waiting_since is None:
                self._waiting_since = self.now()
        pending.upto = max(pending.upto, batch.upto)
        if len(pending.events) >= BATCH_EVENTS or self.age() >= LINGER_S:
            yield from self._due()
        if self._waiting_since is None:
            self._lifecycle.working()  # only now: a start that can write nothing is no work

    def commit(self, outputs: Batch, position: int) -> None:  # noqa: ARG002 - its own ``upto``
        """Write events, then acknowledge them."""
        self.sink.commit(outputs)

    def _due(self) -> Iterator[tuple[Batch, int]]:
        """What waits, in transactions; without the last input, where more of it may come."""
        pending = self._pending
        events, bodies = pending.events, pending.bodies
        count = len(events)
        if not count:
            return
        # An input's outputs are one step of the order: at its head nothing is still on its way.
        if events[-1].causation_id is not None and self.bus.head() > pending.upto:
            count = without_last_input(events)
        start = 0
        while start < count:
            end = end_of_portion(events[:count], start, BATCH_EVENTS)
            upto = pending.upto if end == len(events) else events[end - 1].seq
            yield Batch(events[start:end], bodies[start:end], upto=upto), upto
            start = end
        self._pending = Batch(events[count:], bodies[count:], upto=pending.upto)
        self._waiting_since = self.now() if self._pending.events else None

    def _pass_over(self, unreadable: InvalidMessage, around: Sequence[AnyEvent]) -> None:
        seq, projector = unreadable.seq or 0, self.sink.opened.projector
        run_id, timestamp = projector.run_id, projector.clock
        for event in around:
            if event.seq < seq:
                run_id, timestamp = event.run_id, event.timestamp
        detail = f"event {seq} is {unreadable.reason}"
        self._notices.record_broken(detail, run_id, timestamp, seq)

    # -- now and then -------------------------------------------------------------------------

    def run_and_clock(self) -> tuple[str | None, int | None]:
        """The run and the clock, as far as the record has them."""
        projector = self.sink.opened.projector
        return projector.run_id, projector.clock

    def housekeep(self) -> None:
        """Report how far the record is; copy and make snapshots; trim the journal."""
        now, recorder, guard = self.now(), self.sink.opened, self.guard
        if not self._pending.events:
            self._notices.record_head(recorder, now)
        self._notices.counters_healed(guard.counts["counters"], guard.changed, recorder, now)
        self._states.look(self.committed_seq)
        if now - self._copied_at >= SNAPSHOT_COPY_S:
            self._copied_at = now
            self._copies = self._copy_snapshots()
            self._copied_upto = self.bus.head()
            journal.trim(self.bus)
        if self._copies and self.committed_seq >= self._copied_upto:
            self.counters["snapshots"] += sum(map(self.store.keep_snapshot, self._copies))
            self._copies = []

    def _copy_snapshots(self) -> list[Snapshot]:
        copies = []
        for name in (*topics.STAGE_ORDER, topics.WS, topics.PAPER_RUNNER):
            try:
                copies.append(snapshots.load(self.bus, name))
            except snapshots.SnapshotCorrupt as corrupt:
                _log.error("snapshot_corrupt", reason=str(corrupt))
        return [copy for copy in copies if copy is not None]

    def _recorded(self) -> RecordCursor | None:
        return self.sink.recorder.cursor if self.sink.recorder is not None else None

    # -- what others ask ----------------------------------------------------------------------

    def age(self) -> float:
        """Seconds that the oldest received event has been waiting to be written."""
        since = self._waiting_since
        return 0.0 if since is None else self.now() - since

    def health(self) -> Health:
        """Database and bus, measured by what they last did."""
        found = self.measured(LAG_LIMIT)
        reasons = list(found.reasons)
        age = self.age()
        if age > WRITE_AGE_LIMIT_S:
            reasons.append(f"nothing written for {age:.1f} s (limit {WRITE_AGE_LIMIT_S:g} s)")
        recorder = self.sink.recorder
        broken = recorder.projector.broken if recorder is not None else None
        if broken is not None:
            reasons.append(f"{broken}; {REMEDY}")
        if self.guard.failure is not None:
            reasons.append(self.guard.failure)
        for service, why in self._states.failures.items():
            reasons.append(f"the state of {service} cannot be made again: {why}")
        measured: dict[str, object] = {
            "db_write_age_s": round(age, 3),
            "committed_seq": self.committed_seq,
            **found.measured,
        }
        return Health(tuple(reasons), measured)

    def status(self) -> dict[str, object]:
        """Where the record stands."""
        recorder = self.sink.recorder
        return {
            "committed_seq": self.committed_seq,
            "chain_hash": recorder.cursor.chain_hash.hex() if recorder else None,
            "run_id": recorder.projector.run_id if recorder else None,
            "bus_lag_events": self.lag,
            "last_commit_s": round(self.sink.commit_seconds, 4),
            "counters": dict(self.counters),
            "dead_letters": dict(self.dead_letters.counts),
        }
