"""What is published is recorded, and what the recorder has to say is published."""

import threading
from collections.abc import Sequence

import pytest

from services.cdb_ws.publishing.position import Position
from services.cdb_ws.publishing.publisher import Publisher
from services.kernel.events import Event
from services.runtime.bus.bus import Unavailable
from services.runtime.bus.encoded import encoded
from tests import builders
from tests.unit.cdb_ws.fakes import FakeBus

pytestmark = pytest.mark.unit


class FakeRecorder:
    """Returns given alerts; keeps what it gets."""

    def __init__(self, *alerts: Event) -> None:
        self.reported: list[Event] = []
        self._alerts = list(alerts)

    def alerts(self, run_id: str, _timestamp: int) -> list[Event]:
        assert run_id == "run"
        reported, self._alerts = self._alerts, []
        return reported

    def events(self, events: Sequence[Event]) -> None:
        self.reported += events


def publisher(bus: FakeBus, recorder: FakeRecorder, *, stopping: bool = False) -> Publisher:
    stop = threading.Event()
    if stopping:
        stop.set()
    start = Position(run_id="run")
    return Publisher(bus, start, stop, recorder=recorder)  # type: ignore[arg-type]


def test_what_is_published_is_recorded_in_the_same_order() -> None:
    bus, recorder = FakeBus(away=1), FakeRecorder()
    events = [builders.clock(), builders.trade()]

    publisher(bus, recorder).send(events)

    assert bus.events == recorder.reported == events


def test_what_is_not_published_is_not_recorded() -> None:
    bus, recorder = FakeBus(away=1), FakeRecorder()

    with pytest.raises(Unavailable):
        publisher(bus, recorder, stopping=True).send([builders.clock()])

    assert recorder.reported == []


def test_the_recorders_alerts_are_published_once() -> None:
    alert = builders.clock(builders.NOON + 1)  # stands for any event
    bus, recorder = FakeBus(), FakeRecorder(alert)
    sender = publisher(bus, recorder)

    sender.send([builders.clock()])
    sender.send([builders.trade()])

    assert len(bus.events) == 3
    assert bus.events.count(alert) == 1


def test_an_early_encoded_tick_counts_as_the_tick_it_is() -> None:
    tick = builders.trade()
    plainly, early = (publisher(FakeBus(), FakeRecorder()) for _ in range(2))

    plainly.send([builders.clock(), tick])
    early.send([builders.clock(), encoded(tick)])

    assert early.position == plainly.position
    assert early.position.ticks == 1
    assert early.by_kind == plainly.by_kind == {tick.kind: 1}
    assert early.last_tick_ms == plainly.last_tick_ms == {tick.symbol: tick.timestamp}
    assert early.last_tick_at.keys() == {tick.symbol}
    assert early.last_event_ms == tick.timestamp
