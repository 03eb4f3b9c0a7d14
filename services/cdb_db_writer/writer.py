"""The writer: follows the journal into PostgreSQL, every event once, and opens the bus.

There is one way back from every trouble: forget what is not committed, and begin again behind the
last seq that the database has. The journal keeps everything that comes after it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from services.cdb_db_writer.alert_publisher import Notices
from services.cdb_db_writer.bus_guard import BusGuard
from services.cdb_db_writer.bus_recovery import open_bus
from services.cdb_db_writer.commit_boundary import end_of_portion, without_last_input
from services.cdb_db_writer.config import (
    BATCH_EVENTS,
    CONSUMES,
    GATHER_S,
    LAG_LIMIT,
    LINGER_S,
    RECEIVE_S,
    SNAPSHOT_COPY_S,
    WRITE_AGE_LIMIT_S,
)
from services.cdb_db_writer.state_rebuild import StateRebuild
from services.kernel.events import AnyEvent, topics
from services.persistence import stores
from services.persistence.recorder import Keep, RecordCursor, Recorder, UnstorableError
from services.runtime import host
from services.runtime.bus import journal, snapshots
from services.runtime.bus.bus import Bus, Unavailable
from services.runtime.bus.dead_letters import DeadLetters
from services.runtime.bus.redis.address import RedisAddress
from services.runtime.bus.snapshots import Snapshot
from services.runtime.bus.subscription import Batch, InvalidMessage, Rewound, Subscription
from services.runtime.consumer.loop_context import REMEDY
from services.runtime.database.connections import DatabaseAddress, DataRefusedError
from services.runtime.service import logging
from services.runtime.service.health import Health
from services.runtime.service.lifecycle import Lifecycle

REFUSAL_SHOWN = 300
"""Characters of what the database says about an event."""

_log = logging.get(__name__)


class RecordService:
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
        self.bus = bus
        self._stores = stores.behind(owner)
        self.store = self._stores.record(roles[topics.DB_WRITER])
        self.dead_letters = DeadLetters(bus)
        self.counters: Counter[str] = Counter()
        self.lag = 0
        self.committed_seq = 0
        self.commit_seconds = 0.0
        self.connected = False
        self._recovery = recovery
        self._owner = owner
        self._passwords = {role: address.password for role, address in roles.items()}
        self._lifecycle = lifecycle
        self.guard = BusGuard(recovery, self._recorded)
        self._guarding: host.Task | None = None
        self._migrated = False
        self._recorder: Recorder | None = None
        self._notices = Notices(bus)
        self._states = StateRebuild(bus, recovery, roles[topics.DB_WRITER])
        self._acknowledged = 0
        self._events: list[AnyEvent] = []
        self._bodies: list[bytes] = []
        self._upto = 0
        self._waiting_since: float | None = None
        self._second_at = 0.0
        self._copied_at = 0.0
        self._copied_upto = 0
        self._copies: list[Snapshot] = []

    # -- life ---------------------------------------------------------------------------------

    def run(self, stopping: host.Event) -> None:
        """Write until ``stopping`` is set.

        Raises:
            DatabaseAwayError: Call again after a while.
            Unavailable: The bus is away; call again after a while.
        """
        if self._guarding is None:
            self._guarding = host.start(self.guard.run, stopping, name="guard")
        try:
            subscription = self._start()
            try:
                while not stopping.is_set():
                    self._step(subscription)
                self._flush()
            finally:
                subscription.close()
        except Rewound as reason:
            raise Unavailable(str(reason)) from reason
        finally:
            self.connected = False
            self._drop_pending()
            self._copies = []  # of a bus that may have lost some of it
            self.store.close()

    def _start(self) -> Subscription:
        """From wherever things stand to a subscription behind the last committed seq."""
        if not self._migrated:
            for migration in self._stores.migrate(self._owner, self._passwords):
                _log.info("migrated", migration=migration)
            self._migrated = True
        cursor = self.store.readable(self.store.open())
        self.connected = True
        self._recorder = Recorder(cursor)
        self.committed_seq = self._upto = cursor.seq
        open_bus(self._recovery, self.store, self._recorder)
        claim = self.bus.claim()
        self._acknowledged = claim.cursor
        self._acknowledge(min(cursor.seq, self.bus.head()))
        _log.info("record", seq=cursor.seq, chain_hash=cursor.chain_hash.hex(), epoch=claim.epoch)
        return Subscription(self.bus, CONSUMES, cursor.seq, gather_s=GATHER_S)

    # -- events to rows -----------------------------------------------------------------------

    def _step(self, subscription: Subscription) -> None:
        timeout = RECEIVE_S
        if self._waiting_since is not None:
            timeout = max(0.0, self._waiting_since + LINGER_S - host.monotonic())
        self._take(subscription.receive(timeout))
        if self._waiting_since is not None and (
            len(self._events) >= BATCH_EVENTS or host.monotonic() - self._waiting_since >= LINGER_S
        ):
            self._flush()
        if self._waiting_since is None:
            self._lifecycle.working()  # only now: a start that can write nothing is no work
        self._housekeep(subscription)

    def _take(self, batch: Batch) -> None:
        for malformed in batch.malformed:
            self.dead_letters.put(malformed.reason, malformed.topic, malformed.body)
            if malformed.seq is not None:  # it was published, and the record will not have it
                self._pass_over(malformed, [*self._events, *batch.events])
        if batch.events:
            self._events += batch.events
            self._bodies += batch.bodies
            if self._waiting_since is None:
                self._waiting_since = host.monotonic()
        self._upto = max(self._upto, batch.upto)

    def _pass_over(self, unreadable: InvalidMessage, around: Sequence[AnyEvent]) -> None:
        seq, projector = unreadable.seq or 0, self._recorder_now().projector
        run_id, timestamp = projector.run_id, projector.clock
        for event in around:
            if event.seq < seq:
                run_id, timestamp = event.run_id, event.timestamp
        detail = f"event {seq} is {unreadable.reason}"
        self._notices.record_broken(detail, run_id, timestamp, seq)

    def _flush(self) -> None:
        """Write what waits, then tell the bus."""
        if not self._events:
            return
        events, bodies = self._events, self._bodies
        count = len(events)
        # An input's outputs are one step of the order: at its head nothing is still on its way.
        if events[-1].causation_id is not None and self.bus.head() > self._upto:
            count = without_last_input(events)
        start = 0
        while start < count:
            end = end_of_portion(events[:count], start, BATCH_EVENTS)
            upto = self._upto if end == len(events) else events[end - 1].seq
            self._write(events[start:end], bodies[start:end], upto)
            self._acknowledge(upto)
            start = end
        self._drop_pending(count)

    def _write(self, events: Sequence[AnyEvent], bodies: Sequence[bytes], upto: int) -> None:
        """Write some events; one that no table can hold is set aside, not waited for."""
        try:
            self._commit(events, bodies, upto, Keep.ALL)
        except (UnstorableError, DataRefusedError) as refused:
            self._recorder_now().go_back()
            if len(events) > 1:
                middle = len(events) // 2
                self._write(events[:middle], bodies[:middle], events[middle - 1].seq)
                self._write(events[middle:], bodies[middle:], upto)
                return
            self._write_less(events[0], bodies[0], upto, str(refused))

    def _write_less(self, event: AnyEvent, body: bytes, upto: int, why: str) -> None:
        self.counters["refused"] += 1
        _log.error("unstorable", seq=event.seq, event_id=event.event_id, reason=why)
        self.dead_letters.put("UNSTORABLE", event.TOPIC, body)
        try:
            self._commit([event], [body], upto, Keep.RECORD)
        except (UnstorableError, DataRefusedError) as refused:
            self._recorder_now().go_back()
            detail = f"event {event.seq}, {event.event_id} of {event.producer} on {event.TOPIC}, is"
            detail = f"{detail} UNSTORABLE: {str(refused)[:REFUSAL_SHOWN]}"
            projector = self._recorder_now().projector
            self._notices.record_broken(detail, projector.run_id, projector.clock, event.seq)
            self._commit([event], [body], upto, Keep.NOTHING)

    def _commit(
        self, events: Sequence[AnyEvent], bodies: Sequence[bytes], upto: int, keep: Keep
    ) -> None:
        recorder = self._recorder_now()
        epoch = self.bus.own_claim().epoch
        transaction = recorder.prepare(events, bodies, upto=upto, epoch=epoch, keep=keep)
        began = host.monotonic()
        self.store.commit(transaction)
        self.commit_seconds = host.monotonic() - began
        recorder.accept(transaction)
        self.committed_seq = upto
        self.counters["commits"] += 1
        self.counters["ticks"] += transaction.ticks
        self.counters["events"] += len(events) - transaction.ticks
        self._notices.committed(transaction, recorder)

    def _acknowledge(self, seq: int) -> None:
        if seq > self._acknowledged:
            self.bus.publish([], cursor=seq)
            self._acknowledged = seq

    # -- now and then -------------------------------------------------------------------------

    def _housekeep(self, subscription: Subscription) -> None:
        now = host.monotonic()
        if now - self._second_at < 1.0:
            return
        self._second_at = now
        self.lag = subscription.lag()
        projector = self._recorder_now().projector
        self.dead_letters.report(projector.run_id, projector.clock)
        recorder, guard = self._recorder_now(), self.guard
        if not self._events:
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
        return self._recorder.cursor if self._recorder is not None else None

    def _recorder_now(self) -> Recorder:
        assert self._recorder is not None, "the record is open while events are taken"
        return self._recorder

    def _drop_pending(self, written: int | None = None) -> None:
        """Forget what waits, or only the first events of it."""
        rest = len(self._events) if written is None else written
        self._events, self._bodies = self._events[rest:], self._bodies[rest:]
        self._waiting_since = host.monotonic() if self._events else None

    # -- what others ask ----------------------------------------------------------------------

    def age(self) -> float:
        """Seconds that the oldest received event has been waiting to be written."""
        since = self._waiting_since
        return 0.0 if since is None else host.monotonic() - since

    def health(self) -> Health:
        """Database and bus, measured by what they last did."""
        reasons = []
        age = self.age()
        if age > WRITE_AGE_LIMIT_S:
            reasons.append(f"nothing written for {age:.1f} s (limit {WRITE_AGE_LIMIT_S:g} s)")
        if self.lag > LAG_LIMIT:
            reasons.append(f"{self.lag} events behind the bus (limit {LAG_LIMIT})")
        broken = self._recorder.projector.broken if self._recorder is not None else None
        if broken is not None:
            reasons.append(f"{broken}; {REMEDY}")
        if self.guard.failure is not None:
            reasons.append(self.guard.failure)
        for service, why in self._states.failures.items():
            reasons.append(f"the state of {service} cannot be made again: {why}")
        measured: dict[str, object] = {
            "db_write_age_s": round(age, 3),
            "bus_lag_events": self.lag,
            "committed_seq": self.committed_seq,
        }
        return Health(tuple(reasons), measured)

    def status(self) -> dict[str, object]:
        """Where the record stands."""
        recorder = self._recorder
        return {
            "committed_seq": self.committed_seq,
            "chain_hash": recorder.cursor.chain_hash.hex() if recorder else None,
            "run_id": recorder.projector.run_id if recorder else None,
            "bus_lag_events": self.lag,
            "last_commit_s": round(self.commit_seconds, 4),
            "counters": dict(self.counters),
            "dead_letters": dict(self.dead_letters.counts),
        }
