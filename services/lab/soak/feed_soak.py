"""The soak of the feed: many seeds on all cores, and what they gave together."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, Final

from msgspec import Struct

from services.lab.soak import feed_run
from services.lab.soak.feed_run import Run
from services.lab.soak.virtual_time import StuckError
from services.runtime.service import logging

MOST_SHOWN: Final = 20
"""Failing seeds whose faults are kept; all their numbers are."""


class Outcome(Struct, frozen=True):
    """What one seed gave; ``faults`` is empty when the promise was held."""

    seed: int
    sent: int
    received: int
    in_gaps: int
    doubled: int
    backfilled: int
    gaps: int
    restarts: int
    begun: dict[str, int]
    faults: tuple[str, ...]
    seconds: float


def play(seed: int) -> Outcome:
    """Play one seed; what breaks is a fault of it, not of the soak."""
    began = time.perf_counter()
    try:
        return outcome(feed_run.play(seed), time.perf_counter() - began)
    except StuckError as stuck:
        why = f"stuck: {stuck}"
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
    return Outcome(seed, 0, 0, 0, 0, 0, 0, 0, {}, (why,), time.perf_counter() - began)


def outcome(run: Run, seconds: float) -> Outcome:
    """A run in short; ``seconds`` is the real time it took."""
    found = run.findings
    return Outcome(
        run.seed,
        found.sent,
        found.received,
        found.in_gaps,
        found.doubled,
        found.backfilled,
        found.gaps,
        run.restarts,
        run.faults_begun,
        tuple(found.faults),
        seconds,
    )


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
    """The engine's log is of no use here: on these bad days it would be all that is read."""
    logging.configure("soak", "CRITICAL")


def _outcomes(seeds: Sequence[int], jobs: int) -> Iterator[Outcome]:
    if jobs == 1 or len(seeds) == 1:
        yield from map(play, seeds)
        return
    with ProcessPoolExecutor(min(jobs, len(seeds)), initializer=be_quiet) as pool:
        running = [pool.submit(play, seed) for seed in seeds]
        try:
            for future in as_completed(running):
                yield future.result()
        finally:
            for future in running:
                future.cancel()


def summary(outcomes: Sequence[Outcome], seconds: float) -> dict[str, Any]:
    """The figures of several seeds, JSON-able; ``seconds`` is the real time all of them took."""
    failed = [outcome for outcome in outcomes if outcome.faults]
    begun: Counter[str] = Counter()
    for outcome in outcomes:
        begun.update(outcome.begun)
    taken = sorted(outcome.seconds for outcome in outcomes)
    return {
        "seeds": len(outcomes),
        "failed": len(failed),
        "sent": sum(outcome.sent for outcome in outcomes),
        "received": sum(outcome.received for outcome in outcomes),
        "in_gaps": sum(outcome.in_gaps for outcome in outcomes),
        "doubled": sum(outcome.doubled for outcome in outcomes),
        "backfilled": sum(outcome.backfilled for outcome in outcomes),
        "gaps": sum(outcome.gaps for outcome in outcomes),
        "restarts": sum(outcome.restarts for outcome in outcomes),
        "exchange_faults": dict(sorted(begun.items())),
        "failing_seeds": [outcome.seed for outcome in failed],
        "failures": {str(outcome.seed): list(outcome.faults) for outcome in failed[:MOST_SHOWN]},
        "seconds": round(seconds, 1),
        "seconds_per_seed": round(sum(taken) / len(taken), 3) if taken else 0.0,
        "slowest_seed_s": round(taken[-1], 3) if taken else 0.0,
    }
