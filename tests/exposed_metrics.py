"""What six services show on /metrics while they trade, without a server."""

from functools import cache

import pytest

from services.lab.simulation import system_run, world
from services.lab.simulation.plan import plan_of
from services.runtime.service.shell import Shell

CALM_SEED = 3


@cache
def exposed_metrics() -> dict[str, dict[str, str]]:
    """Service to the families of its registry after a simulated run: name to type."""
    shells: list[Shell] = []

    class Watched(world.SimulatedShell):
        def __init__(self, *args: object) -> None:
            super().__init__(*args)  # type: ignore[arg-type]
            shells.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world, "SimulatedShell", Watched)
        outcome = system_run.play_plan(plan_of(CALM_SEED, ()))
    assert outcome.fills >= 1
    found: dict[str, dict[str, str]] = {}
    for shell in shells:
        for family in shell.metrics.registry.collect():
            suffix = "_total" if family.type == "counter" else ""
            found.setdefault(shell.service, {})[family.name + suffix] = family.type
    return found
