"""The pipeline's benchmark: the highest sustained rate, latency at a given rate, and the floor.

All on the real servers (AOF with fsync on every write, PostgreSQL with fsync and synchronous
commit) and with the real services as processes. The floor is the same with handlers that only
pass on, see ``floor``.
"""

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from services.kernel.events import topics
from services.lab.bench import bench_market, phase
from services.lab.bench.fill_latency import percentile
from services.lab.bench.phase import Phase
from services.runtime.embedded.home import Home

FLOOR_MODULES: Final = {
    topics.CORE: "services.lab.bench.floor.core",
    topics.RISK: "services.lab.bench.floor.risk",
    topics.EXECUTION: "services.lab.bench.floor.execution",
}
DISK_SAMPLES: Final = 200
DISK_BYTES: Final = 1000
"""About what one event writes to the bus's journal."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """How much is measured.

    Attributes:
        flood_ticks: Ticks of the sustained-rate phase.
        latency_seconds: Length of the latency phase, warm-up not counted; the floor's is half.
        rate: Ticks per second of both.
    """

    flood_ticks: int = 250_000
    latency_seconds: int = 60
    rate: int = 1_000

    @property
    def floor_seconds(self) -> int:
        """Length of the floor's phase: it gives the median only."""
        return max(1, self.latency_seconds // 2)


def run(folder: Path, plan: BenchPlan, say: Say) -> dict[str, Any]:
    """Run all phases.

    Args:
        folder: For the phases' data; emptied before and after each.
        plan: How much.
        say: Called with what goes on.

    Returns:
        The figures, JSON-able.

    Raises:
        SessionError: The system did not start, or broke.
        HomeError: The folder is in use or cannot be written.
    """
    home = Home(folder)
    described = machine(folder)
    speed = f"{plan.rate / bench_market.TICKS_PER_SECOND:.6f}"
    say(f"sustained rate: {plan.flood_ticks:,} ticks as fast as they go")
    flood = phase.play(home, plan.flood_ticks, phase.FLOOD)
    say(f"  {flood.ticks_per_s:,.0f} ticks/s")
    say(f"latency at {plan.rate:,} ticks/s for {plan.latency_seconds} s, after the warm-up")
    paced = phase.play(home, plan.rate * plan.latency_seconds, speed)
    say(f"  p50 {_milliseconds(paced, 0.5)} ms")
    say(f"the same with pass-through handlers, {plan.floor_seconds} s")
    floor = phase.play(home, plan.rate * plan.floor_seconds, speed, FLOOR_MODULES)
    say(f"  p50 {_milliseconds(floor, 0.5)} ms")
    return _figures(plan, flood, paced, floor) | {"machine": described}


def _figures(plan: BenchPlan, flood: Phase, paced: Phase, floor: Phase) -> dict[str, Any]:
    p50, floor_p50 = percentile(paced.latencies, 0.5), percentile(floor.latencies, 0.5)
    assert flood.result is not None
    assert paced.result is not None
    return {
        "sustained_ticks_per_s": round(flood.ticks_per_s),
        "p50_ms": _milliseconds(paced, 0.5),
        "p99_ms": _milliseconds(paced, 0.99),
        "p50_ratio_to_floor": round(p50 / floor_p50, 3) if floor_p50 else None,
        "floor_p50_ms": _milliseconds(floor, 0.5),
        "floor_p99_ms": _milliseconds(floor, 0.99),
        "samples": len(paced.latencies),
        "floor_samples": len(floor.latencies),
        "rate": plan.rate,
        "flood_ticks": flood.ticks,
        "flood_seconds": round(flood.seconds, 3),
        "lost": flood.result.lost + paced.result.lost,
        "duplicates": flood.result.duplicates + paced.result.duplicates,
        "signals": {"flood": flood.result.signals, "paced": paced.result.signals},
        "fills": {"flood": flood.result.fills, "paced": paced.result.fills},
        "rejected": dict(flood.result.decisions.rejected) | dict(paced.result.decisions.rejected),
        "cpu_us_per_tick": {
            "flood": flood.cpu_us_per_tick(),
            "paced": paced.cpu_us_per_tick(),
            "floor": floor.cpu_us_per_tick(),
        },
    }


def _milliseconds(phase: Phase, part: float) -> float:
    return round(percentile(phase.latencies, part) * 1000, 3)


def machine(folder: Path) -> dict[str, Any]:
    """What a benchmark's figures depend on; a load well above 0 before the start spoils them.

    Args:
        folder: On the disk that is measured; made if it is not there.
    """
    return {
        "cores": os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "fsync_p50_ms": _fsync_milliseconds(folder),
    }


def _fsync_milliseconds(folder: Path) -> float:
    """What this disk takes for one small durable write: no event is heard of before its own."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "fsync"
    seconds = []
    try:
        with path.open("ab", buffering=0) as file:
            for _ in range(DISK_SAMPLES):
                began = time.perf_counter()
                file.write(bytes(DISK_BYTES))
                os.fsync(file.fileno())
                seconds.append(time.perf_counter() - began)
    finally:
        path.unlink(missing_ok=True)
    return round(percentile(seconds, 0.5) * 1000, 3)
