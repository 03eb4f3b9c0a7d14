"""How a stage makes its outputs: ids and envelope follow from the cause alone."""

from typing import Any, TypeVar

from services.kernel.events import SCHEMA_VERSION, Event
from services.kernel.events.ids import make_id

E = TypeVar("E", bound=Event)


class Emitter:
    """Makes a stage's outputs: deterministic ids, the cause's timestamp, causation."""

    def __init__(self, producer: str) -> None:
        self.producer = producer
        self.run_id = ""
        self._cause: Event | None = None
        self._outputs: list[Event] = []

    def begin(self, cause: Event) -> None:
        """Start on a new cause."""
        self._cause = cause
        self._outputs = []

    def outputs(self) -> list[Event]:
        """What was emitted since `begin`."""
        return self._outputs

    @property
    def cause(self) -> Event:
        """The event that is being handled."""
        assert self._cause is not None, "an output needs a cause"
        return self._cause

    def next_id(self) -> str:
        """The id that the next emitted event will have."""
        return self._id(len(self._outputs))

    def id_after_next(self) -> str:
        """The id of the event emitted after the next one: an order's, for its decision."""
        return self._id(len(self._outputs) + 1)

    def emit(self, kind: type[E], *, correlation_id: str | None = None, **payload: Any) -> E:
        """Make and keep one output.

        Args:
            kind: Its class.
            correlation_id: The cause's when not given.
            payload: The fields beyond the envelope.
        """
        cause = self.cause
        event = kind(
            event_id=self.next_id(),
            run_id=self.run_id,
            producer=self.producer,
            schema_version=SCHEMA_VERSION,
            timestamp=cause.timestamp,
            causation_id=cause.event_id,
            correlation_id=correlation_id or cause.correlation_id,
            **payload,
        )
        self._outputs.append(event)
        return event

    def _id(self, index: int) -> str:
        return make_id(self.run_id, self.producer, self.cause.event_id, index)
