"""The verbs of `claire data`: what they say, and with which exit code."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from services.cdb_ws.recording import store, write_ahead_log
from services.cdb_ws.sources.markets import open_market
from services.cli.data.data import data
from services.cli.data.record import record as record_command
from services.kernel.events import MarketData
from tests.unit.cdb_ws.recording.events import NOON, clock, details, trade
from tests.unit.cdb_ws.recording.recordings import record, recorder

pytestmark = pytest.mark.unit

TRADES = f"ts_ms,price,qty,side\n{NOON},1.5,2,buy\n{NOON + 1},1.6,2,sell\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLAIRE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "home"


def claire(*arguments: str | Path) -> Result:
    return CliRunner().invoke(data, [str(argument) for argument in arguments])


def last_line(done: Result) -> dict[str, object]:
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def source(folder: Path, name: str = "x-spot_BTCUSDT_trades.csv", text: str = TRADES) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_what_is_imported_is_listed(tmp_path: Path, home: Path) -> None:
    done = claire("import", source(tmp_path), "--json")
    assert done.exit_code == 0, done.output
    folder = home / "data" / "x-spot_BTC_USDT_trades"
    assert last_line(done) == {
        "imported": [
            {"data_set": str(folder), "accepted": 2, "skipped": {}, "days": 1, "known": 0},
        ]
    }  # fmt: skip

    listed = claire("ls", "--json")
    assert last_line(listed)["data"][0]["rows"] == 2  # type: ignore[index]
    assert "x-spot_BTC_USDT_trades" in claire("ls").output


def test_nothing_there_is_said_with_what_to_do(home: Path) -> None:
    done = claire("ls")
    assert done.exit_code == 0
    assert f"no data in {home / 'data'}" in done.output
    assert "claire record" in done.output


def test_a_name_that_reports_nothing_needs_options(tmp_path: Path) -> None:
    path = source(tmp_path, "prices.csv")
    done = claire("import", path)
    assert done.exit_code == 2
    assert "--exchange, --symbol and --kind" in done.output

    given = ("--exchange", "x-spot", "--symbol", "btc/usdt", "--kind", "trades")
    assert claire("import", path, *given).exit_code == 0


def test_an_unknown_venue_needs_its_unit(tmp_path: Path) -> None:
    path = source(tmp_path, "okx-swap_BTCUSDT_trades.csv")
    done = claire("import", path)
    assert done.exit_code == 2
    assert "is not known: say --volume-unit" in done.output
    assert claire("import", path, "--volume-unit", "base").exit_code == 0


@pytest.mark.parametrize(
    ("options", "volume"),
    [((), 4 * 100), (("--contract-size", "10"), 4 * 10), (("--volume-unit", "quote"), 4 * 100)],
)
def test_a_known_contract_needs_nothing(
    tmp_path: Path, home: Path, options: tuple[str, ...], volume: int
) -> None:
    text = f"ts_ms,price,qty,side\n{NOON},20000,4,buy\n"
    path = source(tmp_path, "binance-coinm_BTCUSD_trades.csv", text)
    assert claire("import", path, *options).exit_code == 0
    replay = open_market([home / "data" / "binance-coinm_BTC_USD_trades"], "run")
    (tick,) = [event for _, event in replay.steps(0) if isinstance(event, MarketData)]
    assert tick.volume == Decimal(volume) / 20_000
    assert replay.contracts[0].contract_size == 100


def test_contracts_need_their_size(tmp_path: Path) -> None:
    path = source(tmp_path, "mexc-perp_BTC_USDT_trades.csv")
    done = claire("import", path)
    assert done.exit_code == 2
    assert "--contract-size" in done.output
    assert claire("import", path, "--contract-size", "0").exit_code == 2
    assert claire("import", path, "--contract-size", "0.0001").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--columns", "ts_ms"), "write NAME=NAME"),
        (("--columns", "qty=amount"), "no column 'amount' for qty"),
        (("--kind", "klines"), "like 1m, 5m or 1h"),
    ],
)
def test_wrong_options_are_reported(
    tmp_path: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    done = claire("import", source(tmp_path), *arguments)
    assert done.exit_code in (1, 2)
    assert complaint in done.output


def test_check_has_exit_code_one_when_something_is_wrong(tmp_path: Path, home: Path) -> None:
    claire("import", source(tmp_path))
    sound = claire("check", home / "data")
    assert (sound.exit_code, "sound" in sound.output) == (0, True)

    day = next(home.glob("data/*/*.parquet"))
    day.write_bytes(day.read_bytes() + b" ")
    done = claire("check", home / "data", "--json")
    assert done.exit_code == 1
    report = last_line(done)["checked"][0]  # type: ignore[index]
    assert report["sound"] is False
    assert "fetch or import it again" in report["wrong"][0]
    assert "not sound" in claire("check", home / "data").output


def test_repair_packs_what_a_killed_recorder_left(tmp_path: Path) -> None:
    folder = tmp_path / "recording"
    writer = recorder(folder)
    writer.events([details(), clock(NOON), trade(NOON + 1)])
    writer.close()
    full = write_ahead_log.full_segments(folder)[0]
    full.rename(full.with_suffix(write_ahead_log.OPEN_SUFFIX))

    done = claire("check", folder, "--repair")

    assert done.exit_code == 0, done.output
    assert "1 unfinished, 1 packed" in done.output
    assert len(store.days(folder)) == 1


def test_repair_is_for_recordings(tmp_path: Path) -> None:
    done = claire("check", source(tmp_path), "--repair")
    assert done.exit_code == 2
    assert "is no recording" in done.output


def test_a_folder_of_neither_is_refused(tmp_path: Path) -> None:
    done = claire("check", tmp_path)
    assert done.exit_code == 2
    assert "neither recordings nor data sets" in done.output


def test_recordings_are_listed_by_symbol(home: Path) -> None:
    record(home / "recordings", [details(), clock(NOON), trade(NOON + 1)])
    found = last_line(claire("ls", "--json"))["data"]
    assert [(one["symbol"], one["rows"]) for one in found] == [  # type: ignore[attr-defined]
        ("BTC_USDT", 1), ("clock, contracts, conditions", 2),
    ]  # fmt: skip


def test_fetch_of_the_wrong_days_is_refused() -> None:
    done = claire("fetch", "BTC_USDT", "--since", "2026-02-01", "--until", "2026-01-01")
    assert (done.exit_code, "is after" in done.output) == (2, True)
    assert claire("fetch", "BTC_USDT", "--days", "2", "--since", "2026-02-01").exit_code == 2


def test_fetch_from_nowhere_says_so_and_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.datasets.fetching.ATTEMPTS", 1)
    done = claire("fetch", "BTC_USDT", "--days", "1", "--rest-url", "http://127.0.0.1:9")
    assert done.exit_code == 1
    assert "run the command again to go on" in done.output


def test_a_folder_that_somebody_records_into_is_not_taken(tmp_path: Path) -> None:
    writer = recorder(tmp_path / "busy")
    done = CliRunner().invoke(record_command, ["--to", str(tmp_path / "busy")])
    writer.close()
    assert done.exit_code == 1
    assert "another process is busy with it" in done.output
