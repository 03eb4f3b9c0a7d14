"""Checks of recordings and data files: each kind of damage is found and named."""

from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from services.cdb_ws.conditions import data_gap
from services.cdb_ws.recording import store
from services.datasets.check import Report, check
from services.datasets.coverage import coverage
from services.kernel.events import ConditionPhase, Event, MarketDataKind
from tests.unit.cdb_ws.recording.events import (
    BTC,
    ETH,
    MIDNIGHT,
    NOON,
    RUN,
    clock,
    depth,
    details,
    trade,
)
from tests.unit.cdb_ws.recording.recordings import record, recorder

pytestmark = pytest.mark.unit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "recording"


def quiet_second(number: int) -> list[Event]:
    at = NOON + number * 1000
    return [clock(at), trade(at + 1, trade_id=str(number + 1)), depth(at + 2, ETH)]


def minute(seconds: int = 10) -> list[Event]:
    return [details(), *(event for second in range(seconds) for event in quiet_second(second))]


def file_check(tmp_path: Path, name: str, *lines: str) -> Report:
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n")
    return check(path)


def test_a_sound_recording_is_sound(folder: Path) -> None:
    record(folder, minute())
    found = check(folder)
    assert (found.sound, found.rows, found.holes, dict(found.odd)) == (True, 31, [], {})


def test_a_changed_file_is_found(folder: Path) -> None:
    record(folder, minute())
    part = next(folder.glob(f"*/{BTC}/events-*.parquet"))
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    wrong = check(folder).wrong
    assert "its content is not what was recorded" in wrong[0]
    assert "10 of 31 events of segment 1 are missing" in wrong[1]


def test_a_missing_file_and_a_stray_one_are_found(folder: Path) -> None:
    record(folder, minute())
    part = next(folder.glob(f"*/{BTC}/events-*.parquet"))
    part.rename(part.with_name("events-000009.parquet"))
    wrong = "\n".join(check(folder).wrong)
    assert "the file is missing" in wrong
    assert "events-000009.parquet: it is in no manifest" in wrong


def test_a_damaged_manifest_is_found(folder: Path) -> None:
    record(folder, minute())
    manifest = store.days(folder)[0] / store.MANIFEST
    manifest.write_text("{}\n" + manifest.read_text())
    assert "line 1: it is damaged" in check(folder).wrong[0]


@pytest.mark.parametrize(
    ("event", "complaint"),
    [
        (trade(NOON + 9100, "-1", trade_id="99"), "price is -1"),
        (trade(NOON + 9100, volume=Decimal(0), trade_id="99"), "volume is 0"),
        (trade(NOON, trade_id="1"), "comes after one at"),
        (trade(NOON + 9001, trade_id="10"), "trade 10 is there twice"),
        (replace(depth(NOON + 1000), bid=Decimal(3)), "bid 3 above ask 1.10"),
        (
            replace(depth(NOON), kind=MarketDataKind.MARK, mark_price=Decimal(0)),
            "mark_price is 0",
        ),
        (clock(NOON + 9000), "clock 1789992009000 after 1789992009000"),
    ],
)
def test_what_cannot_be_is_wrong(folder: Path, event: Event, complaint: str) -> None:
    record(folder, [*minute(), event])
    found = check(folder)
    assert len(found.wrong) == 1
    assert complaint in found.wrong[0]


def test_what_is_unlikely_is_counted(folder: Path) -> None:
    record(
        folder,
        [*minute(), trade(NOON + 9100, "160", trade_id="99"), trade(NOON - 1, backfill=True)],
    )
    found = check(folder)
    assert found.sound
    assert dict(found.odd) == {"jump": 1, "backfilled": 1}


def test_holes_are_listed_with_their_bounds(folder: Path) -> None:
    cleared = data_gap(RUN, NOON + 9500, ConditionPhase.CLEARED, detail="reconnected", unique=1)
    gap = replace(cleared, symbol=BTC, lost_from=NOON + 5000, lost_to=NOON + 8000)
    goes_on = data_gap(
        RUN, NOON + 9400, ConditionPhase.BEGAN, detail="leaks", unique=2, symbol=BTC,
        lost=(NOON + 1000, NOON + 2000),
    )  # fmt: skip
    record(folder, [*minute(), goes_on, gap, clock(NOON + 60_000), clock(NOON + 61_000)])
    record(
        folder, [details(MIDNIGHT, "two"), clock(MIDNIGHT, "two"), clock(MIDNIGHT + 1000, "two")]
    )

    found = check(folder)

    assert found.sound
    assert [(one.symbol, one.from_ms - NOON, one.to_ms - NOON, one.why) for one in found.holes] == [
        (BTC, 1000, 2000, "leaks"),
        (BTC, 5000, 8000, "reconnected"),
        ("", 9000, 60_000, "no clock"),
        ("", 61_000, 43_200_000, "nothing was recorded"),
    ]


def test_what_is_not_packed_is_said(folder: Path) -> None:
    writer = recorder(folder)
    writer.events(minute())
    writer.close()
    assert check(folder).odd == {"segment not packed": 1}
    assert coverage(folder)[0].waiting > 1000


def test_data_files_are_checked_row_by_row(tmp_path: Path) -> None:
    header = "ts_ms,open,high,low,close,volume"
    rows = [f"{NOON + minute * 60_000},1,1,1,1,5" for minute in (0, 1, 3, 3, 4)]
    found = file_check(tmp_path, "x_BTCUSDT_klines_1m.csv", header, *rows, f"{NOON},1,2,3,1,5")
    assert found.wrong == [f"line 5: a second row of {NOON + 180_000}"]
    assert [(hole.from_ms - NOON, hole.to_ms - NOON) for hole in found.holes] == [(60_000, 180_000)]
    assert dict(found.odd) == {"high_below_low": 1}


def test_a_file_in_disorder_is_wrong(tmp_path: Path) -> None:
    rows = [f"{NOON + number},1,1,buy" for number in range(1100)]
    found = file_check(
        tmp_path, "x_BTCUSDT_trades.csv", "ts_ms,price,qty,side", *rows, f"{NOON},1,1,buy"
    )
    assert "sort the file by ts_ms" in found.wrong[0]


def test_coverage_reports_from_when_to_when_and_how_many_holes(folder: Path) -> None:
    gap = replace(data_gap(RUN, NOON, ConditionPhase.BEGAN, detail="away", unique=1), symbol=ETH)
    record(folder, [*minute(), gap], [clock(MIDNIGHT), trade(MIDNIGHT + 5)])

    found = {one.symbol: one for one in coverage(folder.parent)}

    assert (found[BTC].days, found[BTC].rows, found[BTC].holes) == (2, 11, 0)
    assert (found[BTC].first_ms, found[BTC].last_ms) == (NOON + 1, MIDNIGHT + 5)
    assert (found[ETH].days, found[ETH].holes) == (1, 1)
