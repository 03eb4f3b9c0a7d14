"""Every signal of every recorded file, whole, against the independent oracle."""

import json
import os
from pathlib import Path

import pytest

from tests.oracles.momentum import Rules
from tests.unit.kernel.strategies.signals_made import differences, of_file

pytestmark = [pytest.mark.local_only, pytest.mark.slow, pytest.mark.signal]

FOLDER = os.environ.get("CDB_TEST_DATA")
FILES = [
    path
    for path in sorted(Path(FOLDER).glob("*.csv.gz") if FOLDER else ())
    if "_trades" in path.name or "_klines_" in path.name
]
MEXC_CONTRACTS = ("DOT_USDT", "HYPE_USDT", "PEPE_USDT", "SUI_USDT")


@pytest.mark.timeout(1800)
@pytest.mark.skipif(not FILES, reason="CDB_TEST_DATA names no folder with recorded market data")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_recorded_file_makes_the_oracle_s_signals(path: Path, tmp_path: Path) -> None:
    contracts = tmp_path / "contracts.json"
    contracts.write_text(
        json.dumps([{"symbol": symbol, "contract_size": "1"} for symbol in MEXC_CONTRACTS])
    )

    ours, theirs = of_file(path, Rules(), contracts)

    assert differences(ours, theirs) == []
