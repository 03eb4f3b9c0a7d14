"""The engine fast: the same facts as the engine events, from fewer rows."""

import ast
import inspect
from collections import Counter
from pathlib import Path
from random import Random

import msgspec
import pytest

from services.backtest import events_engine, fast_engine
from services.backtest.events_engine import fresh_run
from services.backtest.fast_engine import FastEngine, play_on
from services.cdb_paper_runner import orchestration
from services.cdb_ws.sources.replay import Replay
from services.kernel.events import OrderStatus, Origin
from services.kernel.execution import stage as execution_stage
from services.kernel.market import prices
from services.kernel.matching import fills
from services.kernel.portfolio import quiet
from services.kernel.portfolio import stage as portfolio_stage
from services.kernel.reasons import Reason
from services.kernel.risk import stage as risk_stage
from services.kernel.risk.state import symbol_health
from services.kernel.strategies import stage as signal_stage
from services.reports import run_observer
from services.reports.run_facts import RunFacts
from tests.unit.backtest.markets import MINUTE_MS, START_MS, bars_file

pytestmark = pytest.mark.unit

RUN = "backtest"


def both(
    paths: list[Path], *, chunk_rows: int = 997, **settings: str
) -> tuple[RunFacts, RunFacts, FastEngine]:
    """The facts of one run by the engines events and fast, and the latter."""
    run = fresh_run(RUN, settings, at=START_MS, source="replay", seed=1, code_version="test")
    slow = events_engine.play(run, Replay(paths, RUN)).facts()
    engine = FastEngine()
    play_on(engine, run, Replay(paths, RUN), chunk_rows=chunk_rows)
    return slow, engine.observer.facts(), engine


def without_pauses(path: Path, random: Random) -> Path:
    """The same bars, some of them taken out: silences of one to forty minutes."""
    lines = path.read_text(encoding="ascii").splitlines()
    for _ in range(3):
        first = random.randrange(20, len(lines) - 45)
        del lines[first : first + random.randint(1, 40)]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    return path


def contents(facts: RunFacts) -> Counter[str]:
    """How often a run contains what an engine could get wrong."""
    changes = [change for change in facts.states if change.state is not change.previous]
    reasons = Counter(change.reason for change in changes)
    origins = Counter(decision.origin for decision in facts.decisions)
    days = {point.at // (24 * 60 * MINUTE_MS) for point in facts.account}
    return Counter(
        {
            "trades": len(facts.trades),
            "stops": origins[Origin.STOP_LOSS],
            "partial fills": sum(r.status is OrderStatus.PARTIALLY_FILLED for r in facts.results),
            "staleness": reasons[Reason.DATA_STALE],
            "unconfirmed prints": reasons[Reason.PRICE_JUMP],
            "retries": reasons[Reason.RETRY_PASSED],
            "midnights": len(days) - 1,
        }
    )


def market(folder: Path, number: int) -> tuple[list[Path], dict[str, str]]:
    """A random market of one or two symbols, and settings."""
    random = Random(f"market {number}")  # noqa: S311 - a market, not a secret
    paths = []
    for symbol in ("BTCUSDT", "ETHUSDT")[: random.randint(1, 2)]:
        gaps = {random.randrange(30, 300): random.choice((-0.12, 0.11, -0.04)) for _ in range(2)}
        thin, minutes = random.random() < 0.3, 1_500 if number % 4 == 0 else 320
        path = bars_file(folder, symbol, seed=number, minutes=minutes, gaps=gaps, thin=thin)
        paths.append(without_pauses(path, random) if random.random() < 0.5 else path)
    settings = {"STOP_LOSS_PCT": random.choice(("0.01", "0.02", "0.03"))}
    if random.random() < 0.5:
        settings |= {"SIGNAL_THRESHOLD_PCT": "0.008", "LOOKBACK_MINUTES": "5"}
    if random.random() < 0.3:
        settings["TRAILING_STOP_PCT"] = "0.01"
    if random.random() < 0.3:
        settings["MAX_DAILY_DRAWDOWN_PCT"] = "0.01"
    return paths, settings


def test_random_markets_give_the_same_facts_by_both_engines(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    for number in range(4):
        folder = tmp_path / str(number)
        folder.mkdir()
        paths, settings = market(folder, number)

        slow, fast, engine = both(paths, **settings)

        assert msgspec.structs.replace(fast, engine=slow.engine) == slow, number
        assert engine.skipped + engine.waking > slow.ticks
        seen += contents(slow)
        seen["skipped"] += engine.skipped
    missing = [name for name in contents(slow) if not seen[name]]
    assert not missing, seen
    assert seen["skipped"]


def test_a_calm_market_is_skipped_but_for_a_few_rows(tmp_path: Path) -> None:
    path = tmp_path / "test-spot_BTCUSDT_klines_1m.csv"
    bars = (f"{START_MS + n * MINUTE_MS},100,100.1,99.9,100,50" for n in range(600))
    path.write_text("\n".join(("ts_ms,open,high,low,close,volume", *bars)) + "\n", encoding="ascii")

    slow, fast, engine = both([path], chunk_rows=100_000)

    assert msgspec.structs.replace(fast, engine=slow.engine) == slow
    assert engine.waking < 12
    assert engine.skipped > 4_000


def test_what_skips_rows_neither_handles_nor_emits() -> None:
    skipping = {"advance", "skip", "take_quietly", "quiet_until", "_skip"}
    modules = (
        *(fast_engine, execution_stage, risk_stage, signal_stage, portfolio_stage, quiet),
        *(orchestration, prices, fills, symbol_health, run_observer),
    )
    found = 0
    for module in modules:
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.FunctionDef) and node.name in skipping:
                found += 1
                called = {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
                assert not called & {"handle", "feed", "emit", "on_tick", "_on_clock"}, node.name
    assert found >= len(modules)
