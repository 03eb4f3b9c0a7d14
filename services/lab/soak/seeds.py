"""Plays many seeds on all cores; what a seed is, and what its outcome says, is the soak's."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Protocol, TypeVar

from services.runtime.service import logging


class Outcome(Protocol):
    """What one seed gave."""

    @property
    def seed(self) -> int:
        """The seed."""
        ...


Played = TypeVar("Played", bound=Outcome)


def play_all(
    play: Callable[[int], Played],
    seeds: Sequence[int],
    jobs: int | None,
    done: Callable[[Played], None],
) -> tuple[list[Played], float]:
    """Play seeds; the result does not depend on how many processes do it.

    Args:
        play: Plays one seed; a function of a module, so that other processes find it.
        seeds: Which.
        jobs: Processes; None takes one for each core.
        done: Called with each outcome as it comes, in any order.

    Returns:
        The outcomes by seed, and the seconds that all of them took.
    """
    began = time.perf_counter()
    outcomes = []
    for outcome in _outcomes(play, seeds, jobs or os.cpu_count() or 1):
        outcomes.append(outcome)
        done(outcome)
    outcomes.sort(key=lambda outcome: outcome.seed)
    return outcomes, time.perf_counter() - began


def be_quiet() -> None:
    """Log nothing: a soak's faults would fill the log."""
    logging.configure("soak", "CRITICAL")


def _outcomes(play: Callable[[int], Played], seeds: Sequence[int], jobs: int) -> Iterator[Played]:
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
