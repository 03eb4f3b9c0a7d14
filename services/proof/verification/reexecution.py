"""Re-executing a record: every stage on its recorded input, its outputs held to the record."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from services.kernel.events import (
    SCHEMA_VERSION,
    AnyEvent,
    Clock,
    Event,
    Recovered,
    RunEnded,
    RunStarted,
    topics,
)
from services.kernel.events.codec import decode, encode
from services.kernel.execution.stage import ExecutionStage
from services.kernel.pipeline import Pipeline
from services.kernel.portfolio.stage import PortfolioStage
from services.kernel.risk.stage import RiskStage
from services.kernel.stage import Stage
from services.kernel.strategies.stage import SignalStage
from services.proof.verification.comparison import Comparison, is_stage_made
from services.record.reading import RecordError, split_position

STAGES: Final[tuple[Callable[[], Stage], ...]] = (
    ExecutionStage,
    RiskStage,
    SignalStage,
    PortfolioStage,
)

Progress = Callable[[int], None]
REPORT_EVERY: Final = 20_000


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of what is re-executed is compared, in event time.

    Attributes:
        since: Outputs with an earlier timestamp are not compared; Unix ms.
        until: Re-execution ends behind this clock; Unix ms, None for the end of the part.
    """

    since: int = 0
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Hole:
    """Events of one topic that are missing from the record.

    Attributes:
        first, last: Their numbers on the topic (``topic_seq``).
        before: Seq of the event that follows them.
    """

    topic: str
    first: int
    last: int
    before: int


@dataclass(frozen=True, slots=True)
class Reexecuted:
    """What re-executing showed.

    Attributes:
        events: Recorded events that were read.
        last_seq: The last of them.
        runs: Runs that began among them, with the code version each was recorded with.
        comparison: Record and re-execution, compared.
        pending: Outputs of a run in progress that the record does not show yet.
        missing: Events that the numbers of their topics say were published, and are not recorded.
        first_hole: The first of them.
    """

    events: int
    last_seq: int
    runs: Mapping[str, str]
    comparison: Comparison
    pending: int
    missing: int = 0
    first_hole: Hole | None = None

    def __add__(self, later: "Reexecuted") -> "Reexecuted":
        """This part of a record and a later one that was re-executed by itself."""
        return Reexecuted(
            events=self.events + later.events,
            last_seq=later.last_seq,
            runs={**self.runs, **later.runs},
            comparison=self.comparison + later.comparison,
            pending=self.pending + later.pending,
            missing=self.missing + later.missing,
            first_hole=self.first_hole or later.first_hole,
        )


def reexecute(
    bodies: Iterable[bytes],
    *,
    window: Window = Window(),
    stages: Iterable[Stage] | None = None,
    from_beginning: bool = False,
    progress: Progress = lambda _: None,
) -> Reexecuted:
    """Feed every stage its recorded input and compare its outputs with the record.

    Args:
        bodies: A record from a ``run_started`` on, in total order, as published.
        window: What is compared.
        stages: Fresh stages; the kernel's own when not given.
        from_beginning: The first event is the first that was ever published.
        progress: Called with the number of events read, now and then.

    Raises:
        RecordError: An event of the record cannot be read.
    """
    chosen = tuple(stages) if stages is not None else tuple(make() for make in STAGES)
    readers = {
        topic: tuple((s.name, s.handle) for s in chosen if topic in s.topics)
        for topic in topics.TOPICS
    }

    def feed(event: AnyEvent, comparison: Comparison) -> None:
        for name, handle in readers[event.TOPIC]:
            made = handle(event)
            if made:
                comparison.expect(name, made)

    return _Walk(feed, window, progress, from_beginning=from_beginning).through(bodies)


