"""Operator commands at given event times: each posted after its clock, one answer at a time."""

from collections import deque
from collections.abc import Callable, Iterable

from services.cli.run.run_options import ControlEntry
from services.kernel.events import AnyEvent, Clock, topics


class ControlScript:
    """Posts what is due, and waits for risk's published answer before the next.

    Args:
        entries: In the order of their times.
        publish: Sends a message on a topic.
    """

    def __init__(
        self, entries: Iterable[ControlEntry], publish: Callable[[str, bytes], object]
    ) -> None:
        self._waiting = deque(entries)
        self._publish = publish
        self._posted: ControlEntry | None = None
        self._clock = 0

    def on_event(self, event: AnyEvent) -> None:
        """Take an event of `control` or `clock`."""
        if isinstance(event, Clock):
            self._clock = event.timestamp
        elif self._posted is not None and _answers(event, self._posted):
            self._posted = None
        self._post_due()

    def _post_due(self) -> None:
        if self._posted is not None or not self._waiting:
            return
        if self._clock >= self._waiting[0].at:
            self._posted = self._waiting.popleft()
            self._publish(topics.CONTROL, self._posted.message())

    def left_over(self) -> list[str]:
        """A line for each command that had no answer, or whose time never came."""
        lines = [f"{entry.command} at {entry.at}: the run ended before" for entry in self._waiting]
        if self._posted is not None:
            lines.insert(0, f"{self._posted.command} at {self._posted.at}: risk did not answer")
        return lines


def _answers(event: AnyEvent, entry: ControlEntry) -> bool:
    return (
        event.producer == topics.RISK
        and event.TOPIC == topics.CONTROL
        and event.__struct_config__.tag == entry.command
        and getattr(event, "reason", None) == entry.reason
    )
