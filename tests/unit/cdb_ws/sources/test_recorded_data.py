"""The real recorded files, where they are at hand: every row becomes what its file says."""

import os
from pathlib import Path

import pytest

from services.cdb_ws.sources.replay import Replay
from services.kernel.events import MarketData, MarketDataKind

pytestmark = pytest.mark.unit


def data(pattern: str) -> list[Path]:
    folder = os.environ.get("CDB_TEST_DATA")
    if not folder:
        pytest.skip("CDB_TEST_DATA is unset: set it to the folder of the recorded data")
    found = sorted(Path(folder).glob(pattern))
    if not found:
        pytest.skip(f"CDB_TEST_DATA={folder} has no file {pattern}")
    return found


def ticks(pattern: str) -> tuple[Replay, list[MarketData]]:
    replay = Replay(data(pattern), "run")
    return replay, [event for _, event in replay.steps(0) if isinstance(event, MarketData)]


def test_two_symbols_tick_by_tick() -> None:
    _, made = ticks("binance-usdm_*_trades.csv.gz")
    assert len(made) == len({tick.event_id for tick in made}) == 35_389
    assert {tick.symbol for tick in made} == {"BTC_USDT", "ETH_USDT"}


def test_a_book_beside_its_trades() -> None:
    _, made = ticks("binance-usdm_ETHUSDT_[bt]*.csv.gz")
    kinds = [tick.kind for tick in made]
    assert kinds.count(MarketDataKind.QUOTE) == 53_992
    assert kinds.count(MarketDataKind.TRADE) == 14_076


def test_the_crash_of_march_2020_with_its_outage() -> None:
    replay, made = ticks("bitmex-202003_XBTUSD_klines_1m.csv.gz")
    assert replay.counts()["files"][0]["skipped"] == {"no_volume": 17}  # type: ignore[index]
    assert len(made) == (21_600 - 17) * 4


def test_float_noise_and_settled_rates() -> None:
    replay, made = ticks("binance-usdm_XRPUSDT_*.csv.gz")
    assert str(replay.contracts[0].tick_size) == "0.0001"
    assert sum(tick.kind is MarketDataKind.FUNDING for tick in made) == 91
