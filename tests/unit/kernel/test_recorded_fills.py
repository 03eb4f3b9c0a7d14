"""Every recorded market, bars and ticks: stops keep their promise, bars give nothing away."""

import os
from itertools import chain, islice
from pathlib import Path

import pytest

from services.cdb_ws.sources.replay import Replay
from services.kernel.pipeline import Pipeline
from tests import builders
from tests.unit.kernel.fill_drift import FillDrift
from tests.unit.kernel.stop_promises import StopPromises

pytestmark = [pytest.mark.unit, pytest.mark.risk]

FILES = (
    "binance-spot_XRPETH_klines_1m.csv.gz",
    "binance-spot_XRPETH_trades.csv.gz",
    "binance-usdm_BTCUSDT_trades.csv.gz",
    "binance-usdm_ETHUSDT_trades.csv.gz",
    "binance-usdm_WLDUSDT_klines_3m.csv.gz",
    "binance-usdm_XRPUSDT_klines_5m.csv.gz",
    "bitmex-202003_XBTUSD_klines_1m.csv.gz",
    "mexc-perp_THE_USDT_klines_1m.csv.gz",
    "mexc-perp_THE_USDT_klines_1m_real.csv.gz",
    "mexc-spot_BONKUSDT_klines_1m.csv.gz",
    "mexc-spot_BSBUSDT_klines_1m.csv.gz",
    "mexc-spot_DOGEUSDT_klines_1m.csv.gz",
    "mexc-spot_FARTCOINUSDT_klines_1m.csv.gz",
    "mexc-spot_HMSTRUSDT_klines_1m.csv.gz",
    "mexc-spot_PEPEUSDT_klines_1m.csv.gz",
    "mexc-spot_PIPPINUSDT_klines_1m.csv.gz",
    "mexc-spot_SHIBUSDT_klines_1m.csv.gz",
)
"""All but the four files of a minute of trades, whose units are not known."""
LIVELY = {
    "LOOKBACK_MINUTES": "2",
    "SIGNAL_THRESHOLD_PCT": "0.0015",
    "MAX_TRADES_PER_HOUR": "1000",
    "LOSS_COOLDOWN_SEC": "0",
}
SLICE = 2_000
"""Ticks and clocks of each file that the fast suite plays."""


@pytest.fixture(params=FILES)
def recorded(request: pytest.FixtureRequest) -> Path:
    folder = os.environ.get("CDB_TEST_DATA")
    if not folder:
        pytest.skip("CDB_TEST_DATA names no folder with recorded market data")
    return Path(folder) / request.param


def played(
    path: Path, settings: dict[str, str], steps: int | None
) -> tuple[StopPromises, FillDrift]:
    replay = Replay([path], builders.RUN)
    started = builders.run_started(settings, at=replay.first_timestamp)
    events = (event for _, event in islice(replay.steps(), steps))
    promises, drift = StopPromises(), FillDrift()
    for event in Pipeline().run(chain([started], events)):
        promises.watch([event])
        drift.watch([event])
    return promises, drift


def judged(path: Path, settings: dict[str, str], steps: int | None) -> None:
    promises, drift = played(path, settings, steps)
    assert promises.broken == []
    if "klines" in path.name:
        assert drift.in_our_favour == 0


def test_the_first_hours(recorded: Path) -> None:
    judged(recorded, LIVELY, SLICE)


@pytest.mark.local_only
@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("settings", [{}, LIVELY], ids=["defaults", "lively"])
def test_the_whole_file(recorded: Path, settings: dict[str, str]) -> None:
    judged(recorded, settings, None)


def test_what_is_recorded_makes_fills_to_judge() -> None:
    folder = os.environ.get("CDB_TEST_DATA")
    if not folder:
        pytest.skip("CDB_TEST_DATA names no folder with recorded market data")
    violent = Path(folder) / "mexc-spot_BSBUSDT_klines_1m.csv.gz"

    promises, drift = played(violent, LIVELY, SLICE)

    assert promises.kept > 10
    assert all(len(drift.drifts[kind]) > 3 for kind in ("entries", "exits"))
    assert drift.drifts["stops"]
