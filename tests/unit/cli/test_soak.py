"""`claire soak feed`: the figures, the exit code, and the way back to a failing seed."""

import json

import pytest
from click.testing import CliRunner

from services.cli.develop.soak import soak
from services.lab.soak import feed_soak
from services.lab.soak.feed_soak import Outcome

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def _logging_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.cli.develop.soak.be_quiet", lambda: None)


def outcomes(monkeypatch: pytest.MonkeyPatch, *failing: int) -> None:
    def play(seed: int) -> Outcome:
        faults = ("BTC_USDT: doubled",) if seed in failing else ()
        return Outcome(seed, 9, 8, 1, 0, 2, 1, 0, {"drop": 1}, faults, 0.1)

    monkeypatch.setattr(feed_soak, "play", play)


def test_seeds_that_hold_give_figures_and_exit_0(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes(monkeypatch)
    result = CliRunner().invoke(soak, ["feed", "--seeds", "3", "--jobs", "1", "--json"])
    assert result.exit_code == 0
    figures = json.loads(result.stdout.splitlines()[-1])
    wanted = {"seeds": 3, "failed": 0, "sent": 27, "received": 24, "in_gaps": 3, "doubled": 0}
    assert wanted.items() <= figures.items()


def test_seeds_begin_with_the_one_that_is_named_first(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes(monkeypatch, 2, 5)
    command = ["feed", "--first", "3", "--seeds", "3", "--jobs", "1", "--json"]
    result = CliRunner().invoke(soak, command)
    assert json.loads(result.stdout.splitlines()[-1])["failing_seeds"] == [5]


def test_a_failing_seed_is_named_and_the_exit_code_is_1(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes(monkeypatch, 2)
    result = CliRunner().invoke(soak, ["feed", "--seeds", "3", "--jobs", "1"])
    assert result.exit_code == 1
    assert "seed 2 failed: BTC_USDT: doubled" in result.stderr
    assert "claire soak feed --seed 2" in result.stderr


def test_one_seed_is_replayed_with_what_happened_in_it() -> None:
    result = CliRunner().invoke(soak, ["feed", "--seed", "0", "--json"])
    assert " connected" in result.stderr
    assert json.loads(result.stdout.splitlines()[-1])["seeds"] == 1
