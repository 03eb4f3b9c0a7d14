"""All stages in one process: the first-in-first-out queue that the bus reproduces in lock-step."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import ClassVar, Protocol

import msgspec

from services.kernel.events import Event
from services.kernel.execution.stage import ExecutionStage
from services.kernel.portfolio.stage import PortfolioStage
from services.kernel.risk.stage import RiskStage
from services.kernel.strategies.stage import SignalStage


class Handler(Protocol):
    """What reads some topics and answers each event with what it causes: a stage, or an observer.

    Attributes:
        topics: What it reads.
    """

    topics: ClassVar[frozenset[str]]

    def handle(self, event: Event) -> list[Event]:
        """Take one event; returns what it causes, in order."""
        ...


class Pipeline:
    """Runs the stages on input events, in the order execution, risk, core, orchestrator.

    Args:
        stages: Others than the default ones, in their order; an observer comes last.
    """

    def __init__(self, stages: Iterable[Handler] | None = None) -> None:
        self.execution = ExecutionStage()
        self.risk = RiskStage()
        self.signal = SignalStage()
        self.portfolio = PortfolioStage()
        default = (self.execution, self.risk, self.signal, self.portfolio)
        self._stages: tuple[Handler, ...] = tuple(stages) if stages is not None else default
        self._seq = 0
        self._topic_seq: dict[str, int] = {}

    def feed(self, event: Event) -> Iterator[Event]:
        """Publish one input event and everything that it leads to.

        Args:
            event: What a shell would publish: a tick, a clock, a control event.

        Yields:
            The event itself and all it caused, in total order, with ``seq`` and ``topic_seq``.
        """
        queue: deque[Event] = deque((self._publish(event),))
        while queue:
            current = queue.popleft()
            yield current
            for stage in self._stages:
                if current.TOPIC in stage.topics:
                    queue.extend(map(self._publish, stage.handle(current)))

    def skip(self, topic: str, count: int) -> None:
        """So many events of a topic were published without a stage being asked."""
        self._seq += count
        self._topic_seq[topic] = self._topic_seq.get(topic, 0) + count

    def run(self, events: Iterable[Event]) -> Iterator[Event]:
        """`feed` every input event in turn."""
        for event in events:
            yield from self.feed(event)

    def _publish(self, event: Event) -> Event:
        self._seq += 1
        topic_seq = self._topic_seq.get(event.TOPIC, 0) + 1
        self._topic_seq[event.TOPIC] = topic_seq
        return msgspec.structs.replace(event, seq=self._seq, topic_seq=topic_seq)
