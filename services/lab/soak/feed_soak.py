"""The soak of the feed: many seeds on all cores, and what they gave together."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import Struct

from services.lab.soak import feed_run
from services.lab.soak.feed_run import Run
from services.lab.soak.seeds import play_all
from services.lab.soak.virtual_time import StuckError

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
    """Play seeds; see `play_all`. Returns the figures, JSON-able."""
    return summary(*play_all(play, seeds, jobs, done))


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
