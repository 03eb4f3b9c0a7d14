"""The pipeline's benchmark: latency at a given rate, the highest sustained rate, and the floor.

All on the real servers (AOF with fsync on every write, PostgreSQL with fsync and synchronous
commit) and with the real services as processes. The floor is the same with handlers that only
pass on, see ``floor``.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from services.kernel import topics
from services.research import bench_market, run_result
from services.research.fill_latency import FillObserver, percentile
from services.runtime.database import connect
from services.runtime.embedded.home import Home
from services.runtime.embedded.session import EmbeddedSession, SessionError

FLOOR_MODULES: Final = {
    topics.CORE: "services.research.floor.core",
    topics.RISK: "services.research.floor.risk",
    topics.EXECUTION: "services.research.floor.execution",
}
START_SECONDS: Final = 60.0
MARGIN_SECONDS: Final = 120.0
SETTLE_SECONDS: Final = 300.0
LOOK_SECONDS: Final = 0.05
SLOWEST_TICKS_PER_S: Final = 500
"""A flood that is slower than this has failed."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """How much is measured.

    Attributes:
        flood_ticks: Ticks of the sustained-rate phase.
        latency_seconds: Length of each latency phase.
        rate: Ticks per second of the latency phases.
    """

    flood_ticks: int = 300_000
    latency_seconds: int = 60
    rate: int = 1_000


@dataclass(frozen=True, slots=True)
class Phase:
    """What one phase gave.

    Attributes:
        seconds: From the first tick until the writer and all stages had the last.
        latencies: Seconds from tick to order result.
        cpu_seconds: By service, and of the two servers; without the start.
        result: The run's figures; None for the floor.
    """

    ticks: int
    seconds: float
    latencies: tuple[float, ...]
    cpu_seconds: Mapping[str, float]
    result: run_result.RunResult | None


def run(folder: Path, plan: BenchPlan, say: Say) -> dict[str, Any]:
    """Run all phases.

    Args:
        folder: For the phases' data; emptied before and after each.
        plan: How much.
        say: Told what goes on.

    Returns:
        The figures, JSON-able.

    Raises:
        SessionError: The system did not start, or broke.
        HomeError: The folder is in use or cannot be written.
    """
    home = Home(folder)
    latency_ticks = plan.rate * plan.latency_seconds
    speed = f"{plan.rate / bench_market.TICKS_PER_SECOND:.6f}"
    say(f"sustained rate: {plan.flood_ticks} ticks as fast as they go")
    flood = _phase(home, plan.flood_ticks, "flood", {})
    say(f"  {flood.ticks / flood.seconds:,.0f} ticks/s")
    say(f"latency at {plan.rate} ticks/s for {plan.latency_seconds} s")
    paced = _phase(home, latency_ticks, speed, {})
    say(f"  p50 {percentile(paced.latencies, 0.5) * 1000:.2f} ms")
    say("the same with pass-through handlers")
    floor = _phase(home, latency_ticks, speed, FLOOR_MODULES)
    say(f"  p50 {percentile(floor.latencies, 0.5) * 1000:.2f} ms")
    return _figures(plan, flood, paced, floor)


def _phase(home: Home, ticks: int, speed: str, modules: Mapping[str, str]) -> Phase:
    with home.taken():
        home.clear()
        data = home.folder / "logs" / "market"
        data.mkdir(parents=True)
        files = bench_market.write(data, ticks)
        settings = bench_market.SETTINGS | {
            "CDB_SOURCE": "replay",
            "CDB_SPEED": speed,
            "CDB_DATA": json.dumps([str(path) for path in files]),
        }
        expected = ticks + bench_market.warm_up_ticks()
        try:
            with EmbeddedSession(home, settings) as session:
                session.start_servers()
                return _measure(session, expected, speed, modules)
        finally:
            home.clear()


def _measure(session: EmbeddedSession, ticks: int, speed: str, modules: Mapping[str, str]) -> Phase:
    observer = FillObserver(session.operator)
    try:
        session.start_services(modules=modules)
        session.wait_until(
            lambda: session.head() >= bench_market.SYMBOLS, "no tick came", START_SECONDS
        )
        began, before = time.monotonic(), session.cpu_seconds()
        pace = SLOWEST_TICKS_PER_S if speed == "flood" else _wall_rate(speed)
        deadline = began + ticks / pace + MARGIN_SECONDS
        while not observer.run_ended:
            if time.monotonic() > deadline:
                raise SessionError(f"the benchmark's run did not end; logs: {session.home.logs}")
            session.watch()
            observer.observe(LOOK_SECONDS)
        session.wait_until(lambda: _all_done(session), "a service did not keep up", SETTLE_SECONDS)
        seconds = time.monotonic() - began
        session.wait_quiet(SETTLE_SECONDS)
        cpu = {name: used - before.get(name, 0.0) for name, used in session.cpu_seconds().items()}
        result = None if modules else _result(session, ticks, seconds)
        return Phase(ticks, seconds, tuple(observer.latencies), cpu, result)
    finally:
        observer.close()


def _wall_rate(speed: str) -> float:
    """Ticks per second at a speed, the sparse warm-up included."""
    return float(speed) * bench_market.TICKS_PER_SECOND / 2


def _all_done(session: EmbeddedSession) -> bool:
    """Whether the writer has committed everything and no stage is behind."""
    if session.cursor(topics.DB_WRITER) < session.head():
        return False
    states = [session.ask(name, "/status") or {} for name in topics.STAGE_ORDER]
    return all(state.get("run_ended") and not state.get("bus_lag_events") for state in states)


def _result(session: EmbeddedSession, ticks: int, seconds: float) -> run_result.RunResult:
    summary = session.ask(topics.PAPER_RUNNER, "/api/summary") or {}
    with connect(session.database, application="claire-bench") as connection:
        session.wait_until(
            lambda: run_result.orders_are_written(connection), "orders were not written", 60.0
        )
        return run_result.compute(
            connection, str(summary.get("run_id")), ticks_made=ticks, seconds=seconds
        )


def _figures(plan: BenchPlan, flood: Phase, paced: Phase, floor: Phase) -> dict[str, Any]:
    p50, floor_p50 = percentile(paced.latencies, 0.5), percentile(floor.latencies, 0.5)
    assert flood.result is not None
    assert paced.result is not None
    return {
        "sustained_ticks_per_s": round(flood.ticks / flood.seconds),
        "p50_ms": round(p50 * 1000, 3),
        "p99_ms": round(percentile(paced.latencies, 0.99) * 1000, 3),
        "p50_ratio_to_floor": round(p50 / floor_p50, 3) if floor_p50 else None,
        "floor_p50_ms": round(floor_p50 * 1000, 3),
        "floor_p99_ms": round(percentile(floor.latencies, 0.99) * 1000, 3),
        "samples": len(paced.latencies),
        "floor_samples": len(floor.latencies),
        "rate": plan.rate,
        "flood_ticks": flood.ticks,
        "flood_seconds": round(flood.seconds, 3),
        "lost": flood.result.lost + paced.result.lost,
        "duplicates": flood.result.duplicates + paced.result.duplicates,
        "signals": {"flood": flood.result.signals, "paced": paced.result.signals},
        "fills": {"flood": flood.result.fills, "paced": paced.result.fills},
        "rejected": dict(paced.result.decisions.rejected),
        "cpu_us_per_tick": {
            name: round(seconds / flood.ticks * 1e6, 1)
            for name, seconds in flood.cpu_seconds.items()
        },
        "cores": os.cpu_count(),
    }
