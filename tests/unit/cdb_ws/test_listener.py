"""Listening to a live market: the wall's clock, full memory, a source that is away."""

import pytest

from services.cdb_ws.listener import Listener
from services.cdb_ws.position import Position
from services.cdb_ws.sources.live import SourceAwayError
from services.cdb_ws.ticks import TickMaker
from services.kernel.events import Clock, Condition, Event, MarketData, MarketDataKind
from tests.unit.cdb_ws.fakes import FakeBus, FakePressure, publisher
from tests.unit.cdb_ws.test_player import plan

pytestmark = pytest.mark.unit
T = 1_700_000_000_000


class Venue:
    """A live source with one tick each time it is asked."""

    def __init__(self, away: int = 0) -> None:
        self.closed = False
        self.resumed: dict[str, int] | None = None
        self._away = away
        self._ticks = 0

    def begin(self, resume: dict[str, int]) -> list[Event]:
        if self._away:
            self._away -= 1
            raise SourceAwayError("no route")
        self.resumed = resume
        return []

    def take(self, timeout: float) -> list[Event]:
        assert timeout == 0
        self._ticks += 1
        maker = TickMaker("run", "venue", "BTC_USDT")
        kind = MarketDataKind.TRADE
        return [maker.make(event_id=f"{self._ticks}", timestamp=T, kind=kind)]

    def resume_state(self) -> dict[str, int]:
        return {"BTC_USDT": self._ticks}

    def troubles(self) -> list[str]:
        return []

    def counts(self) -> dict[str, object]:
        return {}

    def close(self) -> None:
        self.closed = True


class Turns:
    """The run goes on for some turns; each moves the wall's clock."""

    def __init__(self, turns: int, step_ms: int) -> None:
        self.left = turns
        self.now = T + 250
        self._step_ms = step_ms

    def breathe(self, _: float) -> bool:
        self.left -= 1
        self.now += self._step_ms
        return self.left >= 0

    def now_ms(self) -> int:
        return self.now


def listen(
    venue: Venue, turns: Turns, pressure: FakePressure, start: Position | None = None
) -> tuple[FakeBus, Listener]:
    bus = FakeBus()
    listener = Listener(
        venue, plan(), publisher(bus, start), pressure, turns.breathe, turns.now_ms  # type: ignore[arg-type]
    )  # fmt: skip
    listener.listen()
    return bus, listener


def test_the_clock_is_the_walls_second_once_and_before_its_ticks() -> None:
    bus, _ = listen(Venue(), Turns(10, 500), FakePressure())
    clocks = [event.timestamp - T for event in bus.events if isinstance(event, Clock)]
    assert clocks == [0, 1000, 2000, 3000, 4000, 5000]
    assert len(bus.events) == 6 + 10


def test_a_wall_that_goes_back_makes_no_clock_until_it_is_past_the_last() -> None:
    turns = Turns(3, 1000)
    start = Position(run_id="run", began=T, clock=T + 2000, resume={"BTC_USDT": 9})
    venue = Venue()
    bus, _ = listen(venue, turns, FakePressure(), start)
    assert [e.timestamp - T for e in bus.events if isinstance(e, Clock)] == [3000]
    assert venue.resumed == {"BTC_USDT": 9}
    assert venue.closed


def test_full_memory_drops_ticks_and_records_the_gap_while_the_clock_goes_on() -> None:
    class Filling(FakePressure):
        looks = 0

        def look(self) -> None:
            self.looks += 1
            self.memory_full = 3 <= self.looks <= 6

    bus, listener = listen(Venue(), Turns(8, 1000), Filling())
    phases = [e.phase.value for e in bus.events if isinstance(e, Condition)]
    assert phases == ["BEGAN", "CLEARED"]
    assert listener.dropped == 4
    assert sum(isinstance(event, MarketData) for event in bus.events) == 8 - 4
    assert sum(isinstance(event, Clock) for event in bus.events) == 9


def test_an_absent_source_is_tried_again_while_the_clock_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.cdb_ws.listener.FIRST_RETRY_S", 0.001)
    venue = Venue(away=2)

    class UntilReached(Turns):
        def breathe(self, seconds: float) -> bool:
            return super().breathe(seconds) and venue.resumed is None

    bus, listener = listen(venue, UntilReached(10_000_000, 1), FakePressure())
    assert listener.away is None
    assert venue.resumed == {}
    assert isinstance(bus.events[0], Clock)
