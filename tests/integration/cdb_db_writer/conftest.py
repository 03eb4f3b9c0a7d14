"""The writer in a thread on real servers, and the other services as the test plays them."""

import threading
from collections.abc import Callable, Iterator

import pytest

from services.cdb_db_writer.writer import RecordService
from services.kernel.events import Event, topics
from services.persistence import chain
from services.runtime.bus.bus import Bus
from services.runtime.database import migrations
from services.runtime.service.lifecycle import Lifecycle
from tests.deadline import DEADLINE_S, wait_until
from tests.servers import PostgresServer, RedisServer


def check_chain(postgres: PostgresServer) -> int:
    """Recompute the whole chain from the tables; returns the number of rows in it."""
    head, ticks_after = chain.GENESIS, 0
    # The cursor first: the writer may have more to say while we look.
    ((upto, last),) = postgres.query("SELECT seq, chain_hash FROM db_writer_cursor")
    rows = postgres.query(
        "SELECT seq, type, body::text, chain_hash FROM events WHERE seq <= %s ORDER BY seq", (upto,)
    )
    for seq, kind, body, chain_hash in rows:
        head = chain.link(head, seq, body.encode())
        assert head == chain_hash, f"chain breaks at {seq}"
        if kind == chain.TICK_BATCH:
            ticks = postgres.query(
                "SELECT body::text FROM market_data WHERE seq > %s AND seq <= %s ORDER BY seq",
                (ticks_after, seq),
            )
            assert f'"sha256":"{chain.digest_ticks(t[0].encode() for t in ticks)}"' in body
            ticks_after = seq
    assert last == head
    return len(rows)


class NotingLifecycle(Lifecycle):
    """Keeps what was waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.reasons: list[str] = []

    def waits(self, reason: str) -> None:
        self.reasons.append(reason)
        super().waits(reason)


class RunningWriter:
    """One life of the writer, as its shell would run it."""

    def __init__(self, redis: RedisServer, postgres: PostgresServer) -> None:
        self.lifecycle = NotingLifecycle()
        self.errors = self.lifecycle.reasons
        self.crashed: BaseException | None = None
        self.writer = RecordService(
            bus=Bus(redis.address(topics.DB_WRITER), topics.DB_WRITER),
            recovery=redis.address("recovery"),
            owner=postgres.address,
            roles={role: postgres.role(role) for role in migrations.SERVICE_ROLES},
            lifecycle=self.lifecycle,
        )
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.writer.run(self.lifecycle.stopping)
        except BaseException as error:
            self.crashed = error

    def wait_working(self) -> None:
        wait_until(
            lambda: self.crashed is not None or self.lifecycle.waiting_for is None, "writer works"
        )
        assert self.crashed is None

    def wait_committed(self, seq: int) -> None:
        wait_until(
            lambda: self.crashed is not None or self.writer.committed_seq >= seq,
            f"seq {seq} written",
        )
        assert self.crashed is None

    def stop(self) -> None:
        self.lifecycle.stopping.set()
        self._thread.join(timeout=DEADLINE_S)
        assert not self._thread.is_alive()
        self.writer.bus.close()


class Play:
    """Publishes as any service, in the order that the test says."""

    def __init__(self, redis: RedisServer) -> None:
        self._redis = redis
        self._buses: dict[str, Bus] = {}

    def publish(self, *events: Event) -> int:
        """Publish each as its producer; returns the last seq."""
        last = 0
        for event in events:
            last = self.bus(event.producer).publish([event]).last_seq
        return last

    def publish_all(self, events: list[Event]) -> int:
        """Publish events of one producer in batches."""
        return self.bus(events[0].producer).publish(events).last_seq

    def bus(self, service: str) -> Bus:
        if service not in self._buses:
            bus = Bus(self._redis.address(service), service)
            bus.claim()
            self._buses[service] = bus
        return self._buses[service]

    def close(self) -> None:
        for bus in self._buses.values():
            bus.close()
        self._buses = {}


StartWriter = Callable[[], RunningWriter]


@pytest.fixture
def start_writer(
    redis_server: RedisServer, postgres_server: PostgresServer
) -> Iterator[StartWriter]:
    started: list[RunningWriter] = []

    def start() -> RunningWriter:
        running = RunningWriter(redis_server, postgres_server)
        started.append(running)
        return running

    yield start
    for running in started:
        running.stop()


@pytest.fixture
def play(redis_server: RedisServer) -> Iterator[Play]:
    playing = Play(redis_server)
    yield playing
    playing.close()
