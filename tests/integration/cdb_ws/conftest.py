"""The service as a process on a real bus, and what a test reads from the journal."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import redis
from msgspec.structs import replace

from services.kernel.events import AnyEvent, Clock, RunStarted, topics
from services.runtime.bus import journal, recovery
from services.runtime.bus.bus import Bus
from services.runtime.bus.recovery import Known, TailEvent
from tests.bus_builders import run_started
from tests.deadline import DEADLINE_S, wait_until
from tests.servers import RedisServer


class WsOnBus:
    """``cdb_ws`` processes, the orchestrator's place on the bus, and the journal."""

    def __init__(self, server: RedisServer, folder: Path) -> None:
        self.server = server
        self._folder = folder
        self.runner = Bus(server.address(topics.PAPER_RUNNER), topics.PAPER_RUNNER)
        self.runner.claim()
        self.writer = Bus(server.address(topics.DB_WRITER), topics.DB_WRITER)
        self.writer.claim()
        self._processes: list[subprocess.Popen[str]] = []
        self._clients: list[redis.Redis] = []

    def start(self, **environment: str) -> "subprocess.Popen[str]":
        variables = {
            "PATH": os.environ["PATH"],
            "REDIS_HOST": self.server.host,
            "REDIS_PORT": str(self.server.port),
            "REDIS_PASSWORD_CDB_WS": self.server.passwords[topics.WS],
            "HTTP_PORT": "0",
            "CDB_ENV_FILE": "/nonexistent",
            "CDB_CACHE_DIR": str(self._folder / "cache"),
            "SNAPSHOT_INTERVAL_SEC": "1",
            **environment,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "services.cdb_ws"],
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._processes.append(process)
        return process

    def begin_run(self, source: str, speed: str = "flood", **settings: str) -> RunStarted:
        run = run_started(source=source, speed=speed)
        run = replace(run, settings={**run.settings, **settings})
        self.runner.publish([run])
        return run

    def acknowledge(self) -> None:
        """What the writer does: say that everything was taken."""
        head = self.writer.head()
        if head > self.writer.cursor_of(topics.DB_WRITER).seq:
            self.writer.publish([], cursor=head)

    def operator(self) -> "redis.Redis":
        """A person with redis-cli."""
        address = self.server.address("operator")
        client = redis.Redis(
            host=address.host,
            port=address.port,
            username=address.username,
            password=address.password,
            socket_timeout=10,
        )
        self._clients.append(client)
        return client

    def cursor_field(self, name: str) -> bytes | None:
        """One field of the service's place on the bus."""
        with self.server.admin() as admin:
            value: bytes | None = admin.hget(f"cdb:cursor:{topics.WS}", name)
            return value

    def published(self) -> list[AnyEvent]:
        """Everything that ``cdb_ws`` has published, in its order."""
        every = journal.read(self.runner, topics.TOPICS, 0, self.runner.head())
        return [event for event in every if event.producer == topics.WS]

    def wait_for(
        self, found: Callable[[list[AnyEvent]], bool], seconds: float = DEADLINE_S
    ) -> list[AnyEvent]:
        """The events, once they are as a test wants them."""

        def look() -> tuple[list[AnyEvent]] | None:
            self.acknowledge()
            events = self.published()
            return (events,) if found(events) else None  # no event at all may be what is wanted

        answer = wait_until(look, self._what_there_is, seconds)
        assert answer is not None
        return answer[0]

    def _what_there_is(self) -> str:
        events = self.published()
        logs = "".join(self._log_of(process) for process in self._processes)
        return f"{len(events)} events, the last {events[-3:]}\n{logs}"

    def _log_of(self, process: "subprocess.Popen[str]") -> str:
        process.terminate()
        return "".join(process.communicate(timeout=15))

    def known(self) -> Known:
        """What PostgreSQL knows if the writer has written everything."""
        heads = self.runner.heads()
        entries = journal.read_entries(self.runner, topics.TOPICS, 0, heads.seq)
        events = list(journal.read(self.runner, topics.TOPICS, 0, heads.seq))
        return Known(
            epoch=heads.epoch,
            seq=heads.seq,
            run_id=events[-1].run_id,
            clock_ms=max(event.timestamp for event in events if isinstance(event, Clock)),
            topic_seqs=heads.topic_seqs,
            tail=[TailEvent(entry.seq, entry.producer, entry.body) for entry in entries],
        )

    def memory(self) -> dict[bytes, bytes]:
        """Everything that Redis remembers now."""
        with self.server.admin() as admin:
            return {key: admin.dump(key) for key in admin.scan_iter()}

    def go_back_to(self, memory: Mapping[bytes, bytes], known: Known) -> None:
        """Redis dies, comes back with an older memory, and is opened as the writer does."""
        with self.server.admin() as admin:
            pipe = admin.pipeline(transaction=True)
            pipe.flushall()
            for key, value in memory.items():
                pipe.restore(key, 0, value)
            pipe.execute()
        self.server.kill()
        self.server.start()
        recovery.restore(self.server.address("recovery"), known)
        for bus in (self.runner, self.writer):
            bus.close()
            bus.claim()

    def close(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.communicate(timeout=10)
        for client in (self.runner, self.writer, *self._clients):
            client.close()


@pytest.fixture
def ws(redis_server: RedisServer, tmp_path: Path) -> Iterator[WsOnBus]:
    """A bus that the writer has opened, ready for ``cdb_ws``."""
    recovery.restore(redis_server.address("recovery"), Known())
    on_bus = WsOnBus(redis_server, tmp_path)
    yield on_bus
    on_bus.close()


@pytest.fixture
def trades_file(tmp_path: Path) -> Path:
    """Two minutes of trades, some in the same millisecond, with one unusable row."""
    start = 1_700_000_000_000
    rows = [
        f"{start + number // 2 * 400},{100 + number % 7}.5,0.0{number % 9 + 1},buy"
        for number in range(600)
    ]
    rows.insert(0, "ts_ms,price,qty,side")
    rows.append(f"{start + 130_000},-1,1,sell")
    path = tmp_path / "binance-usdm_BTCUSDT_trades.csv"
    path.write_text("\n".join(rows) + "\n")
    return path
