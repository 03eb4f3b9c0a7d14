"""The feed's benchmark, small: what is offered is published, and its figures are of their kind."""

from pathlib import Path

import pytest

from services.lab.bench import feed_bench
from services.lab.bench.feed_bench import FeedPlan

pytestmark = [pytest.mark.bench, pytest.mark.slow, pytest.mark.timeout(180)]


def test_a_small_benchmark_takes_what_is_offered(tmp_path: Path) -> None:
    # Given a market of 20 symbols and 200 trades a second
    plan = FeedPlan(symbols=20, trades_per_s=200.0, seconds=8, floor_seconds=3)

    figures = feed_bench.run(tmp_path / "bench", plan, lambda _: None)

    # Then trades go through at the rate at which they are made
    assert figures["trades_per_s"] == pytest.approx(figures["trades_offered_per_s"], rel=0.2)
    assert figures["published_per_s"] >= figures["trades_per_s"]
    # And what cannot be known beforehand is at least measured
    assert figures["frames_per_cpu_s"] > 0
    assert figures["floor_frames_per_cpu_s"] > 0
    assert figures["ratio_to_floor"] > 0
    assert figures["cpu_share"] > 0
    assert figures["rss_mb"] > 0
