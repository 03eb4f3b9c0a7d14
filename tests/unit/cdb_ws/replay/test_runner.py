"""Playing a recorded market: position, duration, holding back, faults in the data."""

import threading
from pathlib import Path

import pytest

from services.cdb_ws.data_error import DataError
from services.cdb_ws.publishing import position, ticks
from services.cdb_ws.publishing.position import Position
from services.cdb_ws.publishing.publisher import Publisher
from services.cdb_ws.publishing.ticks import TickMaker
from services.cdb_ws.replay.pacing import FloodPace
from services.cdb_ws.replay.runner import PlaceMissing, ReplayRunner
from services.cdb_ws.run_plan import RunPlan
from services.kernel.events import Alert, Clock, Condition, Event, MarketData, MarketDataKind
from services.runtime.bus.bus import Unavailable
from tests.unit.cdb_ws.fakes import FakeBus, FakeMarket, FakePressure, publisher

pytestmark = pytest.mark.unit
MAKER = TickMaker("run", "x", "BTC_USDT")


def tick(at: int) -> Event:
    return MAKER.make(event_id=f"{at}", timestamp=at, kind=MarketDataKind.TRADE)


def clock(at: int) -> Event:
    return ticks.clock("run", at)


MARKET = [ticks.instruments("run", 0, ())] + [
    event for second in range(1, 6) for event in (clock(second * 1000), tick(second * 1000 + 1))
]


def plan(duration_ms: int = 0) -> RunPlan:
    return RunPlan(
        run_id="run", source="replay", seed=1, speed="flood", symbols=(), top_n=1,
        lookback_minutes=1, duration_ms=duration_ms,
    )  # fmt: skip


def runner(
    market: FakeMarket,
    talks_to: Publisher,
    *,
    duration_ms: int = 0,
    pressure: FakePressure | None = None,
    recovered_ms: int = 0,
) -> ReplayRunner:
    return ReplayRunner(
        market, plan(duration_ms), talks_to, FloodPace(), pressure or FakePressure(),  # type: ignore[arg-type]
        lambda _: True, recovered_ms,
    )  # fmt: skip


def test_the_market_is_published_to_its_end_with_its_position() -> None:
    bus = FakeBus()
    talks_to = publisher(bus)
    runner(FakeMarket(MARKET), talks_to).play()
    assert bus.events[:-1] == MARKET
    assert isinstance(bus.events[-1], Condition)
    assert bus.events[-1].detail == "5 ticks"
    assert position.load(bus.positions[-1], "run") == Position(
        run_id="run", cursor=11, ticks=5, began=1000, clock=5000, ended=True
    )


def test_it_goes_on_behind_the_position_and_keeps_counting() -> None:
    bus = FakeBus()
    before = Position(run_id="run", cursor=5, ticks=2, began=1000, clock=2000)
    runner(FakeMarket(MARKET), publisher(bus, before)).play()
    assert bus.events[:-1] == MARKET[5:]
    assert position.load(bus.positions[-1], "run").ticks == 5


@pytest.mark.parametrize("began", [0, 1000])
def test_the_duration_counts_from_the_first_clock_in_event_time(began: int) -> None:
    bus = FakeBus()
    start = Position(run_id="run", began=began)
    runner(FakeMarket(MARKET), publisher(bus, start), duration_ms=2000).play()
    assert [e.timestamp for e in bus.events if isinstance(e, MarketData)] == [1001, 2001]


def test_after_a_loss_on_the_bus_it_goes_on_after_the_last_known_clock() -> None:
    bus = FakeBus()
    runner(FakeMarket(MARKET), publisher(bus), recovered_ms=3000).play()
    assert [e.timestamp for e in bus.events if isinstance(e, Clock)] == [4000, 5000]


@pytest.mark.parametrize("known", range(1, len(MARKET)))
def test_after_a_loss_on_the_bus_it_goes_on_behind_the_last_recorded_event(known: int) -> None:
    # Given a bus that lost the position, and a record that ends with some event
    bus, unbroken = FakeBus(), FakeBus()
    lost = Position(run_id="run", behind=MARKET[known - 1].event_id)
    # When the market goes on, whatever the last clock was
    runner(FakeMarket(MARKET), publisher(bus, lost), recovered_ms=4000).play()
    # Then nothing is left out, nothing is doubled, and the counts are those of an unbroken run
    assert bus.events[:-1] == MARKET[known:]
    runner(FakeMarket(MARKET), publisher(unbroken)).play()
    assert bus.positions[-1] == unbroken.positions[-1]


def test_data_without_the_last_recorded_event_is_refused_and_does_not_end_the_market() -> None:
    bus = FakeBus()
    lost = Position(run_id="run", behind="of another file")
    with pytest.raises(PlaceMissing, match="of another file"):
        runner(FakeMarket(MARKET), publisher(bus, lost)).play()
    assert bus.events == []


def test_the_duration_counts_from_the_first_clock_after_a_loss_too() -> None:
    bus = FakeBus()
    lost = Position(run_id="run", behind=MARKET[3].event_id)
    runner(FakeMarket(MARKET), publisher(bus, lost), duration_ms=2000).play()
    assert [e.timestamp for e in bus.events if isinstance(e, MarketData)] == [2001]


def test_it_waits_while_the_writer_is_behind() -> None:
    pressure = FakePressure()
    pressure.high_for = 100
    bus = FakeBus()
    runner(FakeMarket(MARKET), publisher(bus), pressure=pressure).play()
    assert pressure.high_for < 1
    assert len(bus.events) == len(MARKET) + 1


def test_a_fault_in_the_data_is_reported_and_ends_the_market() -> None:
    bus = FakeBus()
    fault = DataError(Path("a.csv"), 7, "bad", "mend it")
    made = runner(FakeMarket(MARKET, fault), publisher(bus))
    made.play()
    alert, end = bus.events[-2:]
    assert isinstance(alert, Alert)
    assert alert.message == made.failed == "a.csv line 7: bad; mend it"
    assert isinstance(end, Condition)
    assert bus.events[:-2] == MARKET


def test_an_absent_bus_is_waited_for_and_nothing_is_sent_twice() -> None:
    bus = FakeBus(away=3)
    waits: list[str] = []
    Publisher(bus, Position(run_id="run"), threading.Event(), waits.append).send(MARKET)  # type: ignore[arg-type]
    assert bus.events == MARKET
    assert waits == ["away"] * 3


def test_a_stop_ends_the_waiting() -> None:
    stopping = threading.Event()
    stopping.set()
    with pytest.raises(Unavailable):
        Publisher(FakeBus(away=1), Position(run_id="run"), stopping).send(MARKET)  # type: ignore[arg-type]
