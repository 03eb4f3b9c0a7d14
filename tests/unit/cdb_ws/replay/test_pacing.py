"""The pace of a recorded market, on a clock that the test moves."""

import pytest

from services.cdb_ws.publishing import ticks
from services.cdb_ws.publishing.ticks import TickMaker
from services.cdb_ws.replay.pacing import BATCH_STEPS, FloodPace, LockStepPace, TimedPace
from services.cdb_ws.sources.recorded import Step
from services.kernel.events import Event, MarketDataKind

pytestmark = pytest.mark.unit
T = 1_700_000_000_000


def tick(at: int) -> Event:
    maker = TickMaker("run", "x", "BTC_USDT")
    return maker.make(event_id=f"{at}", timestamp=T + at, kind=MarketDataKind.TRADE)


def steps(*events: Event) -> list[Step]:
    return list(enumerate(events, 1))


class Wall:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def wait(self, seconds: float) -> None:
        self.now += seconds


def clock(at: int) -> Event:
    return ticks.clock("run", T + at)


@pytest.mark.parametrize(("speed", "seconds"), [(1.0, 30.0), (60.0, 0.5)])
def test_events_come_at_their_time_over_the_speed(speed: float, seconds: float) -> None:
    wall = Wall()
    pace = TimedPace(speed, wall.wait, lambda: wall.now)
    market = steps(clock(0), tick(0), clock(30_000), tick(30_500))
    seen = [
        (step[1].timestamp - T, wall.now - 1000) for b in pace.batches(iter(market)) for step in b
    ]
    assert [at for at, _ in seen] == [0, 0, 30_000, 30_500]
    assert seen[1][1] == 0
    assert seen[2][1] == pytest.approx(seconds, abs=0.01)
    assert seen[3][1] == pytest.approx(30.5 / speed, abs=0.01)


def test_what_is_due_comes_together_and_history_at_once() -> None:
    wall = Wall()
    pace = TimedPace(1.0, wall.wait, lambda: wall.now)
    market = steps(tick(-900_000), tick(-1), clock(0), tick(0), tick(5000))
    batches = [len(batch) for batch in pace.batches(iter(market)) if batch]
    assert batches == [4, 1]


def test_after_a_long_pause_the_market_goes_on_at_its_pace() -> None:
    # Given a machine that slept for an hour after the first clock
    wall = Wall()
    pace = TimedPace(1.0, wall.wait, lambda: wall.now)
    market = steps(clock(0), clock(1000), clock(2000), clock(3000))
    batches = pace.batches(iter(market))
    assert next(batch for batch in batches if batch)
    wall.now += 3600
    # When it goes on, then what was due comes, and the rest second by second
    seen = [wall.now for batch in batches for _ in batch]
    assert seen[-1] - seen[0] == pytest.approx(2.0, abs=0.05)


class Stages:
    """Stands for the stages: says how often it has still to be asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.busy = 0

    def wait_idle(self, timeout: float) -> bool:
        assert timeout > 0
        self.asked += 1
        self.busy -= 1
        return self.busy < 0


def test_lock_step_goes_one_by_one_after_the_history() -> None:
    stages = Stages()
    pace = LockStepPace(stages)  # type: ignore[arg-type]
    market = steps(tick(-2), tick(-1), clock(0), tick(0), tick(1))
    sizes = []
    for batch in pace.batches(iter(market)):
        sizes.append(len(batch))
        stages.busy = 2
        while not pace.settled():
            pass
    assert sizes == [2, 1, 1, 1]
    assert stages.asked == 4 * 3


def test_a_flood_comes_in_batches_of_several_hundred() -> None:
    pace = FloodPace()
    market = steps(*(tick(n) for n in range(BATCH_STEPS + 3)))
    assert [len(batch) for batch in pace.batches(iter(market))] == [BATCH_STEPS, 3]
    assert pace.settled()
