"""What a recorded file's name says."""

from pathlib import Path

import pytest

from services.cdb_ws.data_error import DataError
from services.cdb_ws.sources.files.file_names import FileKind, describe, split_symbol

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("name", "exchange", "symbol", "kind", "step_ms"),
    [
        ("a-b_BTCUSDT_trades.csv.gz", "a-b", "BTC_USDT", "trades", 0),
        ("a_XRPETH_klines_1m.csv.gz", "a", "XRP_ETH", "klines", 60_000),
        ("mexc-perp_A_USDT_klines_1m_real.csv", "mexc-perp", "A_USDT", "klines", 60_000),
        ("a_ETHUSDT_bookticker.csv", "a", "ETH_USDT", "bookticker", 0),
        ("a_BTCUSD_funding.csv.gz", "a", "BTC_USD", "funding", 0),
        ("venue_ABC_klines_4h.csv", "venue", "ABC", "klines", 14_400_000),
    ],
)
def test_a_name_reports_venue_symbol_and_kind(
    name: str, exchange: str, symbol: str, kind: str, step_ms: int
) -> None:
    file = describe(Path("/data") / name)
    assert (file.exchange, file.symbol, file.kind) == (exchange, symbol, FileKind(kind))
    assert file.step_ms == step_ms


def test_ticks_made_from_bars_are_labelled_synthetic() -> None:
    assert describe(Path("a_BTCUSDT_klines_3m.csv")).source == "a:klines_3m:synthetic"
    assert describe(Path("a_BTCUSDT_trades.csv")).source == "a"


@pytest.mark.parametrize(
    ("given", "symbol"),
    [("BTCUSDT", "BTC_USDT"), ("XBTUSD", "XBT_USD"), ("ethbtc", "ETH_BTC"), ("USDT", "USDT"),
     ("SOLUSDC", "SOL_USDC"), ("THE_USDT", "THE_USDT"), ("FOO", "FOO")],
)  # fmt: skip
def test_a_symbol_is_split_by_its_quote(given: str, symbol: str) -> None:
    assert split_symbol(given) == symbol


@pytest.mark.parametrize("name", ["ticks.csv", "a_BTCUSDT_klines.csv", "a_BTCUSDT_klines_1x.csv"])
def test_an_unclear_name_is_refused_with_the_remedy(name: str) -> None:
    with pytest.raises(DataError, match=r"name it <exchange>_<symbol>"):
        describe(Path(name))
