"""The scenarios that are shipped: all pass, and each fails without the rule that guards it."""

import os
from pathlib import Path

import pytest

from services.scenarios import runner, scenario
from services.scenarios.runner import Outcome
from tests.unit.scenarios.rules_off import RULES

pytestmark = [pytest.mark.unit, pytest.mark.risk]

FOLDER = Path(__file__).parents[3] / "scenarios"
FILES = runner.find([FOLDER])
WRITTEN_AND_REAL = 24


def played(path: Path) -> Outcome:
    outcome = runner.play(path)
    if outcome.verdict == "skipped":
        pytest.skip(f"{outcome.why}: {path.name} plays recorded data")
    return outcome


def test_enough_are_shipped_and_three_of_them_play_real_data() -> None:
    real = [path for path in FILES if scenario.load(path).recording is not None]

    assert len(FILES) >= WRITTEN_AND_REAL
    assert len(real) >= 3


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_passes(path: Path) -> None:
    outcome = played(path)

    assert outcome.broken == ()
    assert outcome.verdict == "passed"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_fails_without_the_rule_that_guards_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = scenario.load(path).guard
    RULES[guard](monkeypatch)

    outcome = played(path)

    assert outcome.verdict == "failed", f"{guard} is switched off and nothing was noticed"


def test_every_guarding_rule_has_a_scenario() -> None:
    assert {scenario.load(path).guard for path in FILES} == set(RULES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_expects_something_and_says_what_it_is_about(path: Path) -> None:
    shipped = scenario.load(path)

    assert len(shipped.expect) >= 2
    assert len(shipped.about) > 40


def test_the_same_situation_leads_to_the_same_story() -> None:
    path = FOLDER / "slow_bleed.yaml"

    assert runner.play(path).figures == runner.play(path).figures


def test_recorded_ones_are_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CDB_TEST_DATA", raising=False)

    outcome = runner.play(FOLDER / "real_black_thursday.yaml", environ=os.environ)

    assert (outcome.verdict, outcome.why) == ("skipped", "CDB_TEST_DATA is not set")
