"""Saved states: one of this program comes back as it was, any other is refused by name."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from services.kernel.execution.stage import ExecutionStage
from services.kernel.market.run_watch import RunWatch
from services.kernel.pipeline import Pipeline
from services.kernel.portfolio.stage import PortfolioStage
from services.kernel.risk.stage import RiskStage
from services.kernel.stage import Stage, StateUnreadableError, restore_exactly
from services.kernel.strategies.stage import SignalStage
from tests.unit.kernel.random_market import RandomMarket

pytestmark = pytest.mark.unit
MAKERS: list[Callable[[], Stage]] = [
    ExecutionStage,
    RiskStage,
    SignalStage,
    PortfolioStage,
    RunWatch,
]


@pytest.fixture(scope="module")
def states() -> dict[type, bytes]:
    """What the stages have in mind after a market with everything in it."""
    stages = [make() for make in MAKERS]
    assert list(Pipeline(stages).run(RandomMarket(7).events()))
    return {type(stage): stage.snapshot() for stage in stages}


@pytest.mark.parametrize("make", MAKERS)
def test_a_state_of_this_program_is_restored(
    states: dict[type, bytes], make: Callable[[], Stage]
) -> None:
    stage = make()
    saved = states[type(stage)]
    restore_exactly(stage, saved)
    assert stage.snapshot() == saved
    assert len(saved) > 200, "a market has left its traces in it"


def without_a_field(state: dict[str, Any]) -> None:
    del state[next(reversed(state))]


def with_a_further_field(state: dict[str, Any]) -> None:
    state["of_tomorrow"] = 1


def with_a_renamed_field(state: dict[str, Any]) -> None:
    name = next(reversed(state))
    state[f"{name}_renamed"] = state.pop(name)


def with_a_further_field_inside(state: dict[str, Any]) -> None:
    inner = next(value for value in reversed(state.values()) if isinstance(value, dict) and value)
    inner["of_tomorrow"] = 1


def with_another_type(state: dict[str, Any]) -> None:
    state[next(iter(state))] = [17]


@pytest.mark.parametrize("make", [ExecutionStage, RiskStage, RunWatch])
@pytest.mark.parametrize(
    "change",
    [without_a_field, with_a_further_field, with_a_renamed_field, with_another_type],
)
def test_a_state_of_another_layout_is_refused(
    states: dict[type, bytes],
    make: Callable[[], Stage],
    change: Callable[[dict[str, Any]], None],
) -> None:
    stage = make()
    state = msgspec.json.decode(states[type(stage)])
    change(state)
    with pytest.raises(StateUnreadableError):
        restore_exactly(stage, msgspec.json.encode(state))


def test_a_layout_that_differs_deep_inside_is_refused(states: dict[type, bytes]) -> None:
    state = msgspec.json.decode(states[RiskStage])
    assert state["portfolio"]["pricing"]
    with_a_further_field_inside(state["portfolio"]["pricing"])
    with pytest.raises(StateUnreadableError):
        restore_exactly(RiskStage(), msgspec.json.encode(state))


@pytest.mark.parametrize("damaged", [b"", b"no json", b"[]", b"null", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_state_is_refused(damaged: bytes) -> None:
    with pytest.raises(StateUnreadableError):
        restore_exactly(RiskStage(), damaged)
