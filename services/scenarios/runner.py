"""Plays scenarios through the real stages and says what became of each."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from services.cdb_ws.data_error import DataError
from services.kernel.events import Event, TradingState
from services.kernel.execution.stage import ExecutionStage
from services.kernel.pipeline import Pipeline
from services.kernel.portfolio.stage import PortfolioStage
from services.kernel.risk.stage import RiskStage
from services.kernel.stage import Stage
from services.kernel.strategies.stage import SignalStage
from services.scenarios.expectations import Check, check
from services.scenarios.scenario import (
    Command,
    Scenario,
    ScenarioError,
    load,
    milliseconds,
    missing_variable,
)
from services.scenarios.situation import Situation
from services.scenarios.story import Story

Verdict = Literal["passed", "failed", "skipped"]


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of one scenario.

    Attributes:
        why: Why it was skipped, or could not be played.
        figures: What a person looks at first.
    """

    name: str
    about: str
    file: str
    guard: str
    verdict: Verdict
    seconds: float
    checks: tuple[Check, ...] = ()
    why: str | None = None
    figures: dict[str, str] = {}

    @property
    def broken(self) -> tuple[Check, ...]:
        """The expectations that did not come true."""
        return tuple(entry for entry in self.checks if not entry.held)


def find(places: Iterable[Path]) -> list[Path]:
    """The scenario files: those given, and all ``*.yaml`` in the folders given.

    Raises:
        ScenarioError: A place does not exist, or there is no scenario in it.
    """
    found: list[Path] = []
    for place in places:
        if not place.exists():
            raise ScenarioError(f"there is no {place}; give a scenario file or a folder of them")
        files = sorted(place.glob("*.yaml")) if place.is_dir() else [place]
        if not files:
            raise ScenarioError(f"{place} has no *.yaml; give a folder of scenarios")
        found += files
    return found


def play(path: Path, environ: Mapping[str, str] = os.environ) -> Outcome:
    """Play one file and compare.

    Raises:
        ScenarioError: The file cannot be used.
    """
    scenario = load(path)
    began = time.perf_counter()
    lacking = missing_variable(scenario, environ)
    if lacking is not None:
        return _outcome(path, scenario, "skipped", began, why=f"{lacking} is not set")
    try:
        story = story_of(scenario)
        checks = check(story, scenario.expect)
    except (DataError, ScenarioError) as error:
        raise ScenarioError(f"{path}: {error}") from None
    verdict: Verdict = "passed" if all(entry.held for entry in checks) else "failed"
    return _outcome(path, scenario, verdict, began, checks=checks, figures=_figures(story))


def story_of(scenario: Scenario) -> Story:
    """Play a scenario; returns what happened."""
    portfolio = PortfolioStage()
    stages: list[Stage] = [ExecutionStage(), RiskStage()]
    if scenario.strategy == "momentum":
        stages.append(SignalStage())
    pipeline = Pipeline([*stages, portfolio])
    story = Story(portfolio.portfolio)
    for event in _with_resets(scenario, story):
        story.begin()
        for published in pipeline.feed(event):
            story.see(published)
    return story


def _with_resets(scenario: Scenario, story: Story) -> Iterator[Event]:
    """The situation's events, and the operator's resets after halts where the scenario has some."""
    situation = Situation(scenario)
    patience = milliseconds(scenario.reset_after) if scenario.reset_after is not None else None
    halted_at: int | None = None
    for event in situation.events():
        yield event
        if patience is None or story.account is not TradingState.HALTED:
            halted_at = None
        elif halted_at is None:
            halted_at = event.timestamp
        elif event.timestamp - halted_at >= patience:
            halted_at = None
            yield situation.command("reset", Command(reason="looked at it"))


def _outcome(
    path: Path,
    scenario: Scenario,
    verdict: Verdict,
    began: float,
    *,
    checks: tuple[Check, ...] = (),
    why: str | None = None,
    figures: dict[str, str] | None = None,
) -> Outcome:
    return Outcome(
        name=scenario.name,
        about=scenario.about.strip(),
        file=path.name,
        guard=scenario.guard,
        verdict=verdict,
        seconds=round(time.perf_counter() - began, 3),
        checks=checks,
        why=why,
        figures=figures or {},
    )


def _figures(story: Story) -> dict[str, str]:
    return {
        "entries": str(story.entries),
        "exits": str(story.exits),
        "rejected": str(story.rejected),
        "halts": str(story.halts),
        "max_drawdown_pct": f"{story.max_drawdown_pct:.4f}",
        "equity": f"{story.equity:.2f}",
    }
