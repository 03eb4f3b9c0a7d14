"""Opening the bus: after each start of the server, is everything there that the database knows?

Until ``cdb_db_writer`` has asked that question, no service may publish (``bus.Bus.connect``
waits). Where Redis has less than PostgreSQL, the writer puts back what PostgreSQL knows, moves the
order past everything that may have been seen, and says so with ``recovered``; trading stays halted
until a person releases it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec

from services.kernel.events import SCHEMA_VERSION, Recovered, codec, topics
from services.kernel.events.ids import make_id
from services.runtime import host
from services.runtime.bus import counters
from services.runtime.bus.bus import server_life
from services.runtime.bus.redis.address import RedisAddress
from services.runtime.bus.redis.connection import Connection, pack
from services.runtime.bus.redis.names import COUNTERS_KEY, EPOCH_KEY, LEFT_OUT_KEY, VERIFIED_KEY
from services.runtime.bus.snapshots import Snapshot

LOST_MARGIN = 1_000_000
"""Seqs left out after a loss: events that were published and seen, but never written down."""
_ORIGIN_KEY = "cdb:recovered_from"
_CHUNK = 500
_ANSWERING = frozenset({*topics.STAGE_ORDER, topics.PAPER_RUNNER})
"""Those whose outputs have causes, and come with the cursor of the input."""


@dataclass(frozen=True, slots=True)
class TailEvent:
    """One event from PostgreSQL, as it was published: ``body`` is the exact JSON."""

    seq: int
    producer: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Known:
    """What PostgreSQL knows about the bus.

    Attributes:
        epoch: Last epoch written down; None in an empty database.
        seq: Last seq written down.
        run_id: Of the last ``run_started``.
        clock_ms: The last clock.
        topic_seqs: Last ``topic_seq`` per topic.
        tail: Events after the oldest stage's snapshot, by seq. Asked for only when needed.
        snapshots: Last copy of every snapshot.
        positions: Where sources go on, see `place_behind`.
    """

    epoch: str | None = None
    seq: int = 0
    run_id: str | None = None
    clock_ms: int = 0
    topic_seqs: Mapping[str, int] = field(default_factory=dict)
    tail: Iterable[TailEvent] = ()
    snapshots: Iterable[Snapshot] = ()
    positions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Opened:
    """The bus is open.

    Attributes:
        epoch: The epoch that holds from now on.
        lost_from, lost_to: Bounds of what may be lost; None when nothing is.
    """

    epoch: str
    lost_from: int | None = None
    lost_to: int | None = None


def place_behind(run_id: str, event_id: str, *, ended: bool = False) -> str:
    """A source's position that says only which of its events was the last one written down.

    Args:
        run_id: The run.
        event_id: Of that event; empty when there is none.
        ended: The source has published its end, too.
    """
    return msgspec.json.encode({"run_id": run_id, "behind": event_id, "ended": ended}).decode()


def is_open(address: RedisAddress) -> bool:
    """Whether this life of the server has been compared with the database already.

    Raises:
        Unavailable: The server is away.
    """
    connection = address.connect("recovery")
    try:
        info, verified = connection.pipeline([pack("INFO", "server"), pack("GET", VERIFIED_KEY)])
        return bool(verified == server_life(info))
    finally:
        connection.close()


def restore(address: RedisAddress, known: Known) -> Opened:
    """Compare the bus with what is known, put back what it lacks, and open it.

    Safe to repeat: after a crash in between, the next call does it again.

    Args:
        address: The server, as user ``recovery``.
        known: What PostgreSQL knows.

    Raises:
        Unavailable: The server is away.
    """
    connection = address.connect("recovery")
    try:
        return _Restoration(connection, known).run()
    finally:
        connection.close()


class _Restoration:
    """One comparison, and what follows from it."""

    def __init__(self, connection: Connection, known: Known) -> None:
        self._redis = connection
        self._known = known

    def run(self) -> Opened:
        life = server_life(self._redis.call("INFO", "server"))
        epoch, origin = self._redis.pipeline([pack("GET", EPOCH_KEY), pack("GET", _ORIGIN_KEY)])
        known = self._known
        at = counters.journal_head(self._redis, known.seq)
        if known.epoch is None:
            # An empty database knows nothing that could be missing.
            epoch = epoch or self._new_epoch()
            opened = Opened(epoch.decode())
        elif epoch is not None and known.epoch.encode() in (epoch, origin) and at >= known.seq:
            opened = Opened(epoch.decode())
        else:
            opened = self._put_back(at)
        self._redis.call("SET", VERIFIED_KEY, life)
        return opened

    def _new_epoch(self) -> bytes:
        epoch = host.token().encode()
        self._redis.call("SET", EPOCH_KEY, epoch)
        return epoch

    def _put_back(self, at: int) -> Opened:
        known = self._known
        # Shut first: a crash from here on must lead here again.
        self._redis.pipeline([pack("DEL", VERIFIED_KEY), pack("DEL", EPOCH_KEY)])
        tail = sorted(known.tail, key=lambda event: event.seq)
        last = max(at, known.seq, tail[-1].seq if tail else 0)
        new_seq = last + LOST_MARGIN
        epoch = host.token()
        self._put_journals(tail)
        self._put_counters(tail, new_seq)
        self._put_snapshots(epoch)
        self._put_cursors(tail, epoch)
        self._publish_recovered(epoch, known.seq + 1, new_seq)
        self._redis.call("SET", _ORIGIN_KEY, known.epoch or "")
        self._redis.call("SET", EPOCH_KEY, epoch)
        return Opened(epoch, known.seq + 1, new_seq)

    def _put_journals(self, tail: list[TailEvent]) -> None:
        self._redis.pipeline([pack("DEL", f"cdb:journal:{name}") for name in topics.SERVICES])
        for start in range(0, len(tail), _CHUNK):
            self._redis.pipeline(
                [
                    pack("XADD", f"cdb:journal:{event.producer}", f"{event.seq}-0", "e", event.body)
                    for event in tail[start : start + _CHUNK]
                ]
            )

    def _put_counters(self, tail: list[TailEvent], new_seq: int) -> None:
        topic_seqs = dict.fromkeys(topics.TOPICS, 0)
        topic_seqs.update(self._known.topic_seqs)
        heads = dict.fromkeys(topics.TOPICS, 0)
        for tail_event in tail:
            event = codec.decode(tail_event.body)
            topic_seqs[event.TOPIC] = max(topic_seqs[event.TOPIC], event.topic_seq)
            heads[event.TOPIC] = event.seq
        fields: list[str | int] = ["seq", new_seq]
        for topic in topics.TOPICS:
            fields += [f"topic_seq:{topic}", topic_seqs[topic], f"topic_head:{topic}", heads[topic]]
        there = [event.seq for event in tail] or [self._known.seq]
        left_out: list[int] = []
        for before, after in pairwise([*there, new_seq + 1]):
            if after > before + 1:
                left_out += [before + 1, after - 1]
        self._redis.pipeline(
            [
                pack("DEL", COUNTERS_KEY, LEFT_OUT_KEY),
                pack("HSET", COUNTERS_KEY, *fields),
                pack("HSET", LEFT_OUT_KEY, *left_out),
            ]
        )

    def _put_snapshots(self, epoch: str) -> None:
        commands = [pack("DEL", f"cdb:snapshot:{name}") for name in topics.SERVICES]
        for old in self._known.snapshots:
            new = Snapshot(old.service, old.state, old.cursor, epoch, old.context)
            parts = [part for pair in new.fields().items() for part in pair]
            commands.append(pack("HSET", f"cdb:snapshot:{new.service}", *parts))
        self._redis.pipeline(commands)

    def _put_cursors(self, tail: list[TailEvent], epoch: str) -> None:
        cursors = {snapshot.service: snapshot.cursor for snapshot in self._known.snapshots}
        for name, cursor in _causes(tail).items():
            cursors[name] = max(cursors.get(name, 0), cursor)
        # The writer goes on after what it has written down.
        cursors[topics.DB_WRITER] = self._known.seq
        first = tail[0].seq if tail else self._known.seq + 1
        commands = []
        for name in topics.SERVICES:
            key = f"cdb:cursor:{name}"
            numbers = [f"topic_seq:{topic}" for topic in topics.TOPICS]
            commands.append(pack("HDEL", key, "ticket", "shell_id", "commit", *numbers))
            fields = ("seq", cursors.get(name, 0), "epoch", epoch, "trimmed", first)
            commands.append(pack("HSET", key, *fields))
            # Whoever is still running from before can publish no more.
            commands.append(pack("HINCRBY", key, "instance", 1))
            if name in self._known.positions:
                commands.append(pack("HSET", key, "position", self._known.positions[name]))
        self._redis.pipeline(commands)

    def _publish_recovered(self, epoch: str, lost_from: int, lost_to: int) -> None:
        known = self._known
        if known.run_id is None:
            return  # nothing is published before a run has started
        event = Recovered(
            event_id=make_id(known.run_id, topics.DB_WRITER, "recovered", epoch),
            run_id=known.run_id,
            producer=topics.DB_WRITER,
            schema_version=SCHEMA_VERSION,
            timestamp=known.clock_ms,
            causation_id=None,
            correlation_id=None,
            epoch=epoch,
            lost_from=lost_from,
            lost_to=lost_to,
        )
        seq = lost_to + 1
        topic_seq = self._redis.call("HINCRBY", COUNTERS_KEY, f"topic_seq:{topics.CONTROL}", 1)
        fields = ("seq", seq, "producer", topics.DB_WRITER, f"topic_head:{topics.CONTROL}", seq)
        self._redis.call("HSET", COUNTERS_KEY, *fields)
        body = codec.encode(event)[:-1] + f',"seq":{seq},"topic_seq":{topic_seq}}}'.encode()
        journal_key = f"cdb:journal:{topics.DB_WRITER}"
        self._redis.call("XADD", journal_key, f"{seq}-0", "e", body)
        self._redis.call("PUBLISH", topics.CONTROL, body)


def _causes(tail: list[TailEvent]) -> dict[str, int]:
    """Seq of the cause of everybody's last known output: its cursor cannot be before it."""
    seqs: dict[str, int] = {}
    causes: dict[str, int] = {}
    for tail_event in tail:
        try:
            event = codec.decode(tail_event.body)
        except msgspec.DecodeError:
            continue
        seqs[event.event_id] = event.seq
        cause = seqs.get(event.causation_id or "")
        if cause is not None and event.producer in _ANSWERING:
            causes[event.producer] = max(causes.get(event.producer, 0), cause)
    return causes
