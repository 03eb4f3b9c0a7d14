"""Many simulations on all cores, and what they gave together."""

from collections import Counter
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, Final

from services.lab.simulation.scheduler import describe
from services.lab.simulation.system_run import Outcome, play
from services.lab.soak.seeds import play_all

MOST_SHOWN: Final = 20
"""Failing seeds whose problems are kept; all their numbers are."""
KILL: Final = "kill cdb_"


def run(seeds: Sequence[int], jobs: int | None, done: Callable[[Outcome], None]) -> dict[str, Any]:
    """Play seeds; see `play_all`. Returns the figures, JSON-able."""
    return summary(*play_all(_play, seeds, jobs, done))


def summary(outcomes: Sequence[Outcome], seconds: float) -> dict[str, Any]:
    """The figures of several seeds, JSON-able; ``seconds`` is the real time all of them took."""
    failed = [outcome for outcome in outcomes if outcome.problems]
    counts: Counter[str] = Counter()
    for outcome in outcomes:
        counts.update(outcome.faults)
    kills = {name[5:]: number for name, number in counts.items() if name.startswith(KILL)}
    faults = {name: number for name, number in counts.items() if not name.startswith(KILL)}
    return {
        "seeds": len(outcomes),
        "failed": len(failed),
        "failing_seeds": [outcome.seed for outcome in failed],
        "failures": {str(outcome.seed): list(outcome.problems) for outcome in failed[:MOST_SHOWN]},
        "events": sum(outcome.events for outcome in outcomes),
        "faults": dict(sorted(faults.items())),
        "kills": dict(sorted(kills.items())),
        "lost": sum(outcome.lost for outcome in outcomes),
        "doubled": sum(outcome.doubled for outcome in outcomes),
        "divergences": sum(outcome.divergences for outcome in outcomes),
        "median_events": median(outcome.events for outcome in outcomes),
        "median_fills": median(outcome.fills for outcome in outcomes),
        "median_faults": median(len(outcome.happened) for outcome in outcomes),
        "cpu_seconds": round(sum(outcome.cpu_seconds for outcome in outcomes), 1),
        "seconds": round(seconds, 1),
    }


def _play(seed: int) -> Outcome:
    """Play a seed; what breaks is a problem of it, not of the soak."""
    try:
        return play(seed)
    except Exception as error:
        return Outcome(seed=seed, problems=(f"the simulation broke: {describe(error)}",))
