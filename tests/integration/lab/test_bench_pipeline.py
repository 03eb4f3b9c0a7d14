"""The pipeline's benchmark, small: everything arrives, and its figures are of the right kind."""

import os
from pathlib import Path

import pytest

from services.kernel.events import topics
from services.lab.bench import bench_market, pipeline_bench

pytestmark = [pytest.mark.bench, pytest.mark.slow, pytest.mark.timeout(300)]

SERVERS = {"redis", "postgres"}


def test_a_small_benchmark_loses_nothing_and_says_where_the_time_went(tmp_path: Path) -> None:
    # Given a plan with an entry per 1,000 ticks, too short for exits
    plan = pipeline_bench.BenchPlan(flood_ticks=10_000, latency_seconds=2, rate=4_000)

    figures = pipeline_bench.run(tmp_path / "bench", plan, lambda _: None)

    # Then every tick and every signal came to its end
    assert figures["flood_ticks"] == 10_000 + bench_market.warm_up_ticks()
    assert figures["lost"] == 0
    assert figures["duplicates"] == 0
    assert figures["rejected"] == {}
    assert figures["signals"] == {"flood": 10, "paced": 8}
    assert figures["samples"] == figures["fills"]["paced"]
    # And what cannot be known beforehand is at least measured
    assert figures["sustained_ticks_per_s"] > 0
    assert 0 < figures["p50_ms"] <= figures["p99_ms"]
    assert figures["p50_ratio_to_floor"] > 0
    for phase in ("flood", "paced", "floor"):
        assert set(figures["cpu_us_per_tick"][phase]) == set(topics.SERVICES) | SERVERS
    assert figures["machine"]["cores"] == os.cpu_count()
    # And nothing is left but the lock
    assert [path.name for path in (tmp_path / "bench").iterdir()] == ["claire.lock"]
