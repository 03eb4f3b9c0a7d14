"""The whole system under simulation: a few seeds, and what a seed promises."""

import pytest

from services.lab.simulation import system_soak
from services.lab.simulation.plan import KINDS, plan_of
from services.lab.simulation.system_run import play, play_plan

pytestmark = pytest.mark.unit


def test_a_quiet_day_has_nothing_to_report() -> None:
    outcome = play_plan(plan_of(3, ()))
    assert outcome.problems == ()
    assert outcome.fills >= 3
    assert outcome.faults == {}


def test_a_seed_repeats_to_the_last_event() -> None:
    first, second = play(7), play(7)
    assert first.last_events == second.last_events
    assert (first.turns, first.happened) == (second.turns, second.happened)


@pytest.mark.parametrize("seed", range(5))
def test_seeds_hold_with_faults(seed: int) -> None:
    outcome = play(seed)
    assert outcome.problems == (), f"claire soak system --seed {seed}"


def test_every_kind_of_fault_is_planned() -> None:
    planned = {fault.kind for seed in range(100) for fault in plan_of(seed).faults}
    assert planned == set(KINDS)


def test_the_figures_of_several_seeds_are_added_up() -> None:
    outcome = play_plan(plan_of(1, ()))
    figures = system_soak.summary([outcome, outcome], 1.0)
    assert (figures["seeds"], figures["failed"]) == (2, 0)
    assert figures["events"] == 2 * outcome.events
