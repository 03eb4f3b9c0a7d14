"""The end of a recorded market that a run's duration sets."""

from collections.abc import Iterable, Iterator

from services.cdb_ws.sources.recorded import Step
from services.kernel.events import Clock


def within_duration(steps: Iterable[Step], duration_ms: int, began: int = 0) -> Iterator[Step]:
    """The steps that come before the duration is over, in event time.

    Args:
        steps: Of a market, in their order.
        duration_ms: 0 for no limit.
        began: Timestamp of the run's first clock, Unix ms; 0 where it is still to come.
    """
    if not duration_ms:
        yield from steps
        return
    for step in steps:
        event = step[1]
        if not began and isinstance(event, Clock):
            began = event.timestamp
        if began and event.timestamp >= began + duration_ms:
            return
        yield step
