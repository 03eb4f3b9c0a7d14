"""What a restarted live market reads in its journal: last ticks and open gaps."""

import pytest
from msgspec.structs import replace

from services.cdb_ws.conditions import data_gap
from services.cdb_ws.publishing import ticks
from services.cdb_ws.publishing.ticks import TickMaker
from services.cdb_ws.replay.past import Past
from services.kernel.events import (
    SCHEMA_VERSION,
    Clock,
    Condition,
    ConditionName,
    ConditionPhase,
    MarketData,
    MarketDataKind,
    Recovered,
)
from services.kernel.market.run_watch import OpenConditions, RunWatch
from tests.bus_builders import run_started

pytestmark = pytest.mark.unit
T = 1_700_000_000_000
BEGAN, CLEARED = ConditionPhase.BEGAN, ConditionPhase.CLEARED
TRADE, MARK = MarketDataKind.TRADE, MarketDataKind.MARK


def tick(number: int, kind: MarketDataKind = TRADE, symbol: str = "BTC_USDT") -> MarketData:
    maker = TickMaker("run", "mexc", symbol)
    return maker.make(event_id=str(number), timestamp=T + number, kind=kind)


def clock(number: int) -> Clock:
    return ticks.clock("run", T + number)


def recovered(number: int) -> Recovered:
    return Recovered(
        event_id="r", run_id="run", producer="cdb_db_writer", schema_version=SCHEMA_VERSION,
        timestamp=T + number, causation_id=None, correlation_id=None,
        epoch="next", lost_from=1, lost_to=2,
    )  # fmt: skip


def gap(phase: ConditionPhase, symbol: str | None) -> Condition:
    return data_gap("run", T, phase, detail="", unique=0, symbol=symbol)


def test_trades_and_the_first_sign_of_each_symbol_are_kept() -> None:
    past = Past("run", OpenConditions())
    for event in (tick(1, MARK), tick(2, MARK), tick(3), tick(4, MARK, "ETH_USDT"), tick(5)):
        past.add(event)
    assert [event.timestamp - T for event in past.ticks] == [1, 3, 4, 5]


def test_other_runs_and_other_producers_are_left_out() -> None:
    past = Past("run", OpenConditions())
    past.add(replace(tick(1), run_id="other"))
    past.add(replace(tick(2), producer="cdb_risk"))
    past.add(replace(gap(BEGAN, "X_USDT"), run_id="other"))
    assert (past.ticks, past.uncertain_symbols) == ([], ())


def test_gaps_that_have_not_cleared_are_open() -> None:
    past = Past("run", OpenConditions(["OLD_USDT", "DONE_USDT"]))
    for event in (gap(BEGAN, "A_USDT"), gap(CLEARED, "DONE_USDT"), gap(BEGAN, None)):
        past.add(event)
    assert past.uncertain_symbols == ("A_USDT", "OLD_USDT")


def test_it_is_cut_off_where_recovered_follows_its_last_event() -> None:
    past = Past("run", OpenConditions())
    past.add(clock(1))
    assert not past.cut_off
    past.add(recovered(2))
    assert (past.cut_off, past.clock_ms) == (True, T + 2)
    past.add(gap(CLEARED, None))
    assert not past.cut_off, "a later event shows that the loss was reported"


def test_the_run_watch_keeps_the_open_gaps_across_a_snapshot_and_forgets_them_with_the_run() -> (
    None
):
    # Given
    watch = RunWatch()
    watch.handle(run_started())
    for event in (gap(BEGAN, "A_USDT"), gap(BEGAN, "B_USDT"), gap(CLEARED, "A_USDT")):
        watch.handle(event)
        watch.handle(replace(event, name=ConditionName.CLOCK_OFFSET))
    watch.handle(replace(gap(BEGAN, None), name=ConditionName.CLOCK_OFFSET))
    # When
    again = RunWatch()
    again.restore(watch.snapshot())
    # Then
    assert again.open.gaps == {"B_USDT"}
    assert again.open.clock_offsets == {"", "B_USDT"}
    again.handle(replace(run_started(), run_id="next"))
    assert len(again.open.gaps | again.open.clock_offsets) == 0
