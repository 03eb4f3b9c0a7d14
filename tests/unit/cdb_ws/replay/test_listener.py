"""Listening to a live market: the wall's clock, full memory, a source that is away."""

from collections.abc import Iterable, Sequence

import pytest
from prometheus_client.core import Metric

from services.cdb_ws.publishing.position import Position
from services.cdb_ws.publishing.ticks import TickMaker
from services.cdb_ws.replay.listener import Listener
from services.kernel.events import Clock, Condition, MarketData, MarketDataKind
from services.runtime.bus.encoded import Outgoing, Tick, encoded
from tests.unit.cdb_ws.fakes import FakeBus, FakePressure, publisher
from tests.unit.cdb_ws.replay.test_runner import plan

pytestmark = pytest.mark.unit
T = 1_700_000_000_000


class Venue:
    """A live source with one tick each time it is asked; it encodes every other one early."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.closed = False
        self.began: tuple[tuple[MarketData, ...], int] | None = None
        self._fault = fault
        self._ticks = 0

    def begin(self, past: Sequence[MarketData], clock_ms: int) -> None:
        self.began = tuple(past), clock_ms

    def take(self) -> list[Outgoing]:
        if self._fault is not None:
            raise self._fault
        self._ticks += 1
        made = tick(self._ticks)
        return [encoded(made) if self._ticks % 2 else made]

    def troubles(self) -> list[str]:
        return []

    def counts(self) -> dict[str, object]:
        return {}

    def figures(self) -> Iterable[Metric]:
        return ()

    def close(self) -> None:
        self.closed = True


def tick(number: int) -> MarketData:
    maker = TickMaker("run", "venue", "BTC_USDT")
    return maker.make(event_id=f"{number}", timestamp=T + number, kind=MarketDataKind.TRADE)


class Turns:
    """The run goes on for some turns; each moves the wall's clock."""

    def __init__(self, turns: int, step_ms: int) -> None:
        self.left = turns
        self.now = T + 250
        self._step_ms = step_ms

    def poll_control(self, _: float) -> bool:
        self.left -= 1
        self.now += self._step_ms
        return self.left >= 0

    def now_ms(self) -> int:
        return self.now


def listen(
    venue: Venue,
    turns: Turns,
    pressure: FakePressure,
    start: Position | None = None,
    past: Sequence[MarketData] = (),
) -> tuple[FakeBus, Listener]:
    bus = FakeBus()
    listener = Listener(
        venue, plan(), publisher(bus, start), pressure, turns.poll_control, turns.now_ms  # type: ignore[arg-type]
    )  # fmt: skip
    listener.listen(past)
    return bus, listener


def test_the_clock_is_the_walls_second_once_and_before_its_ticks() -> None:
    bus, _ = listen(Venue(), Turns(10, 500), FakePressure())
    clocks = [event.timestamp - T for event in bus.events if isinstance(event, Clock)]
    assert clocks == [0, 1000, 2000, 3000, 4000, 5000]
    assert len(bus.events) == 6 + 10


def test_a_wall_that_goes_back_makes_no_clock_until_it_is_past_the_last() -> None:
    start = Position(run_id="run", began=T, clock=T + 2000)
    bus, _ = listen(Venue(), Turns(3, 1000), FakePressure(), start)
    assert [e.timestamp - T for e in bus.events if isinstance(e, Clock)] == [3000]


def test_the_source_is_reported_where_the_run_stands_and_closed_at_the_end() -> None:
    venue = Venue()
    start = Position(run_id="run", began=T, clock=T + 2000)
    listen(venue, Turns(1, 1000), FakePressure(), start, [tick(7)])
    assert venue.began == ((tick(7),), T + 2000)
    assert venue.closed


def test_a_source_that_fails_is_closed_and_its_error_is_the_services() -> None:
    venue = Venue(fault=RuntimeError("broken"))
    with pytest.raises(RuntimeError, match="broken"):
        listen(venue, Turns(3, 1000), FakePressure())
    assert venue.closed


def test_full_memory_drops_ticks_and_records_the_gap_with_its_bounds() -> None:
    class Filling(FakePressure):
        looks = 0

        def look(self) -> None:
            self.looks += 1
            self.memory_full = 3 <= self.looks <= 6

    # Given a memory that is full for the third to the sixth of eight ticks
    bus, listener = listen(Venue(), Turns(8, 1000), Filling())
    # Then those are dropped, the hole is on the record, and the clock goes on
    found = [event for event in bus.events if isinstance(event, Condition)]
    assert [event.phase.value for event in found] == ["BEGAN", "CLEARED"]
    assert listener.dropped == 4
    assert found[1].lost_from is not None
    assert found[1].lost_to is not None
    assert found[1].lost_from <= T + 3 < T + 6 <= found[1].lost_to
    assert sum(isinstance(event, Tick) for event in bus.events) == 8 - 4
    assert sum(isinstance(event, Clock) for event in bus.events) == 8