def reexecute_in_kernel(
    bodies: Iterable[bytes],
    *,
    window: Window = Window(),
    pipeline: Pipeline | None = None,
    from_beginning: bool = False,
    progress: Progress = lambda _: None,
) -> Reexecuted:
    """Feed the stages, wired in one process, what the shells recorded; compare all they make.

    Equal for a run in lock-step, where the bus keeps the order of this queue.

    Args:
        bodies: As for `reexecute`.
        window: As for `reexecute`.
        pipeline: Freshly made; the kernel's own when not given.
        from_beginning: As for `reexecute`.
        progress: As for `reexecute`.

    Raises:
        RecordError: An event of the record cannot be read.
    """
    chosen = pipeline or Pipeline()

    def feed(event: AnyEvent, comparison: Comparison) -> None:
        if is_stage_made(event):
            return
        for made in chosen.feed(event):
            if is_stage_made(made):
                plain = msgspec.structs.replace(made, seq=0, topic_seq=0)
                comparison.expect(made.producer, (plain,))

    return _Walk(feed, window, progress, from_beginning=from_beginning).through(bodies)


Feed = Callable[[AnyEvent, Comparison], None]


class _Walk:
    """One pass over a record."""

    def __init__(
        self, feed: Feed, window: Window, progress: Progress, *, from_beginning: bool
    ) -> None:
        self._feed = feed
        self._window = window
        self._progress = progress
        self._comparison = Comparison(self._is_compared)
        self._runs: dict[str, str] = {}
        self._first_id = ""
        self._open = False
        self._topic_seqs = dict.fromkeys(topics.TOPICS, 0) if from_beginning else {}
        self._missing = 0
        self._first_hole: Hole | None = None

    def through(self, bodies: Iterable[bytes]) -> Reexecuted:
        count, last_seq, cut = 0, 0, False
        until, topic_seqs = self._window.until, self._topic_seqs
        for body in bodies:
            event = _decoded(body)
            if until is not None and type(event) is Clock and event.timestamp > until:
                cut = True
                break
            count += 1
            if event.seq <= last_seq:
                self._comparison.misplaced(event, split_position(body)[0], last_seq)
            last_seq = event.seq
            if event.topic_seq != topic_seqs.get(event.TOPIC, event.topic_seq - 1) + 1:
                self._note_hole(event, topic_seqs[event.TOPIC])
            topic_seqs[event.TOPIC] = event.topic_seq
            if event.TOPIC not in _PLAIN:
                self._look_at(event, body)
            self._feed(event, self._comparison)
            if count % REPORT_EVERY == 0:
                self._progress(count)
        self._progress(count)
        pending = self._comparison.finish(in_progress=self._open or cut)
        return Reexecuted(
            events=count,
            last_seq=last_seq,
            runs=self._runs,
            comparison=self._comparison,
            pending=pending,
            missing=self._missing,
            first_hole=self._first_hole,
        )

    def _note_hole(self, event: AnyEvent, last: int) -> None:
        missing = event.topic_seq - last - 1
        if missing > 0:  # else it stands in another's place, which its seq says
            self._missing += missing
            hole = Hole(event.TOPIC, last + 1, event.topic_seq - 1, event.seq)
            self._first_hole = self._first_hole or hole

    def _look_at(self, event: AnyEvent, body: bytes) -> None:
        if isinstance(event, RunStarted):
            self._runs[event.run_id] = event.code_version
            self._open = True
            self._first_id = self._first_id or event.event_id
        elif isinstance(event, RunEnded):
            self._open = False
        elif isinstance(event, Recovered):
            self._comparison.excuse()
            self._topic_seqs.clear()  # what was lost is named; the numbers go on behind it
        if is_stage_made(event):
            self._comparison.see(event, _handed_over(event, body))

    def _is_compared(self, event: Event) -> bool:
        # What the first run_started ended of the run before it is not known here.
        return event.causation_id != self._first_id and event.timestamp >= self._window.since


_PLAIN: Final = frozenset({topics.MARKET_DATA, topics.CLOCK})
_PRESENT_SCHEMA: Final = f'"schema_version":{SCHEMA_VERSION},'.encode()


def _decoded(body: bytes) -> AnyEvent:
    try:
        return decode(body)
    except msgspec.DecodeError as error:
        raise RecordError(f"an event of the record cannot be read ({error}): {body!r}") from None


def _handed_over(event: AnyEvent, body: bytes) -> bytes:
    """The text that a stage handed over; of an older schema, as it would hand it over today."""
    text = split_position(body)[0]
    if _PRESENT_SCHEMA in text:
        return text
    return encode(msgspec.structs.replace(event, seq=0, topic_seq=0))
