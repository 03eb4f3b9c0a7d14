"""A recording read again: the same events, in the same order."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from services.cdb_ws.conditions import data_gap, source_ended
from services.cdb_ws.data_error import DataError
from services.cdb_ws.publishing.ticks import TickMaker
from services.cdb_ws.recording import packing, store
from services.cdb_ws.sources.recording import Recording
from services.cdb_ws.sources.synthetic import Synthetic
from services.kernel.events import (
    BarPoint,
    Clock,
    Condition,
    ConditionPhase,
    Event,
    Instruments,
    MarketData,
    MarketDataKind,
)
from services.runtime.bus.encoded import encoded
from tests.unit.cdb_ws.recording.events import (
    BTC,
    ETH,
    MIDNIGHT,
    NOON,
    RUN,
    clock,
    depth,
    details,
    said,
    trade,
)
from tests.unit.cdb_ws.recording.recordings import record, recorder, replayed

pytestmark = pytest.mark.unit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "recording"


def every_kind() -> Iterator[Event]:
    yield details()
    yield trade(NOON - 60_000, backfill=True)
    yield clock(NOON)
    yield trade(NOON + 5)
    yield depth(NOON + 6)
    yield depth(NOON + 6, ETH)
    yield data_gap(RUN, NOON + 7, ConditionPhase.BEGAN, detail="away", unique=1)
    maker = TickMaker(RUN, "mexc", ETH)
    yield maker.make(
        event_id="id", timestamp=NOON + 8, kind=MarketDataKind.MARK, mark_price=Decimal("9.75E+4"),
        index_price=Decimal("97500.00"),
    )  # fmt: skip
    yield maker.make(
        event_id="id", timestamp=NOON + 9, kind=MarketDataKind.FUNDING,
        funding_rate=Decimal("-1E-8"), next_funding_time=MIDNIGHT,
    )  # fmt: skip
    yield data_gap(RUN, NOON + 900, ConditionPhase.CLEARED, detail="back", unique=1)
    yield clock(NOON + 1000)
    yield trade(NOON + 1005, "0.080100", ETH, trade_id=None, side=None)
    yield trade(NOON + 1006, "0.08011", ETH, bar=BarPoint.INSIDE)


def test_every_event_comes_back_with_all_its_digits_and_in_its_order(folder: Path) -> None:
    events = list(every_kind())
    record(folder, events[:4], events[4:])

    again = replayed(folder)

    assert said(again) == said(events)
    assert {event.run_id for event in again} == {"again"}
    assert len({event.event_id for event in again}) == len(again)


def test_an_early_encoded_tick_is_recorded_as_the_tick_it_is(tmp_path: Path) -> None:
    events = list(every_kind())
    record(tmp_path / "plain", events)
    record(tmp_path / "early", [encoded(event) for event in events])

    assert replayed(tmp_path / "early") == replayed(tmp_path / "plain")


def test_the_end_of_the_recorded_run_is_not_the_end_of_the_market(folder: Path) -> None:
    record(folder, [details(), clock(NOON), source_ended(RUN, NOON, "duration"), trade(NOON)])

    assert [type(event) for event in replayed(folder)] == [Instruments, Clock, MarketData]


def test_a_whole_market_is_the_same_byte_for_byte(folder: Path) -> None:
    steps = Synthetic(RUN, 7, (BTC, ETH, "SOL_USDT"), 5).steps(0)
    events = [event for _, event in zip(range(20_000), (event for _, event in steps), strict=False)]
    record(folder, *(events[at : at + 500] for at in range(0, len(events), 500)))

    assert said(replayed(folder)) == said(events)


def test_a_restart_goes_on_behind_any_step(folder: Path) -> None:
    record(folder, list(every_kind()))
    steps = list(Recording([folder], RUN).steps())

    for cursor, _ in steps:
        assert list(Recording([folder], RUN).steps(cursor)) == steps[cursor:]


def test_days_are_folders_and_each_can_be_read_by_itself(folder: Path) -> None:
    gap = data_gap(RUN, MIDNIGHT - 500, ConditionPhase.BEGAN, detail="away", unique=1)
    before = [details(), clock(MIDNIGHT - 1000), trade(MIDNIGHT - 10), gap]
    after = [clock(MIDNIGHT), trade(MIDNIGHT - 5, backfill=True), trade(MIDNIGHT + 5)]
    record(folder, before + after)

    assert [day.name for day in store.days(folder)] == [
        store.day_of(MIDNIGHT - 1), store.day_of(MIDNIGHT),
    ]  # fmt: skip
    assert said(replayed(folder)) == said(before + after)
    assert said(replayed(store.days(folder)[1])) == said([details(), gap, *after])


def test_one_symbol_of_a_day_can_be_played(folder: Path) -> None:
    record(folder, list(every_kind()))
    day = store.days(folder)[0]

    again = replayed(day / ETH)

    assert [type(event) for event in again] == [
        Instruments, Clock, MarketData, Condition, MarketData, MarketData, Condition, Clock,
        MarketData, MarketData,
    ]  # fmt: skip
    assert {event.symbol for event in again if isinstance(event, MarketData)} == {ETH}
    first = again[0]
    assert isinstance(first, Instruments)
    assert [contract.symbol for contract in first.instruments] == [ETH]
    assert replayed(next((day / ETH).glob("events-*.parquet"))) == again


def test_what_was_only_held_while_it_was_recorded_trades_in_a_replay(folder: Path) -> None:
    first, *rest = every_kind()
    assert isinstance(first, Instruments)
    record(folder, [replace(first, universe=(BTC,)), *rest])

    again = replayed(folder)

    assert isinstance(again[0], Instruments)
    assert again[0].universe is None


def test_the_next_session_of_the_same_run_goes_on(folder: Path) -> None:
    events = list(every_kind())
    record(folder, events[:5])
    record(folder, events[5:])

    assert said(replayed(folder)) == said(events)


def test_between_two_runs_is_a_hole_with_clocks_in_it(folder: Path) -> None:
    record(folder, [details(), clock(NOON), trade(NOON + 1)])
    later = NOON + 40_000
    second = [
        details(later, "two"),
        trade(NOON + 1, run_id="two", backfill=True),
        trade(NOON + 20_000, run_id="two", backfill=True),
        clock(later, "two"),
        trade(later + 1, run_id="two"),
    ]
    record(folder, second)

    again = replayed(folder)[3:]

    assert [(type(event), event.timestamp - NOON) for event in again] == [
        (Condition, 0), (Instruments, 40_000), (MarketData, 20_000), (Clock, 15_000),
        (Clock, 30_000), (Clock, 40_000), (Condition, 40_000), (MarketData, 40_001),
    ]  # fmt: skip
    holes = [event for event in again if isinstance(event, Condition)]
    assert [(hole.phase, hole.lost_from, hole.lost_to) for hole in holes] == [
        (ConditionPhase.BEGAN, None, None), (ConditionPhase.CLEARED, NOON, later),
    ]  # fmt: skip


def test_a_run_that_ended_before_its_first_clock_leaves_no_hole_and_no_second_history(
    folder: Path,
) -> None:
    past = [trade(NOON - 2000, backfill=True), trade(NOON - 1000, backfill=True)]
    record(folder, [details(), *past])
    second = [replace(tick, run_id="two") for tick in past]
    record(folder, [details(NOON, "two"), *second, clock(NOON + 1000, "two")])

    assert [type(event) for event in replayed(folder)] == [
        Instruments, MarketData, MarketData, Instruments, Clock,
    ]  # fmt: skip


def test_runs_that_overlap_in_time_are_refused(folder: Path) -> None:
    record(folder, [details(), clock(NOON), trade(NOON + 1)])
    record(folder, [details(NOON - 9000, "two"), clock(NOON - 9000, "two")])

    with pytest.raises(DataError, match="several runs that overlap"):
        replayed(folder)


def test_a_changed_or_missing_file_is_refused(folder: Path) -> None:
    record(folder, list(every_kind()))
    part = next(folder.glob("*/BTC_USDT/events-*.parquet"))
    content = part.read_bytes()

    part.write_bytes(content[:40] + bytes([content[40] ^ 1]) + content[41:])
    with pytest.raises(DataError, match="not what was recorded"):
        replayed(folder)
    part.unlink()
    with pytest.raises(DataError, match="the file is missing"):
        replayed(folder)


def test_what_is_not_packed_yet_is_an_error_that_says_so(folder: Path) -> None:
    writer = recorder(folder)
    writer.events(list(every_kind()))
    writer.close()

    with pytest.raises(DataError, match=r"not packed yet.*--repair"):
        replayed(folder)
    assert packing.pack(folder) == 1
    assert len(replayed(folder)) == len(list(every_kind()))


def test_a_day_of_which_nothing_is_packed_yet_is_missed_too(folder: Path) -> None:
    record(folder, list(every_kind()))
    writer = recorder(folder)
    writer.events([clock(NOON + 86_400_000), trade(NOON + 86_400_000 + 5)])
    writer.close()
    packed_day = next(folder.glob("*/manifest.jsonl")).parent

    with pytest.raises(DataError, match=r"not packed yet.*--repair"):
        replayed(folder)
    assert len(replayed(packed_day)) == len(list(every_kind()))


def test_two_recordings_at_once_are_refused(folder: Path, tmp_path: Path) -> None:
    record(folder, list(every_kind()))
    record(tmp_path / "other", list(every_kind()))

    with pytest.raises(DataError, match="not all of one recording"):
        replayed(folder, tmp_path / "other")
