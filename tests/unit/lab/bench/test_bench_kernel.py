"""The kernel's benchmark: what it measures is really done, and every figure is there."""

import json

import pytest
from click.testing import CliRunner

from services.cli.main import claire
from services.lab.bench import kernel_bench

pytestmark = pytest.mark.unit


def test_it_measures_ticks_and_decisions_and_profiles_both() -> None:
    figures = kernel_bench.run(ticks=2_000, decisions=200)

    for name in ("risk_ticks_per_s", "kernel_ticks_per_s", "decisions_per_s"):
        assert figures[name] > 0
    assert figures["risk_ticks_per_s"] > figures["kernel_ticks_per_s"]
    assert figures["positions"] == 10
    assert 0 < figures["approved"] < 200
    for name in ("profile_ticks", "profile_decisions"):
        shares = [row["share"] for row in figures[name]]
        assert len(shares) == 10
        assert shares == sorted(shares, reverse=True)


def test_the_command_prints_json_or_tables() -> None:
    arguments = ["bench", "kernel", "--ticks", "1000", "--decisions", "100"]

    reported = CliRunner().invoke(claire, [*arguments, "--json"])
    shown = CliRunner().invoke(claire, arguments)

    assert json.loads(reported.output.splitlines()[-1])["decisions"] == 100
    assert shown.exit_code == 0
    assert "profile of decisions" in shown.output
