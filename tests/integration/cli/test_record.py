"""Recording the fake exchange with the command line, and trading on what was recorded."""

import json
import signal
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from services.cdb_ws.recording import write_ahead_log
from services.cdb_ws.sources.recording import Recording
from services.kernel.events import Clock, Instruments, MarketData, MarketDataKind
from tests.claire_command import Claire
from tests.deadline import DEADLINE_S, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
def exchange(claire: Claire, monkeypatch: pytest.MonkeyPatch) -> str:
    """The REST address of a fake exchange; commands find it by their environment."""
    process = claire.start("exchange-sim", "--port", "0", "--rate", "40", "--json")
    assert process.stdout is not None
    addresses: dict[str, Any] = json.loads(process.stdout.readline())
    monkeypatch.setenv("MEXC_WS_URL", addresses["MEXC_WS_URL"])
    monkeypatch.setenv("MEXC_REST_URL", addresses["MEXC_REST_URL"])
    return str(addresses["MEXC_REST_URL"])


def two_seconds_written(folder: Path, process: "subprocess.Popen[str]") -> bool:
    assert process.poll() is None, process.communicate()[1]
    segments = write_ahead_log.open_segments(folder)
    return sum(path.read_bytes().count(b'"type":"clock"') for path in segments) >= 2


@pytest.mark.usefixtures("exchange")
def test_what_is_recorded_is_sound_and_a_market(claire: Claire) -> None:
    folder = claire.folder / "recording"
    written = claire.result(
        "record",
        "--symbols",
        "BTC_USDT,ETH_USDT",
        "--duration",
        "6s",
        "--to",
        str(folder),
        "--json",
    )
    report = claire.result("data", "check", str(folder), "--json")["checked"][0]
    assert report["sound"], report
    assert report["rows"] == written["events"] + written["frames"]
    assert written["dropped"] == 0

    events = [event for _, event in Recording([folder], "run").steps()]
    kinds = {event.kind for event in events if isinstance(event, MarketData)}
    assert {MarketDataKind.TRADE, MarketDataKind.DEPTH, MarketDataKind.MARK} <= kinds
    details = next(event for event in events if isinstance(event, Instruments))
    assert [one.generic for one in details.instruments] == [False, False]
    assert sum(isinstance(event, Clock) for event in events) >= 4


@pytest.mark.usefixtures("exchange")
def test_a_recording_that_was_stopped_or_killed_goes_on(claire: Claire) -> None:
    folder = claire.folder / "recording"
    command = ("record", "--symbols", "BTC_USDT", "--to", str(folder), "--json")
    for way in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        process = claire.start(*command)
        wait_until(partial(two_seconds_written, folder, process), "two seconds are written")
        process.send_signal(way)
        process.communicate(timeout=DEADLINE_S)

    claire.result(*command, "--duration", "4s")

    report = claire.result("data", "check", str(folder), "--json")["checked"][0]
    assert report["sound"], report
    breaks = [hole for hole in report["holes"] if hole["why"] == "nothing was recorded"]
    assert len(breaks) == 3


@pytest.mark.usefixtures("exchange")
def test_history_is_fetched_and_can_be_played(claire: Claire) -> None:
    first = claire.result("data", "fetch", "BTC_USDT", "--days", "1", "--json")
    assert first["rows"] > 20
    details = claire.home.folder / "data" / "mexc-perp_instruments.json"
    result = claire.result(
        "run-paper", "--fresh", "--data", str(claire.home.folder / "data"),
        "--instruments", str(details), "--json",
    )  # fmt: skip
    assert result["ticks"] > 80
    assert result["lost"] == 0


def test_a_run_on_a_recording_decides_what_the_recorded_run_decided(claire: Claire) -> None:
    folder = claire.folder / "recording"
    settings = ("--set", "LOOKBACK_MINUTES=2", "--set", "SIGNAL_THRESHOLD_PCT=0.002", "--json")
    first = claire.result(
        "run-paper", "--fresh", "--source", "synthetic", "--symbols", "BTC_USDT,ETH_USDT",
        "--duration", "8m", "--speed", "max", "--record", str(folder), *settings,
        seconds=180,
    )  # fmt: skip
    again = claire.result("run-paper", "--fresh", "--data", str(folder), *settings, seconds=180)

    assert first["fills"] > 2
    assert again["ticks"] == first["ticks"]
    assert again["decisions_hash"] == first["decisions_hash"]
    assert again["equity_end"] == first["equity_end"]
