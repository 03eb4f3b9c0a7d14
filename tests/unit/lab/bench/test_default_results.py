"""What the default settings make of a file: played through the real stages, counted and summed."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from services.cdb_ws.data_error import DataError
from services.cli.main import claire
from services.kernel.execution import open_orders
from services.lab.bench.default_results import FileResult, market_files, play

pytestmark = pytest.mark.unit

T = 1_700_000_040_000
NAME = "x-spot_BTCUSDT_klines_1m.csv"


def bars(folder: Path, closes: list[str], name: str = NAME) -> Path:
    """Minute bars that open at the close before; 10,000 coins a minute."""
    path, before = folder / name, closes[0]
    lines = ["ts_ms,open,high,low,close,volume"]
    for minute, close in enumerate(closes):
        high, low = max(before, close, key=Decimal), min(before, close, key=Decimal)
        lines.append(f"{T + minute * 60_000},{before},{high},{low},{close},10000")
        before = close
    path.write_text("\n".join(lines) + "\n")
    return path


def up_and_down(folder: Path, name: str = NAME) -> Path:
    """Half an hour at 100, up to 102, and there until that is no move any more."""
    return bars(folder, ["100.00"] * 30 + ["101.50", "101.80"] + ["102.00"] * 25, name)


def rates(folder: Path, name: str = "x-spot_BTCUSDT_funding.csv") -> Path:
    path = folder / name
    path.write_text(f"ts_ms,rate\n{T // 28_800_000 * 28_800_000 + 28_800_000},0.0001\n")
    return path


def test_a_run_on_a_file_is_counted_and_its_sums_add_up(tmp_path: Path) -> None:
    result = play([up_and_down(tmp_path)], {})

    assert (result.ticks, result.entry_signals, result.entries, result.exits) == (228, 1, 1, 1)
    assert result.refused == {}
    assert result.costs.fees > 0
    assert result.costs.spread > 0
    assert result.costs.impact > 0
    assert result.paid == result.costs.fees + result.costs.spread + result.costs.impact
    assert result.paid_pct == result.paid / 100_000
    assert result.equity == 100_000 + result.net
    assert (result.halted_at, result.problem, result.broken) == (None, None, {})
    # What is not cost is the market's move between the middle prices of both fills.
    assert result.drift["entries"].notional > 0
    assert result.drift["stops"].bp is None


def test_settings_may_differ_from_the_defaults(tmp_path: Path) -> None:
    path = up_and_down(tmp_path)
    assert play([path], {"SIGNAL_THRESHOLD_PCT": "0.05"}).entry_signals == 0
    refused = play([path], {"MAX_COST_SHARE": "0.05"})
    assert (refused.entries, refused.refused) == (0, {"COST_TOO_HIGH": 1})


def test_a_halt_is_named_with_its_time(tmp_path: Path) -> None:
    closes = ["100.00"] * 30 + ["102.00"] * 2 + ["80.00"] * 40
    result = play(
        [bars(tmp_path, closes)],
        {"MAX_DAILY_DRAWDOWN_PCT": "0.01", "MAX_PRICE_JUMP_PCT": "0.30"},
    )

    assert result.halted_for == "DAILY_DRAWDOWN"
    assert result.halted_at is not None
    assert T < result.halted_at < T + 72 * 60_000
    assert result.max_drawdown_pct > Decimal("0.01")
    assert result.drift["stops"].bp == 0  # crossed within a bar, a stop is filled at its trigger


def test_a_stop_that_breaks_its_promise_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_orders, "stop_price", lambda *_, **__: Decimal(1))
    assert play([up_and_down(tmp_path)], {}).broken == {"STOPS": 2}


def test_a_folder_is_one_run_for_each_file_with_prices(tmp_path: Path) -> None:
    btc, eth = up_and_down(tmp_path), up_and_down(tmp_path, "x-spot_ETHUSDT_klines_1m.csv")
    funding = rates(tmp_path)
    (tmp_path / "notes.txt").write_text("no data")
    (tmp_path / "notes.csv").write_text("no name")

    assert market_files(tmp_path) == [(btc, funding), (eth,)]


def test_a_folder_without_prices_is_refused(tmp_path: Path) -> None:
    rates(tmp_path)
    with pytest.raises(DataError, match="no file of trades or bars"):
        market_files(tmp_path)


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(claire, ["bench", "defaults", *map(str, arguments)])


def test_the_command_prints_a_table_json_or_markdown(tmp_path: Path) -> None:
    up_and_down(tmp_path)
    bars(tmp_path, ["1"], "okx-swap_BTCUSDT_klines_1m.csv")

    shown = command("--data", tmp_path)
    written = command("--data", tmp_path, "--markdown")
    reported = command(
        "--data", tmp_path, "--json", "--only", "x-spot", "--set", "MAX_COST_SHARE=0.05"
    )

    assert shown.exit_code == written.exit_code == reported.exit_code == 0, shown.output
    assert "x-spot_BTCUSDT_klines_1m" in shown.output
    assert "not played: " in shown.output
    assert "| x-spot_BTCUSDT_klines_1m |" in written.output
    assert "- not played: " in written.output
    (file,) = json.loads(reported.output.splitlines()[-1])["files"]
    assert (file["entries"], file["refused"]) == (0, {"COST_TOO_HIGH": 1})
    assert file["fill_drift_bp"] == {"entries": None, "exits": None, "stops": None}


def test_the_command_says_what_is_wrong_with_its_input(tmp_path: Path) -> None:
    assert "no file of trades or bars" in command("--data", tmp_path).output
    assert command("--data", tmp_path / "none").exit_code == 2
    assert command().exit_code == 2


def test_a_file_that_was_not_played_has_no_share() -> None:
    assert FileResult(file="x").paid_pct == 0
