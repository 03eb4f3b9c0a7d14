"""How fast `cdb_db_writer` persists: the real process, the real servers, as much as it takes."""

import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from services.kernel.events import Event, MarketData, RiskDecision, RunStarted, topics
from services.kernel.events.ids import make_id
from services.lab.bench.store.record import BUSY, events_of
from services.runtime.bus.bus import Bus
from services.runtime.bus.redis.address import RedisAddress
from services.runtime.database.connections import connect_to_read
from services.runtime.embedded.home import Home
from services.runtime.embedded.session import EmbeddedSession, SessionError
from services.runtime.settings.secrets import GENERATED, password_variable

TICKS: Final = 500
DECISIONS: Final = 50
"""Of one round: ten to one."""
AHEAD: Final = 50_000
"""Events that may be published and not yet written: so the rate is the writer's own."""
LOOK_ROUNDS: Final = 10
TEMPLATES: Final = 20_000
SAMPLE_SECONDS: Final = 1.0
SETTLED: Final = 0.4
"""Part of the time after which memory has to be flat: caches are full then."""
SETTLE_SECONDS: Final = 120.0
_RESIDENT: Final = b"process_resident_memory_bytes "


@dataclass(slots=True)
class _Memory:
    """Resident memory of a process, sampled through its metrics page."""

    url: str
    samples: list[tuple[float, float]] = field(default_factory=list)

    def sample(self) -> None:
        """Note it, at most once in ``SAMPLE_SECONDS``."""
        now = time.monotonic()
        if self.samples and now - self.samples[-1][0] < SAMPLE_SECONDS:
            return
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=5.0) as answer:  # noqa: S310 - own service
            page: bytes = answer.read()
        for line in page.splitlines():
            if line.startswith(_RESIDENT):
                self.samples.append((now, float(line[len(_RESIDENT) :])))

    def to_json(self) -> dict[str, float | int | None]:
        """First, last and largest in MiB, and the slope once it has settled, in MiB a minute."""
        if not self.samples:
            return {"samples": 0, "first_mb": None, "last_mb": None, "max_mb": None}
        sizes = [size / 2**20 for _, size in self.samples]
        settled = self.samples[int(len(self.samples) * SETTLED) :]
        return {
            "samples": len(sizes),
            "first_mb": round(sizes[0], 1),
            "last_mb": round(sizes[-1], 1),
            "max_mb": round(max(sizes), 1),
            "slope_mb_per_minute": round(slope(settled) * 60 / 2**20, 3),
        }


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The line through some points by least squares: its rise per unit; 0 of fewer than two."""
    if len(points) < 2:
        return 0.0
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    rise = sum((x - middle_x) * (y - middle_y) for x, y in points)
    return rise / spread if spread else 0.0


def measure(home: Home, seconds: float) -> dict[str, Any]:
    """Publish ticks and decisions for some time, and see how fast they are written down.

    Args:
        home: Taken and empty; its data is removed afterwards.
        seconds: How long is published.

    Raises:
        SessionError: Something did not start, broke or did not keep up.
    """
    try:
        with EmbeddedSession(home, {"CDB_SOURCE": "external"}) as session:
            session.start_servers()
            session.start_services((topics.DB_WRITER,))
            session.wait_working(topics.DB_WRITER)
            return _measure(session, _Flood(home, session), seconds)
    finally:
        home.clear()


class _Flood:
    """Publishes, as the services whose events they are, what one synthetic run had."""

    def __init__(self, home: Home, session: EmbeddedSession) -> None:
        passwords = home.passwords(GENERATED)

        def bus(service: str) -> Bus:
            operator = session.operator
            password = passwords[password_variable(service)]
            opened = Bus(RedisAddress(operator.host, operator.port, service, password), service)
            opened.claim()
            return opened

        self._ws, self._risk = bus(topics.WS), bus(topics.RISK)
        self._runner = bus(topics.PAPER_RUNNER)
        made = list(events_of((BUSY,), TEMPLATES))
        self._run = next(event for event in made if type(event) is RunStarted)
        self._ticks = _endless([event for event in made if type(event) is MarketData])
        self._decisions = _endless([event for event in made if type(event) is RiskDecision])

    def begin(self) -> int:
        """Publish the run's start; returns its seq."""
        return self._runner.publish([_again(self._run, 0)]).last_seq

    def round(self) -> int:
        """Publish one round; returns the last seq."""
        self._ws.publish([next(self._ticks) for _ in range(TICKS)])
        return self._risk.publish([next(self._decisions) for _ in range(DECISIONS)]).last_seq

    def close(self) -> None:
        """Disconnect."""
        for bus in (self._ws, self._risk, self._runner):
            bus.close()


def _endless(templates: Sequence[Event]) -> Iterator[Event]:
    """The same events again and again, each time with ids that were not there yet."""
    number = 0
    while True:
        for template in templates:
            number += 1
            yield _again(template, number)


def _again(event: Event, number: int) -> Event:
    ids: dict[str, Any] = {"event_id": f"{event.event_id[:16]}{number:016x}", "seq": 0}
    if type(event) is RiskDecision:
        ids["decision_id"] = make_id("bench decision", number)
    return msgspec.structs.replace(event, topic_seq=0, **ids)


def _measure(session: EmbeddedSession, flood: _Flood, seconds: float) -> dict[str, Any]:
    try:
        flood.begin()
        memory = _Memory(session.services[topics.DB_WRITER])
        before, began = session.cpu_seconds(), time.monotonic()
        rounds, last = 0, 0
        while time.monotonic() - began < seconds:
            last = flood.round()
            rounds += 1
            if rounds % LOOK_ROUNDS == 0:
                _keep_near(session, last, memory)
        session.wait_until(
            lambda: session.cursor(topics.DB_WRITER) >= last, "the writer's end", SETTLE_SECONDS
        )
        took, after = time.monotonic() - began, session.cpu_seconds()
        memory.sample()
    finally:
        flood.close()
    events = rounds * (TICKS + DECISIONS)
    return {
        "ticks_per_s": round(rounds * TICKS / took),
        "decisions_per_s": round(rounds * DECISIONS / took),
        "seconds": round(took, 2),
        "lost_or_doubled": _astray(session, rounds),
        "memory": memory.to_json(),
        "cpu_us_per_event": {
            name: round((used - before.get(name, 0.0)) / events * 1e6, 1)
            for name, used in after.items()
        },
    }


def _keep_near(session: EmbeddedSession, last: int, memory: _Memory) -> None:
    """Wait while the writer is far behind: what is measured is its rate, not the bus's room."""
    memory.sample()
    deadline = time.monotonic() + SETTLE_SECONDS
    while last - session.cursor(topics.DB_WRITER) > AHEAD:
        session.watch()
        memory.sample()
        if time.monotonic() > deadline:
            raise SessionError(f"the writer stands still; logs: {session.home.logs}")
        time.sleep(0.01)


def _astray(session: EmbeddedSession, rounds: int) -> Mapping[str, int]:
    """How many rows too few (above 0) or too many (below 0) the tables have."""
    with connect_to_read(session.database, application="claire-bench") as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM market_data), (SELECT count(*) FROM risk_decisions)"
        ).fetchone()
    assert row is not None
    return {"ticks": rounds * TICKS - row[0], "decisions": rounds * DECISIONS - row[1]}
