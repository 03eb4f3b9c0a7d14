"""Where a transaction may end: never between two outputs of one input.

A stage that lost its memory goes on behind the input of its last recorded output. So what an input
caused is in the record as a whole, or not at all.
"""

from collections.abc import Sequence

from services.kernel.events import AnyEvent


def end_of_portion(events: Sequence[AnyEvent], start: int, limit: int) -> int:
    """The end of the next transaction among events that all are there.

    Args:
        events: By seq; whatever the last one's input caused is among them.
        start: Index of the transaction's first event.
        limit: Most events that it should hold; one input's outputs stay together beyond it.

    Returns:
        Index behind its last event.
    """
    end = min(start + limit, len(events))
    if end == len(events):
        return end
    while end > start and _together(events[end - 1], events[end]):
        end -= 1
    if end > start:
        return end
    end = start + 1
    while end < len(events) and _together(events[end - 1], events[end]):
        end += 1
    return end


def without_last_input(events: Sequence[AnyEvent]) -> int:
    """How many events are surely followed by nothing that the same input caused."""
    count = len(events) - 1
    while count > 0 and _together(events[count - 1], events[count]):
        count -= 1
    return max(count, 0)


def _together(first: AnyEvent, second: AnyEvent) -> bool:
    return (
        first.causation_id is not None
        and first.causation_id == second.causation_id
        and first.producer == second.producer
    )
