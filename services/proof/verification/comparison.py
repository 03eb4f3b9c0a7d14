"""What the stages make now against what the record says they made, in order and byte for byte."""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from services.kernel.events import Event, PortfolioSnapshot, topics
from services.kernel.events.codec import encode

STAGE_NAMES: Final = (*topics.STAGE_ORDER, topics.PAPER_RUNNER)
LOOK_AHEAD: Final = 100
"""How far the comparison looks for a recorded event among those that were made, after a miss."""


class Kind(StrEnum):
    """How record and re-execution differ."""

    DIFFERS = "DIFFERS"
    NOT_RECORDED = "NOT_RECORDED"
    NOT_MADE = "NOT_MADE"
    MISPLACED = "MISPLACED"


@dataclass(frozen=True, slots=True)
class Divergence:
    """One output on which record and re-execution do not agree.

    Attributes:
        kind: ``NOT_RECORDED``: made now, missing in the record; ``NOT_MADE``: the other way round;
            ``MISPLACED``: its seq says that it stands elsewhere, whatever it led to.
        stage: The service whose event it is.
        event_id: The event's id.
        cause_id: Id of the event that caused it.
        seq: Of the recorded event; None where there is none.
        recorded: Its text without the position; None where it is missing.
        made: The same of what was made now.
        behind: Seq of the row before a misplaced one.
    """

    kind: Kind
    stage: str
    event_id: str
    cause_id: str | None
    seq: int | None
    recorded: bytes | None
    made: bytes | None
    behind: int | None = None


@dataclass(frozen=True, slots=True)
class _Made:
    event: Event
    text: bytes


def is_stage_made(event: Event) -> bool:
    """Whether a stage made this recorded event; what shells and people publish is input.

    Stages name the cause of all they make; shells have none. The orchestrator's ``run_ended`` is
    its shell's, although it names what it answers.
    """
    if event.producer == topics.PAPER_RUNNER:
        return type(event) is PortfolioSnapshot
    return event.causation_id is not None and event.producer in topics.STAGE_ORDER


class Comparison:
    """Holds what was made until the record shows it.

    Args:
        wanted: Which outputs are compared.

    Attributes:
        compared: Outputs that were compared, by stage.
        divergences: How many of them differ.
        first: The first that differs.
        excused: Outputs lost with a part of the record that ``recovered`` names.
    """

    def __init__(self, wanted: Callable[[Event], bool] = lambda _: True) -> None:
        self.compared: Counter[str] = Counter()
        self.divergences = 0
        self.first: Divergence | None = None
        self.excused = 0
        self._wanted = wanted
        self._waiting: dict[str, deque[_Made]] = {name: deque() for name in STAGE_NAMES}
        self._may_be_lost: set[str] = set()

    def __add__(self, later: "Comparison") -> "Comparison":
        """What was found in two parts of a record."""
        both = Comparison()
        both.compared = self.compared + later.compared
        both.divergences = self.divergences + later.divergences
        both.first = self.first or later.first
        both.excused = self.excused + later.excused
        return both

    def expect(self, stage: str, made: Iterable[Event]) -> None:
        """Take what a stage made now."""
        waiting = self._waiting[stage]
        waiting.extend(_Made(event, encode(event)) for event in made if self._wanted(event))

    def see(self, event: Event, text: bytes) -> None:
        """Take a recorded output.

        Args:
            event: As decoded.
            text: As recorded, without the position.
        """
        if not self._wanted(event):
            return
        stage = event.producer
        self.compared[stage] += 1
        waiting = self._waiting[stage]
        if waiting and waiting[0].text == text:
            waiting.popleft()
            return
        for index, made in enumerate(waiting):
            if made.event.event_id == event.event_id:
                for _ in range(index):
                    self._miss(stage, waiting.popleft())
                waiting.popleft()
                if made.text != text:
                    self._note(_divergence(Kind.DIFFERS, stage, event, text, made.text))
                return
            if index >= LOOK_AHEAD:
                break
        self._note(_divergence(Kind.NOT_MADE, stage, event, text, None))

    def misplaced(self, event: Event, text: bytes, behind: int) -> None:
        """A recorded event, stage-made or not, stands behind one of a later seq."""
        divergence = _divergence(Kind.MISPLACED, event.producer, event, text, None)
        self._note(replace(divergence, behind=behind))

    def excuse(self) -> None:
        """The record says itself that a part of it is lost: what waits may lie in it.

        A recovered stage makes again what the bus lost of its answers to recorded inputs, so it
        may as well come yet.
        """
        for waiting in self._waiting.values():
            self._may_be_lost.update(made.event.event_id for made in waiting)

    def finish(self, *, in_progress: bool) -> int:
        """The record ends here: what it has not shown is missing, unless the run goes on.

        Returns:
            Outputs that a run in progress still has to show.
        """
        pending = 0
        for stage, waiting in self._waiting.items():
            while waiting:
                made = waiting.popleft()
                if in_progress and made.event.event_id not in self._may_be_lost:
                    pending += 1
                else:
                    self._miss(stage, made)
        return pending

    def _miss(self, stage: str, made: _Made) -> None:
        if made.event.event_id in self._may_be_lost:
            self.excused += 1
            return
        self.compared[stage] += 1
        self._note(_divergence(Kind.NOT_RECORDED, stage, made.event, None, made.text))

    def _note(self, divergence: Divergence) -> None:
        self.divergences += 1
        self.first = self.first or divergence


def _divergence(
    kind: Kind, stage: str, event: Event, recorded: bytes | None, made: bytes | None
) -> Divergence:
    return Divergence(
        kind=kind,
        stage=stage,
        event_id=event.event_id,
        cause_id=event.causation_id,
        seq=event.seq or None,
        recorded=recorded,
        made=made,
    )
