"""A backtest's run: its inputs, what is gathered of it, and which run it is."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from services.backtest import store
from services.backtest.events_engine import fresh_run, play, whole_run
from services.backtest.identity import digests, run_id_of
from services.cdb_ws.sources.replay import Replay
from services.cdb_ws.sources.synthetic import Synthetic
from services.cli.main import claire
from services.kernel.events import Clock, Condition, ConditionName, MarketData, Verdict
from services.reports.observed_result import result_of
from services.reports.run_facts import RunFacts
from tests.unit.backtest.markets import MINUTE_MS, START_MS, bars_file

pytestmark = pytest.mark.unit

RUN = "backtest"


def played(*paths: Path, duration_ms: int = 0, **settings: str) -> RunFacts:
    market = Replay(paths, RUN)
    run = fresh_run(RUN, settings, at=START_MS, source="replay", seed=1, code_version="test")
    return play(run, market, duration_ms).facts()


def backtest(folder: Path, *arguments: str) -> Result:
    environment = {"CLAIRE_HOME": str(folder / "home"), "CDB_ENV_FILE": str(folder / "no.env")}
    return CliRunner().invoke(claire, ["backtest", *arguments], env=environment)


def result(folder: Path, *arguments: str) -> dict[str, Any]:
    done = backtest(folder, *arguments, "--json")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_what_is_gathered_adds_up(tmp_path: Path) -> None:
    facts = played(bars_file(tmp_path))
    found = result_of(facts)

    decisions = found.decisions
    rejected = sum(decisions.rejected.values())
    assert found.signals == decisions.approved + decisions.trimmed + rejected
    assert found.orders == decisions.approved + decisions.trimmed + found.exits
    assert found.trades > 2
    assert found.fills > found.trades
    fills = [r for r in facts.results if r.filled_quantity > 0]
    assert found.fees == sum(fill.fees for fill in fills)
    net = sum(fill.trade.profit_loss for fill in facts.trades)
    opened = sum(
        fill.fees for fill in fills if fill.event_id not in {t.event_id for t in facts.trades}
    )
    if not facts.last or not facts.last.positions:
        assert found.equity_end - found.equity_start == net
    assert opened > 0
    assert facts.ended == f"DATA_OVER: {facts.ticks} ticks"


def test_candles_are_the_bars_that_the_ticks_were_made_from(tmp_path: Path) -> None:
    path = bars_file(tmp_path, minutes=30)
    rows = [line.split(",") for line in path.read_text().splitlines()[1:]]

    candles = played(path).symbols["BTC_USDT"].candles

    assert [candle.minute * MINUTE_MS for candle in candles] == [int(row[0]) for row in rows]
    for candle, row in zip(candles, rows, strict=True):
        assert list(map(float, candle[1:5])) == list(map(float, row[1:5]))
        assert float(candle.volume) == pytest.approx(float(row[5]))


def test_stops_are_noted_from_the_fill_to_the_close(tmp_path: Path) -> None:
    facts = played(bars_file(tmp_path))
    first_fill = next(r for r in facts.results if r.filled_quantity > 0)
    assert facts.stops[0] == (first_fill.timestamp, first_fill.symbol, first_fill.stop_loss_price)
    closed_at = {fill.trade.closed_at for fill in facts.trades}
    ends = [stop.at for stop in facts.stops if stop.price is None]
    assert ends
    assert set(ends) <= closed_at


def test_facts_survive_being_kept(tmp_path: Path) -> None:
    facts = played(bars_file(tmp_path))
    store.save(tmp_path, facts)
    assert store.load(tmp_path, RUN[:4]) == facts
    assert store.load(tmp_path, "last") == facts
    with pytest.raises(store.NoBacktestError, match="last ones are: backtest"):
        store.load(tmp_path, "other")
    (tmp_path / "backtests" / "bad.json.gz").write_bytes(b"x")
    with pytest.raises(store.NoBacktestError, match=r"bad\.json\.gz cannot be read"):
        store.load(tmp_path, "bad")


def test_equal_runs_have_one_hash_and_other_settings_another(tmp_path: Path) -> None:
    path = bars_file(tmp_path)
    first, second = played(path), played(path)
    assert first.decisions_hash == second.decisions_hash
    assert played(path, STOP_LOSS_PCT="0.03").decisions_hash != first.decisions_hash


def test_a_market_of_two_symbols_is_one_account(tmp_path: Path) -> None:
    files = [bars_file(tmp_path), bars_file(tmp_path, "ETHUSDT", seed=2)]
    facts = played(*files)
    assert {result.symbol for result in facts.results} == {"BTC_USDT", "ETH_USDT"}
    assert facts.decisions_hash == played(*reversed(files)).decisions_hash


def test_the_duration_ends_the_market_and_the_run(tmp_path: Path) -> None:
    path = bars_file(tmp_path, minutes=60)
    run = fresh_run(RUN, {}, at=START_MS, source="replay", seed=1, code_version="test")

    events = list(whole_run(run, Replay([path], RUN), 10 * MINUTE_MS))

    ticks = [event for event in events if isinstance(event, MarketData)]
    assert max(tick.timestamp for tick in ticks) == START_MS + 10 * MINUTE_MS - 15_000
    assert events[0] is run
    last = events[-1]
    assert isinstance(last, Condition)
    assert (last.name, last.detail) == (ConditionName.SOURCE_ENDED, f"{len(ticks)} ticks")
    assert last.timestamp == events[-2].timestamp


def test_a_synthetic_duration_is_counted_from_the_first_clock() -> None:
    run = fresh_run(RUN, {}, at=START_MS, source="synthetic", seed=1, code_version="test")
    market = Synthetic(RUN, 1, ("BTC_USDT",), 2)
    events = list(whole_run(run, market, MINUTE_MS))
    clocks = [event.timestamp for event in events if isinstance(event, Clock)]
    assert clocks[-1] < clocks[0] + MINUTE_MS
    assert clocks[-1] >= clocks[0] + MINUTE_MS - 15_000
    assert sum(isinstance(e, MarketData) and e.backfill for e in events) == 40


def test_the_run_id_is_made_of_data_settings_code_and_seed(tmp_path: Path) -> None:
    path = bars_file(tmp_path, minutes=5)
    data = digests([path])
    settings = {"STOP_LOSS_PCT": "0.02", "CDB_DATA": "a.csv"}

    def run_id(**changes: Any) -> str:
        given = {"settings": settings, "data": data, "code_version": "1", "seed": 1} | changes
        return run_id_of(given.pop("settings"), given.pop("data"), **given)

    assert run_id() == run_id(settings=settings | {"CDB_DATA": "elsewhere.csv"})
    others = [
        run_id(settings=settings | {"STOP_LOSS_PCT": "0.03"}),
        run_id(data=digests([bars_file(tmp_path, minutes=6)])),
        run_id(code_version="2"),
        run_id(seed=2),
    ]
    assert len({run_id(), *others}) == 5


def test_the_command_prints_a_result_and_keeps_the_run(tmp_path: Path) -> None:
    path = bars_file(tmp_path)
    found = result(tmp_path, "--data", str(path), "--set", "STOP_LOSS_PCT=0.03")

    assert found["engine"] == "events"
    assert found["source"] == "replay"
    assert found["data"] == [{"name": path.name, "sha256": digests([path])[0].sha256}]
    kept = store.load(tmp_path / "home", found["run_id"])
    assert kept.decisions_hash == found["decisions_hash"]
    assert kept.started.settings["STOP_LOSS_PCT"] == "0.03"
    assert any(decision.verdict is Verdict.APPROVED for decision in kept.decisions)


def test_without_data_the_market_is_synthetic_and_the_command_says_so(tmp_path: Path) -> None:
    options = ("--duration", "2m", "--symbols", "BTC_USDT", "--set", "LOOKBACK_MINUTES=1")
    done = backtest(tmp_path, *options)
    assert done.exit_code == 0, done.output
    assert "no --data: the synthetic market, seed 1" in done.output
    assert "synthetic market, seed 7" in result(tmp_path, *options, "--seed", "7")["synthetic"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--data", "nowhere.csv"), 2, "there is no file nowhere.csv"),
        (("--set", "STOP_LOS=1"), 2, "did you mean STOP_LOSS_PCT"),
        (("--data", "{bars}", "--symbols", "BTC_USDT"), 2, "--symbols is for the synthetic market"),
        (("--instruments", "{bars}"), 2, "--instruments are for --source replay"),
        (("--data", "{bad}"), 1, "name it <exchange>_<symbol>"),
    ],
)
def test_wrong_input_is_one_line(
    tmp_path: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("x")
    names = {"bars": str(bars_file(tmp_path, minutes=3)), "bad": str(bad)}
    done = backtest(tmp_path, *(argument.format(**names) for argument in arguments))
    assert done.exit_code == code
    assert says in done.output
