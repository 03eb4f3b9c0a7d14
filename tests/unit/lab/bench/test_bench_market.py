"""The benchmark's market makes the signals that it promises, and no limit binds."""

from pathlib import Path

import pytest

from services.cdb_ws.sources.replay import Replay
from services.kernel.events import (
    SCHEMA_VERSION,
    MarketData,
    OpeningAccount,
    OrderResult,
    OrderStatus,
    RiskDecision,
    RunStarted,
    Signal,
    Verdict,
)
from services.kernel.pipeline import Pipeline
from services.kernel.settings.model import TradingSettings
from services.lab.bench import bench_market

pytestmark = pytest.mark.unit

TICKS = 40_000


def test_entries_and_exits_come_every_500_ticks_and_all_are_filled(tmp_path: Path) -> None:
    replay = Replay(bench_market.write(tmp_path, TICKS), "run")
    settings, problems = TradingSettings.parse(bench_market.SETTINGS)
    assert problems == ()
    equity = settings.account_equity
    account = OpeningAccount(cash=equity, peak_equity=equity, day_start_equity=equity, day=-1)
    start = RunStarted(
        event_id="start",
        run_id="run",
        producer="cdb_paper_runner",
        schema_version=SCHEMA_VERSION,
        timestamp=0,
        causation_id=None,
        correlation_id=None,
        settings=settings.to_mapping(),
        seed=1,
        code_version="test",
        source="replay",
        account=account,
    )
    pipeline = Pipeline()
    inputs = [start, *(event for _, event in replay.steps(0))]

    events = [event for given in inputs for event in pipeline.feed(given)]

    signals = [event for event in events if isinstance(event, Signal)]
    decisions = [event for event in events if isinstance(event, RiskDecision)]
    results = [event for event in events if isinstance(event, OrderResult)]
    assert {decision.verdict for decision in decisions} == {Verdict.APPROVED}
    assert {result.status for result in results} == {OrderStatus.FILLED}
    # The first exits come when the window of the first entries is over.
    whole = TICKS // 500 - 16
    assert whole - 2 <= len(signals) <= whole + 2
    late = [signal.reduce_only for signal in signals[-40:]]
    assert late.count(True) == late.count(False) == 20
    ticks = sum(isinstance(event, MarketData) for event in events)
    assert ticks == TICKS + bench_market.warm_up_ticks()
    latencies = [result.latency_ms for result in results]
    assert all(latency is not None and latency < 1000 for latency in latencies)
