"""Many simulations on all cores, and what they gave together."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from statistics import median
from typing import Any, Final

from services.lab.simulation.scheduler import describe
from services.lab.simulation.system_run import Outcome, play
from services.runtime.service import logging

MOST_SHOWN: Final = 20
"""Failing seeds whose problems are kept; all their numbers are."""
KILL: Final = "kill cdb_"


def run(seeds: Sequence[int], jobs: int | None, done: Callable[[Outcome], None]) -> dict[str, Any]:
    """Play seeds; the result does not depend on how many processes do it.

    Args:
        seeds: Which.
        jobs: Processes; None takes one for each core.
        done: Called with each outcome as it comes, in any order.

    Returns:
        The figures, JSON-able.
    """
    began = time.perf_counter()
    outcomes = []
    for outcome in _outcomes(seeds, jobs or os.cpu_count() or 1):
        outcomes.append(outcome)
        done(outcome)
    outcomes.sort(key=lambda outcome: outcome.seed)
    return summary(outcomes, time.perf_counter() - began)


def be_quiet() -> None:
    """Log nothing: on these bad days warnings would be all that is read."""
    logging.configure("soak", "CRITICAL")


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


def _outcomes(seeds: Sequence[int], jobs: int) -> Iterator[Outcome]:
    if jobs == 1 or len(seeds) == 1:
        yield from map(_play, seeds)
        return
    with ProcessPoolExecutor(min(jobs, len(seeds)), initializer=be_quiet) as pool:
        running = [pool.submit(_play, seed) for seed in seeds]
        try:
            for future in as_completed(running):
                yield future.result()
        finally:
            for future in running:
                future.cancel()


def _play(seed: int) -> Outcome:
    """Play a seed; what breaks is a problem of it, not of the soak."""
    try:
        return play(seed)
    except Exception as error:
        return Outcome(seed=seed, problems=(f"the simulation broke: {describe(error)}",))
