"""Hand-written stand-ins for the bus around ``cdb_ws``."""

import threading
from collections.abc import Iterator, Sequence

from services.cdb_ws.publishing.position import Position
from services.cdb_ws.publishing.publisher import Publisher
from services.cdb_ws.sources.recorded import Step
from services.kernel.events import Event
from services.runtime.bus.bus import Unavailable
from services.runtime.bus.encoded import Outgoing


class FakeBus:
    """Keeps what was published; is away as often as a test says."""

    def __init__(self, away: int = 0) -> None:
        self.events: list[Outgoing] = []
        self.positions: list[str] = []
        self.away = away

    def publish(self, events: Sequence[Outgoing], *, position: str) -> None:
        if self.away:
            self.away -= 1
            raise Unavailable("away")
        self.events += events
        self.positions.append(position)


class FakePressure:
    """Is high as often as a test says."""

    def __init__(self) -> None:
        self.high_for = 0
        self.memory_full = False

    def look(self) -> None:
        self.high_for -= 1

    @property
    def high(self) -> bool:
        return self.high_for > 0

    def why(self) -> str:
        return "memory 81% full"


class FakeMarket:
    """A recorded market of given events."""

    contracts = ()
    first_timestamp = 0

    def __init__(self, events: Sequence[Event], fault: Exception | None = None) -> None:
        self._events = events
        self._fault = fault

    def steps(self, after: int) -> Iterator[Step]:
        yield from list(enumerate(self._events, 1))[after:]
        if self._fault is not None:
            raise self._fault

    def counts(self) -> dict[str, object]:
        return {}

    def rows(self) -> Iterator[tuple[str, str, int]]:
        return iter(())


def publisher(bus: FakeBus, start: Position | None = None) -> Publisher:
    return Publisher(bus, start or Position(run_id="run"), threading.Event())  # type: ignore[arg-type]
