"""Operator commands at given event times: each posted after its clock, one answer at a time."""

from collections import deque
from collections.abc import Callable, Iterable
from uuid import uuid4

from services.cli.run.run_options import ControlEntry
from services.kernel.events import AnyEvent, Clock, CommandAnswered, topics
from services.runtime.operator.message import operator_message

REPEAT_S = 10.0
"""Without an answer for so long a command is posted again: cdb_risk may not have been there."""


class ControlScript:
    """Posts what is due, and waits for risk's published answer before the next.

    Args:
        entries: In the order of their times.
        publish: Sends a message on a channel.
        new_id: Makes a ``command_id`` that no other command has.
    """

    def __init__(
        self,
        entries: Iterable[ControlEntry],
        publish: Callable[[str, bytes], object],
        new_id: Callable[[], str] = lambda: uuid4().hex,
    ) -> None:
        self._waiting = deque(entries)
        self._publish = publish
        self._new_id = new_id
        self._posted: ControlEntry | None = None
        self._command_id = ""
        self._message = b""
        self._repeat_at: float | None = None
        self._clock = 0

    def on_event(self, event: AnyEvent) -> None:
        """Take a published event."""
        if isinstance(event, Clock):
            self._clock = event.timestamp
        elif isinstance(event, CommandAnswered) and event.command_id == self._command_id:
            self._posted = None
        self._post_due()

    def look(self, now: float) -> None:
        """Post a command again that has not been answered; call it now and then.

        Args:
            now: Seconds of any clock.
        """
        if self._posted is None:
            return
        if self._repeat_at is not None and now >= self._repeat_at:
            self._publish(topics.OPERATOR, self._message)
            self._repeat_at = None
        if self._repeat_at is None:
            self._repeat_at = now + REPEAT_S

    def _post_due(self) -> None:
        if self._posted is not None or not self._waiting:
            return
        if self._clock >= self._waiting[0].at:
            entry = self._posted = self._waiting.popleft()
            self._command_id = self._new_id()
            self._message = operator_message(
                entry.command, entry.reason, entry.symbol, self._command_id
            )
            self._repeat_at = None
            self._publish(topics.OPERATOR, self._message)

    def left_over(self) -> list[str]:
        """A line for each command that had no answer, or whose time never came."""
        lines = [f"{entry.command} at {entry.at}: the run ended before" for entry in self._waiting]
        if self._posted is not None:
            lines.insert(0, f"{self._posted.command} at {self._posted.at}: risk did not answer")
        return lines
