"""The store's benchmark, small: nothing is lost, and every figure with a goal is there."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from services.cli.develop.bench import STORE_GOALS
from services.cli.main import claire

pytestmark = [pytest.mark.bench, pytest.mark.slow, pytest.mark.timeout(300)]


def figure(figures: object, path: str) -> object:
    for name in path.split("."):
        assert isinstance(figures, dict)
        figures = figures[name]
    return figures


def test_a_small_benchmark_proves_answers_and_writes(tmp_path: Path) -> None:
    options = ("--rows", "100000", "--events", "15000", "--seconds", "4", "--behind", "20000")

    done = CliRunner().invoke(
        claire, ["bench", "store", *options, "--json"], env={"CLAIRE_HOME": str(tmp_path)}
    )

    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout.splitlines()[-1])
    assert {path for path in STORE_GOALS if figure(figures, path) is None} == set()
    # What was written is what was published, and what was recorded is what the code decides
    assert figures["writer"]["lost_or_doubled"] == {"ticks": 0, "decisions": 0}
    assert figures["writer"]["ticks_per_s"] == pytest.approx(
        10 * figures["writer"]["decisions_per_s"], rel=0.01
    )
    assert figures["writer"]["memory"]["samples"] >= 2
    for run in ("busy", "quoted"):
        assert figures["verify"][run]["divergences"] == 0
        assert figures["verify"][run]["events"] > 15_000
    assert figures["verify"]["busy"]["decisions"] > figures["verify"]["quoted"]["decisions"] > 0
    assert figures["validate"]["findings"] == 0
    # And ids were explained in the large database
    explained = figures["explain"]
    assert explained["rows"] == 100_000
    assert explained["ids"] >= 50
    assert 0 < explained["p50_ms"] <= explained["p99_ms"] <= explained["max_ms"]
    assert explained["command_ms"] > 0
    # And every killed service worked again
    restart = figures["restart"]
    assert restart["behind_events"] > 20_000
    assert all(seconds > 0 for seconds in restart["one_s"].values())
    assert restart["missed"]["events"] > 0
    assert 0 < restart["servers_s"] < restart["machine_s"]
    # And nothing is left but the lock
    assert [path.name for path in (tmp_path / "bench").iterdir()] == ["claire.lock"]
