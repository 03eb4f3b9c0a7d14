"""Committing a batch of which the database refuses something: the rest is written all the same."""

from collections.abc import Callable

from services.persistence.recorder import UnstorableError
from services.runtime.bus.batch import Batch
from services.runtime.database.address import DataRefusedError


def commit_all(
    batch: Batch, commit: Callable[[Batch], None], refuse: Callable[[Batch, str], None]
) -> None:
    """Commit a batch; what no table can hold is found by halving, and set aside.

    Args:
        batch: What is to be committed.
        commit: Commits a batch, or nothing of it.
        refuse: Called with a batch of the one event that cannot be committed, and the reason. It
            moves the position past it.
    """
    try:
        commit(batch)
    except (UnstorableError, DataRefusedError) as refused:
        events, bodies = batch.events, batch.bodies
        if len(events) > 1:
            middle = len(events) // 2
            first = Batch(events[:middle], bodies[:middle], upto=events[middle - 1].seq)
            commit_all(first, commit, refuse)
            commit_all(Batch(events[middle:], bodies[middle:], upto=batch.upto), commit, refuse)
        elif events:
            refuse(batch, str(refused))
        else:
            raise
