"""Recorded markets from file to result: what the README promises, on real data."""

import json
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.claire_command import Claire

pytestmark = [pytest.mark.local_only, pytest.mark.slow, pytest.mark.timeout(3600)]

DAY_MS = 86_400_000
CRASH_BEGINS = 1_583_452_800_000
"""2020-03-06 00:00 UTC."""
RISKED = Decimal("0.005")
STOP_AND_FEES = 2 * RISKED
"""A stop costs what is risked, its fees and slippage less than that."""
NOT_RESTING = {
    "MAX_DAILY_DRAWDOWN_PCT": "0.01",
    "RISK_PER_TRADE_PCT": str(RISKED),
    "LOSS_COOLDOWN_SEC": "0",
}
"""The defaults rest for a day after a loss, and never come near a limit in this month."""


def replay(*paths: Path) -> list[str]:
    data = [part for path in paths for part in ("--data", str(path))]
    return ["run-paper", "--fresh", "--source", "replay", *data, "--speed", "max", "--json"]


def adds_up(result: dict[str, Any]) -> bool:
    decisions = result["decisions"]
    answered = decisions["approved"] + decisions["trimmed"] + sum(decisions["rejected"].values())
    ordered = decisions["approved"] + decisions["trimmed"] + result["exits"]
    return bool(
        result["signals"] == answered
        and result["orders"] == ordered
        and (result["lost"], result["duplicates"]) == (0, 0)
    )


def test_a_real_contract_trades_and_repeats(claire: Claire, recorded: Path) -> None:
    command = replay(recorded / "mexc-perp_THE_USDT_klines_1m_real.csv.gz")

    first = claire.result(*command, seconds=600)
    second = claire.result(*command, seconds=600)

    assert first["fills"] > 0
    assert first["decisions"]["approved"] > 0
    assert first["decisions"]["rejected"]
    assert adds_up(first)
    assert second["decisions_hash"] == first["decisions_hash"]


def test_two_symbols_of_trades_are_merged_by_time(claire: Claire, recorded: Path) -> None:
    files = [recorded / f"binance-usdm_{symbol}_trades.csv.gz" for symbol in ("BTCUSDT", "ETHUSDT")]
    short = ("--set", "LOOKBACK_MINUTES=1", "--set", "SIGNAL_THRESHOLD_PCT=0.0005")

    traded = claire.result(*replay(*files), *short, seconds=900)
    silent = claire.result(*replay(*files), seconds=900)

    assert traded["ticks"] == 35_389
    assert traded["fills"] > 0
    assert adds_up(traded)
    assert silent["signals"] == 0
    assert "window is longer than the data" in silent["notes"][0]


def test_the_crash_of_march_2020_halts_and_no_day_loses_much_more_than_its_limit(
    claire: Claire, recorded: Path
) -> None:
    script = claire.folder / "control.jsonl"
    days = [CRASH_BEGINS + number * DAY_MS for number in range(15)]
    entries = [{"at": at, "command": "reset", "reason": "a new day"} for at in days]
    script.write_text("\n".join(map(json.dumps, entries)), encoding="utf-8")
    command = replay(recorded / "bitmex-202003_XBTUSD_klines_1m.csv.gz")

    settings = [part for item in NOT_RESTING.items() for part in ("--set", "=".join(item))]

    result = claire.result(*command, *settings, "--control", str(script), seconds=3000)

    changes = result["state_changes"]
    released = [change for change in changes if change["previous"] == "HALTED"]
    assert result["halts"] > 0
    assert released
    assert {change["reset_reason"] for change in released} == {"a new day"}
    assert {change["at"] for change in released} <= set(days)
    assert all(first["state"] != second["state"] for first, second in pairwise(changes))
    gaps = sum((Decimal(gap["loss"]) for gap in result["price_gaps"]), Decimal(0))
    allowed = Decimal("0.01") + STOP_AND_FEES + gaps / Decimal(result["equity_end"])
    assert Decimal(result["worst_day_pct"]) <= allowed
    assert adds_up(result)
