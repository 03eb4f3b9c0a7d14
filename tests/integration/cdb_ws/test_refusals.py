"""What the service refuses: at its start with one line, later on the record."""

import subprocess
from decimal import Decimal
from pathlib import Path

import pytest

from services.cdb_ws.sources.files.csv_files import SORT_WINDOW_ROWS
from services.kernel.events import Alert, Condition, MarketData, topics
from services.runtime.bus import recovery
from tests.integration.cdb_ws.conftest import WsOnBus

pytestmark = pytest.mark.integration
HEADER = "ts_ms,price,qty,side"
T = 1_700_000_000_000


def refusal(process: "subprocess.Popen[str]") -> str:
    """The one line on stderr of a service that ends with exit code 1."""
    _, reported = process.communicate(timeout=20)
    assert process.returncode == 1
    assert reported.count("\n") == 1
    return reported


def test_a_replay_without_files_names_the_variable(ws: WsOnBus) -> None:
    assert "CDB_DATA is not set" in refusal(ws.start(CDB_SOURCE="replay"))


def test_wrong_columns_are_reported_with_file_and_line(ws: WsOnBus, tmp_path: Path) -> None:
    path = tmp_path / "x-spot_BTCUSDT_trades.csv"
    path.write_text(f"time,price,qty\n{T},1,1\n")
    reported = refusal(ws.start(CDB_SOURCE="replay", CDB_DATA=str(path)))
    assert f"{path} line 1: column(s) ts_ms, side missing" in reported


def test_a_fault_in_the_middle_ends_the_market_on_the_record(ws: WsOnBus, tmp_path: Path) -> None:
    # Given a file that is in order for 3000 rows, and in disorder after them
    path = tmp_path / "x-spot_BTCUSDT_trades.csv"
    rows = [f"{T + number},1.5,1,buy" for number in range(3000)]
    rows += [f"{T},1.5,1,buy"] * (SORT_WINDOW_ROWS + 1)
    path.write_text("\n".join((HEADER, *rows, "")))
    # When it is replayed
    ws.start(CDB_SOURCE="replay", CDB_DATA=str(path))
    ws.begin_run("replay")
    # Then what came before the fault is published, and the fault with file and line
    events = ws.wait_for(lambda events: any(isinstance(e, Condition) for e in events))
    alert = next(event for event in events if isinstance(event, Alert))
    assert alert.code == "SOURCE_FAILED"
    assert f"{path} line 3002: its time" in alert.message
    assert sum(isinstance(event, MarketData) for event in events) > 2000


def test_a_row_older_than_the_stale_timeout_is_a_dead_letter_and_the_market_goes_on(
    ws: WsOnBus, tmp_path: Path
) -> None:
    # Given one row that is a minute too old, beyond the sort window
    path = tmp_path / "x-spot_BTCUSDT_trades.csv"
    rows = [f"{T + number * 100},1.5,1,buy" for number in range(3000)]
    rows.insert(2000, f"{T},2.5,1,buy")
    path.write_text("\n".join((HEADER, *rows, "")))
    # When
    ws.start(CDB_SOURCE="replay", CDB_DATA=str(path))
    ws.begin_run("replay")
    # Then
    events = ws.wait_for(lambda events: any(isinstance(e, Condition) for e in events))
    ticks = [event for event in events if isinstance(event, MarketData)]
    assert [tick.price for tick in ticks] == [Decimal("1.5")] * 3000
    with ws.server.admin() as admin:
        [(_, letter)] = admin.xrange(f"cdb:dead:{topics.WS}")
    assert (letter[b"reason"], letter[b"topic"]) == (b"TIME_BEHIND", b"market_data")
    assert b'"price":"2.5"' in letter[b"body"]


@pytest.mark.chaos
def test_data_without_the_last_recorded_event_is_reported_with_file_event_and_remedy(
    ws: WsOnBus, trades_file: Path
) -> None:
    # Given a recovered bus that says behind which event the market goes on, and another file
    run = ws.begin_run("replay")
    with ws.server.admin() as admin:
        place = recovery.place_behind(run.run_id, "event-of-another-file")
        admin.hset(f"cdb:cursor:{topics.WS}", "position", place)
    # When the service is started
    reported = refusal(ws.start(CDB_SOURCE="replay", CDB_DATA=str(trades_file)))
    # Then it says what is missing where and what to do, and the run's market has not ended
    assert f"{trades_file} (CDB_DATA) has no event event-of-another-file" in reported
    assert run.run_id in reported
    assert "claire run-paper --fresh" in reported
    assert ws.published() == []


def test_nothing_is_published_before_a_run(ws: WsOnBus, trades_file: Path) -> None:
    process = ws.start(CDB_SOURCE="replay", CDB_DATA=str(trades_file))
    ws.wait_for(lambda _: int(ws.cursor_field("instance") or 0) == 1)
    process.terminate()
    assert process.wait(10) == 0
    assert ws.published() == []
