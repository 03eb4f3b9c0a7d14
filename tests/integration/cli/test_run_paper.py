"""`claire run-paper`: servers and services start, trade, stop; the result adds up and repeats."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from services.runtime.embedded.home import Home
from tests.claire_command import MINUTE_MS, START_MS, Claire
from tests.deadline import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(240)]


def replay(market: Path, *more: str) -> tuple[str, ...]:
    return ("run-paper", "--source", "replay", "--data", str(market), "--json", *more)


def wait_for_session(home: Home) -> None:
    wait_until(home.session, "a session is published")


def processes_of(home: Home) -> list[int]:
    """Everything that runs with this home in its environment."""
    mark = f"CLAIRE_HOME={home.folder}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def test_a_replay_trades_adds_up_leaves_nothing_running_and_repeats(
    claire: Claire, market: Path
) -> None:
    first = claire.result(*replay(market, "--fresh", "--speed", "max"))

    decisions = first["decisions"]
    rejected = sum(decisions["rejected"].values())
    assert first["ticks"] == 480
    assert first["lost"] == 0
    assert first["duplicates"] == 0
    assert first["fills"] > 0
    assert first["signals"] == decisions["approved"] + decisions["trimmed"] + rejected
    assert first["orders"] == decisions["approved"] + decisions["trimmed"] + first["exits"]
    assert first["trades"] > 0
    assert float(first["fees"]) > 0
    assert processes_of(claire.home) == []
    assert claire.home.session() is None

    again = claire.run(*replay(market, "--speed", "max"))
    assert again.returncode == 1
    assert "later than the first tick" in again.stderr
    assert "--fresh" in again.stderr

    second = claire.result(*replay(market, "--fresh", "--speed", "max"))
    assert second["decisions_hash"] == first["decisions_hash"]
    same = ("signals", "orders", "fills", "equity_end", "last_seq", "max_drawdown_pct")
    assert {name: second[name] for name in same} == {name: first[name] for name in same}


def test_commands_of_a_control_file_come_at_their_clock_and_are_on_the_record(
    claire: Claire, market: Path
) -> None:
    script = claire.folder / "control.jsonl"
    halt_at, reset_at = START_MS + 20 * MINUTE_MS, START_MS + 60 * MINUTE_MS
    entries: list[dict[str, Any]] = [
        {"at": halt_at, "command": "halt", "reason": "maintenance"},
        {"at": reset_at, "command": "reset", "reason": "maintenance is over"},
        {"at": reset_at + MINUTE_MS, "command": "reset", "reason": "once more"},
    ]
    script.write_text("\n".join(map(json.dumps, entries)), encoding="utf-8")
    options = replay(market, "--fresh", "--speed", "max", "--control", str(script))

    first = claire.result(*options)

    assert first["halts"] == 1
    assert first["releases"] == 1
    halted, released = first["state_changes"]
    assert halted["at"] == halt_at
    assert released["at"] == reset_at
    assert released["reset_reason"] == "maintenance is over"
    assert first["decisions"]["rejected"], "what was wanted while halted was refused"

    second = claire.result(*options)
    assert second["decisions_hash"] == first["decisions_hash"]


def test_a_halted_home_is_refused_until_it_is_reset(claire: Claire, market: Path) -> None:
    script = claire.folder / "control.jsonl"
    entry = {"at": START_MS + 10 * MINUTE_MS, "command": "halt", "reason": "stop it"}
    script.write_text(json.dumps(entry), encoding="utf-8")
    halted = claire.result(*replay(market, "--fresh", "--control", str(script)))
    assert halted["halts"] == 1

    refused = claire.run("run-paper", "--source", "external", "--json")
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()[-1:]
    assert "claire reset" in line
    assert "--fresh" in line

    reset = claire.result("reset", "--on", "embedded", "--reason", "looked at it", "--json")
    assert [change["previous"] for change in reset["changes"]] == ["HALTED"]

    later = claire.run(*replay(market))
    assert "later than the first tick" in later.stderr


def test_ctrl_c_stops_an_endless_market_and_gives_a_result(claire: Claire) -> None:
    process = claire.start(
        "run-paper", "--fresh", "--source", "synthetic", "--speed", "60", "--json"
    )
    wait_for_session(claire.home)
    wait_until(lambda: ticks_recorded(claire.home), "ticks are recorded")

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 0, err
    result = json.loads(out.splitlines()[-1])
    assert result["ticks"] > 0
    assert result["lost"] == 0
    assert processes_of(claire.home) == []


def ticks_recorded(home: Home) -> int:
    session = home.session()
    if session is None:
        return 0
    password = (home.folder / "postgres.password").read_text(encoding="utf-8").strip()
    with psycopg.connect(
        host="127.0.0.1",
        port=session.postgres_port,
        dbname="claire_de_binare",
        user="claire_user",
        password=password,
    ) as connection:
        row = connection.execute("SELECT to_regclass('market_data')").fetchone()
        if row is None or row[0] is None:
            return 0
        row = connection.execute("SELECT count(*) FROM market_data").fetchone()
    return int(row[0]) if row else 0


def test_a_killed_service_comes_back_and_operators_need_no_orchestrator(claire: Claire) -> None:
    process = claire.start(
        "run-paper", "--fresh", "--source", "synthetic", "--speed", "60", "--json"
    )
    wait_for_session(claire.home)
    wait_until(lambda: ticks_recorded(claire.home), "ticks are recorded")
    for pid in processes_of(claire.home):
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if b"services.cdb_paper_runner" in command:
            os.kill(pid, signal.SIGSTOP)
        if b"services.cdb_core" in command:
            os.kill(pid, signal.SIGKILL)

    halted = claire.result("halt", "--reason", "test", "--json")
    assert [change["state"] for change in halted["changes"]] == ["HALTED"]
    again = claire.result("reset", "--reason", "test is over", "--json")
    assert [change["previous"] for change in again["changes"]] == ["HALTED"]
    unneeded = claire.result("reset", "--reason", "once more", "--json")
    assert unneeded["changes"] == []

    for pid in processes_of(claire.home):
        if b"services.cdb_paper_runner" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGCONT)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, err
    assert "cdb_core ended with code -9 and was started again" in err
    result = json.loads(out.splitlines()[-1])
    assert (result["lost"], result["duplicates"]) == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("--source", "replay"), 2, "--data FILE"),
        (("--source", "synthetic", "--data", "x.csv"), 2, "for --source replay"),
        (("--data", "absent_BTCUSDT_trades.csv"), 2, "no file absent_BTCUSDT_trades.csv"),
        (("--set", "STOP_LOSS_PCT=much"), 2, "STOP_LOSS_PCT"),
        (("--speed", "fast"), 2, "write 1, 60 or max"),
        (("--duration", "soon"), 2, "15m"),
    ],
)
def test_what_cannot_be_run_is_reported_before_anything_starts(
    claire: Claire, arguments: tuple[str, ...], code: int, complaint: str
) -> None:
    done = claire.run("run-paper", *arguments)

    assert done.returncode == code
    assert complaint in done.stderr
    assert not claire.home.has_data


def test_live_trading_is_refused_with_the_reason(
    claire: Claire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADING_MODE", "live")

    done = claire.run("run-paper")

    assert done.returncode == 1
    assert "phase N1 trades paper only" in done.stderr


def test_a_broken_data_file_is_reported_with_file_and_line(claire: Claire) -> None:
    path = claire.folder / "test-spot_BTCUSDT_trades.csv"
    path.write_text("ts_ms,price\n1735689600000,5\n", encoding="ascii")

    done = claire.run("run-paper", "--data", str(path))

    assert done.returncode == 1
    assert "test-spot_BTCUSDT_trades.csv line 1: column(s) qty, side missing" in done.stderr
