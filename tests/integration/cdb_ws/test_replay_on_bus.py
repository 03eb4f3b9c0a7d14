"""A recorded market on the real bus: every tick once, whatever is killed in between."""

import itertools
from pathlib import Path

import pytest

from services.cdb_ws.sources.replay import Replay
from services.kernel.events import Clock, Condition, ConditionName, Instruments, MarketData, topics
from tests.bus_builders import run_ended
from tests.integration.cdb_ws.conftest import WsOnBus

pytestmark = pytest.mark.integration


def has_ended(events: list[object]) -> bool:
    return any(isinstance(e, Condition) and e.name is ConditionName.SOURCE_ENDED for e in events)


def test_a_replay_is_published_once_with_its_end(ws: WsOnBus, trades_file: Path) -> None:
    # Given a service that waits for its run
    ws.start(CDB_SOURCE="replay", CDB_DATA=str(trades_file))
    # When the run starts
    run = ws.begin_run("replay")
    events = ws.wait_for(has_ended)
    # Then the bus has exactly what the files say, contract details first, the end last
    expected = [event.event_id for _, event in Replay([trades_file], run.run_id).steps(0)]
    assert [event.event_id for event in events[:-1]] == expected
    assert isinstance(events[0], Instruments)
    assert "600 ticks" in events[-1].detail
    assert sum(isinstance(event, MarketData) for event in events) == 600


@pytest.mark.chaos
def test_a_killed_service_goes_on_where_it_stopped(ws: WsOnBus, trades_file: Path) -> None:
    # Given a replay in real time that is killed twice while it runs
    run = ws.begin_run("replay", speed="30")
    for limit in (50, 250):
        process = ws.start(CDB_SOURCE="replay", CDB_DATA=str(trades_file), CDB_SPEED="30")
        ws.wait_for(lambda events, limit=limit: len(events) > limit)
        process.kill()
        process.wait(10)
    # When a third one takes over
    ws.start(CDB_SOURCE="replay", CDB_DATA=str(trades_file))
    events = ws.wait_for(has_ended)
    # Then nothing is missing and nothing is there twice
    expected = [event.event_id for _, event in Replay([trades_file], run.run_id).steps(0)]
    assert [event.event_id for event in events[:-1]] == expected


def test_the_end_of_the_run_stops_the_market(ws: WsOnBus, trades_file: Path) -> None:
    # Given a replay that would take two minutes
    process = ws.start(CDB_SOURCE="replay", CDB_DATA=str(trades_file), CDB_SPEED="1")
    ws.begin_run("replay", speed="1")
    ws.wait_for(lambda events: len(events) > 10)
    # When the run ends
    ws.runner.publish([run_ended()])
    # Then no more ticks come, and SIGTERM ends the service in order
    counts = (len(ws.published()) for _ in itertools.count())
    ws.wait_for(lambda _: next(counts) == next(counts))
    process.terminate()
    assert process.wait(10) == 0
    assert not has_ended(ws.published())


def test_a_synthetic_market_is_the_same_for_the_same_seed(ws: WsOnBus) -> None:
    # Given and when
    ws.start(CDB_SOURCE="synthetic")
    ws.begin_run("synthetic", CDB_DURATION="60", SYMBOL_WHITELIST="BTC_USDT,ETH_USDT")
    events = ws.wait_for(has_ended)
    # Then history comes first, then a minute with strictly increasing clocks
    clocks = [event.timestamp for event in events if isinstance(event, Clock)]
    assert clocks == sorted(set(clocks))
    assert clocks[-1] < clocks[0] + 60_000
    ticks = [event for event in events if isinstance(event, MarketData)]
    assert {tick.symbol for tick in ticks} == {"BTC_USDT", "ETH_USDT"}
    history = [tick for tick in ticks if tick.backfill]
    assert len(history) == 15 * 20 * 2
    assert all(tick.timestamp < clocks[0] for tick in history)


def test_a_market_waits_while_the_writer_is_far_behind(ws: WsOnBus) -> None:
    # Given a flooding market and a writer that takes nothing
    ws.start(CDB_SOURCE="synthetic")
    ws.begin_run("synthetic")
    # When the bus has far more than the writer took
    deadline = itertools.count()
    while ws.runner.head() < 40_000:
        assert next(deadline) < 100_000
    # Then it stands still until the writer goes on
    seen: list[int] = []
    while len(seen) < 20 or seen[-1] != seen[-20]:
        seen.append(ws.runner.head())
        assert len(seen) < 100_000
    held = seen[-1]
    ws.acknowledge()
    while ws.runner.head() <= held:
        assert next(deadline) < 1_000_000
    assert ws.runner.cursor_of(topics.DB_WRITER).seq == held
