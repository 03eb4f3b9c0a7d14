"""One phase of the pipeline's benchmark: the real servers and services play one bench market."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from services.kernel.events import topics
from services.lab.bench import bench_market
from services.lab.bench.fill_latency import FillObserver
from services.reports import run_result
from services.runtime.database.connections import connect_to_read
from services.runtime.embedded.home import Home
from services.runtime.embedded.session import EmbeddedSession, SessionError

FLOOD: Final = "flood"
START_SECONDS: Final = 60.0
MARGIN_SECONDS: Final = 120.0
SETTLE_SECONDS: Final = 300.0
LOOK_SECONDS: Final = 0.05
SLOWEST_TICKS_PER_S: Final = 500
"""A flood that is slower than this has failed."""


@dataclass(frozen=True, slots=True)
class Phase:
    """What one phase gave.

    Attributes:
        ticks: Warm-up included.
        seconds: From the first tick until every service had handled the run's end, and PostgreSQL
            had everything.
        latencies: Seconds from tick to order result.
        cpu_seconds: By service, and of the two servers, within ``seconds``.
        result: The run's figures; None for the floor, whose orders have no approval to look up.
    """

    ticks: int
    seconds: float
    latencies: tuple[float, ...]
    cpu_seconds: Mapping[str, float]
    result: run_result.RunResult | None

    @property
    def ticks_per_s(self) -> float:
        """Ticks that went the whole way, over the time that took."""
        return self.ticks / self.seconds

    def cpu_us_per_tick(self) -> dict[str, float]:
        """Processor time of each process over the ticks."""
        return {
            name: round(seconds / self.ticks * 1e6, 1) for name, seconds in self.cpu_seconds.items()
        }


def play(home: Home, ticks: int, speed: str, modules: Mapping[str, str] | None = None) -> Phase:
    """Play one phase; its data is removed before and after.

    Args:
        home: Where to.
        ticks: Of the market, warm-up not counted.
        speed: ``flood``, or event time over wall time.
        modules: What runs in a service's place.

    Raises:
        SessionError: The system did not start, broke, or did not keep up.
        HomeError: The home is in use or cannot be written.
    """
    with home.taken(), TemporaryDirectory(prefix="market-", dir=home.folder) as folder:
        home.clear()
        files = bench_market.write(Path(folder), ticks)
        settings = bench_market.SETTINGS | {
            "CDB_SOURCE": "replay",
            "CDB_SPEED": speed,
            "CDB_DATA": json.dumps([str(path) for path in files]),
        }
        try:
            with EmbeddedSession(home, settings) as session:
                session.start_servers()
                return _measure(session, ticks + bench_market.warm_up_ticks(), speed, modules or {})
        finally:
            home.clear()


def _measure(session: EmbeddedSession, ticks: int, speed: str, modules: Mapping[str, str]) -> Phase:
    # In a flood nobody asks for latency, and one who listens takes time from those who work.
    observer = FillObserver(session.operator, ticks=speed != FLOOD)
    try:
        session.start_services(modules=modules)
        session.wait_until(
            lambda: session.head() >= bench_market.SYMBOLS, "no tick came", START_SECONDS
        )
        began, before = time.monotonic(), session.cpu_seconds()
        _observe(session, observer, began + ticks / _slowest(speed) + MARGIN_SECONDS)
        while not _all_at(session, observer.run_ended):
            if time.monotonic() > began + ticks / _slowest(speed) + SETTLE_SECONDS:
                raise SessionError(f"a service did not keep up; logs: {session.home.logs}")
            session.watch()
            time.sleep(LOOK_SECONDS)
        seconds, after = time.monotonic() - began, session.cpu_seconds()
        cpu = {name: used - before.get(name, 0.0) for name, used in after.items()}
        session.wait_quiet(SETTLE_SECONDS)
        result = None if modules else _result(session, ticks, seconds)
        return Phase(ticks, seconds, tuple(observer.latencies), cpu, result)
    finally:
        observer.close()


def _observe(session: EmbeddedSession, observer: FillObserver, deadline: float) -> None:
    while not observer.run_ended:
        if time.monotonic() > deadline:
            raise SessionError(f"the benchmark's run did not end; logs: {session.home.logs}")
        session.watch()
        observer.observe(LOOK_SECONDS)


def _slowest(speed: str) -> float:
    """Ticks per second, the sparse warm-up included, below which something is wrong."""
    return (
        SLOWEST_TICKS_PER_S if speed == FLOOD else float(speed) * bench_market.TICKS_PER_SECOND / 2
    )


def _all_at(session: EmbeddedSession, seq: int) -> bool:
    """Whether every service has handled everything up to an event that all of them read."""
    return all(session.cursor(name) >= seq for name in topics.SERVICES if name != topics.WS)


def _result(session: EmbeddedSession, ticks: int, seconds: float) -> run_result.RunResult:
    summary = session.ask(topics.PAPER_RUNNER, "/api/summary") or {}
    with connect_to_read(session.database, application="claire-bench") as connection:
        session.wait_until(
            lambda: run_result.orders_are_written(connection), "orders were not written", 60.0
        )
        return run_result.compute(
            connection, str(summary.get("run_id")), ticks_made=ticks, seconds=seconds
        )
