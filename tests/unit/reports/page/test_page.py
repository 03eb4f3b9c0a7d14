"""The report page: complete, inert, and without a request."""

import base64
import csv
import functools
import hashlib
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from click.testing import CliRunner

from services.backtest import store
from services.backtest.events_engine import fresh_run, play
from services.cdb_ws.sources.replay import Replay
from services.cli.main import claire
from services.reports.page.page import render
from services.reports.page.view import STEPS_MINUTES, view_of
from services.reports.provenance import command_of
from services.reports.round_trips import round_trips
from services.reports.run_facts import DataFile, RunFacts
from services.web.vendored import CHART_NOTICE
from tests.unit.backtest.markets import START_MS, bars_file

pytestmark = pytest.mark.unit

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
SETTINGS = {"MAX_TRADES_PER_HOUR": "1", "CDB_SOURCE": "replay", "CDB_DURATION": "90000"}


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> RunFacts:
    folder = tmp_path_factory.mktemp("market")
    files = [bars_file(folder), bars_file(folder, "ETHUSDT", seed=2)]
    run = fresh_run("run", SETTINGS, at=START_MS, source="replay", seed=1, code_version="test")
    found = play(run, Replay(files, "run")).facts()
    found.data = [DataFile(path.name, "0" * 64) for path in files]
    return found


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found
    plain: dict[str, Any] = json.loads(found[1])
    return plain


def test_everything_of_the_run_is_on_the_page(facts: RunFacts) -> None:
    data = data_of(render(facts))
    assert [one["symbol"] for one in data["symbols"]] == ["BTC_USDT", "ETH_USDT"]
    assert data["step"] == 1
    for one in data["symbols"]:
        assert len(one["candles"]) == 6 * 240
    assert any(one["stops"] for one in data["symbols"])
    refused = [d for d in facts.decisions if d.verdict == "REJECTED"]
    assert refused
    shown = [one for symbol in data["symbols"] for one in symbol["refused"]]
    assert len(shown) == len(refused)
    frequency = next(one for one in shown if one[5] == "TRADE_FREQUENCY")
    assert frequency[4] == 7
    assert "limit 1" in frequency[6]
    assert sum(count for _, _, count in data["refused"]) == len(refused)
    fills = [r for r in facts.results if r.filled_quantity > 0]
    assert sum(len(one["fills"]) for one in data["symbols"]) == len(fills)
    assert len(data["trades"]) == len(round_trips(facts)) > 0


def test_a_trade_is_explained_from_its_signal_to_its_exit(facts: RunFacts) -> None:
    for trade in view_of(facts)["trades"]:
        lines = trade[-1]
        assert lines[0].startswith("Entry: ")
        assert lines[-1].startswith("Exit: ")
        layers = [line for line in lines if line.startswith("Layer ")]
        assert {line.split()[1] for line in layers} >= {"1", "2", "3", "4", "5", "6", "7"}


def test_the_foot_says_what_it_was_made_of_and_how_to_make_it_again(facts: RunFacts) -> None:
    run = data_of(render(facts))["run"]
    assert run["decisions_hash"] == facts.decisions_hash
    assert run["code_version"] == "test"
    assert [file["sha256"] for file in run["data"]] == ["0" * 64] * 2
    assert run["command"] == (
        "claire backtest --data test-spot_BTCUSDT_klines_1m.csv"
        " --data test-spot_ETHUSDT_klines_1m.csv --duration 90000s --set MAX_TRADES_PER_HOUR=1"
    )


def test_a_live_run_is_verified_and_a_synthetic_one_is_named_by_its_seed(facts: RunFacts) -> None:
    def command(source: str, **settings: str) -> str:
        started = msgspec.structs.replace(facts.started, source=source, settings=settings)
        return command_of(RunFacts(started=started, engine="paper"))

    assert command("mexc") == "claire verify --run run"
    assert command("synthetic", SYMBOL_WHITELIST="BTC_USDT", CDB_DURATION="60") == (
        "claire backtest --seed 1 --symbols BTC_USDT --duration 60s"
    )


def test_no_text_of_the_record_is_seen_as_a_tag(facts: RunFacts) -> None:
    started = msgspec.structs.replace(
        facts.started, settings={"CDB_DATA": "</script><script>alert(1)</script>"}
    )
    hostile = msgspec.structs.replace(facts, started=started, data=[])
    page = render(hostile)
    assert "<script>alert" not in page
    assert data_of(page)["run"]["settings"]["CDB_DATA"].startswith("</script>")


def test_only_the_pages_own_scripts_run_and_nothing_is_loaded(facts: RunFacts) -> None:
    page = render(facts)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy
    assert policy[1].startswith("default-src 'none'; script-src 'sha384-")
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = re.findall(r"'(sha384-[^']+)'", policy[1])
    made = [hashlib.sha384(script.encode()).digest() for script in scripts]
    assert [f"sha384-{base64.b64encode(digest).decode()}" for digest in made] == hashes
    assert not re.findall(r"<(?:link|img|iframe|script)[^>]+(?:src|href)=", page)
    for part in CHART_NOTICE.rsplit(" ", 1):
        assert part in page


def test_long_markets_are_drawn_in_longer_bars(
    facts: RunFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.reports.page.view.MOST_CANDLES", 96)
    view = view_of(facts)
    assert view["step"] == STEPS_MINUTES[1]
    candles = view["symbols"][0]["candles"]
    assert len(candles) == 6 * 48
    minutes = facts.symbols["BTC_USDT"].candles[:5]
    assert candles[1:5] == [
        float(minutes[0].open),
        max(float(one.high) for one in minutes),
        min(float(one.low) for one in minutes),
        float(minutes[-1].close),
    ]


def test_the_command_writes_page_table_and_json(facts: RunFacts, tmp_path: Path) -> None:
    store.save(tmp_path / "home", facts)
    environment = {"CLAIRE_HOME": str(tmp_path / "home")}
    page, table = tmp_path / "run.html", tmp_path / "run.csv"
    arguments = ["report", "run", "--out", str(page), "--csv", str(table), "--json"]

    done = CliRunner().invoke(claire, arguments, env=environment)

    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["decisions_hash"] == facts.decisions_hash
    assert found["provenance"]["command"] == command_of(facts)
    assert data_of(page.read_text("utf-8"))["run"]["run_id"] == "run"
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["net"] for row in rows] == [f"{t.net.normalize():f}" for t in round_trips(facts)]

    missing = CliRunner().invoke(claire, ["report", "other"], env=environment)
    assert missing.exit_code == 1
    assert "no backtest has the id 'other'" in missing.output


class _Counting(SimpleHTTPRequestHandler):
    """Serves one folder and notes every request."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    handler = functools.partial(_Counting, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(10)


def opened(page: str, folder: Path) -> tuple[str, str, set[str]]:
    """The document as a browser has it, the browser's log, and the paths of all requests."""
    (folder / "run.html").write_text(page, encoding="utf-8", newline="\n")
    _Counting.asked.clear()
    with served(folder) as address:
        # Every other host leads to this server, so that a request to it would be seen here.
        rule = f"MAP * {address.removeprefix('http://')}"
        done = subprocess.run(
            [
                str(BROWSER),
                *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
                *("--disable-component-update", "--no-first-run", f"--host-resolver-rules={rule}"),
                *("--virtual-time-budget=4000", "--enable-logging=stderr", "--dump-dom"),
                # The browser's own question for the time of day.
                "--disable-features=NetworkTimeServiceQuerying",
                f"--user-data-dir={folder / 'profile'}",
                f"{address}/run.html",
            ],
            capture_output=True,
            text=True,
            timeout=200,
            check=True,
        )
    return done.stdout, done.stderr, set(_Counting.asked) - {"/favicon.ico"}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")
def test_a_browser_draws_the_page_and_asks_for_nothing_else(
    facts: RunFacts, tmp_path: Path
) -> None:
    document, log, asked = opened(render(facts), tmp_path)
    assert 'data-drawn="true"' in document, log[-2000:]
    assert "Content Security Policy" not in log
    assert document.count("<canvas") > 4
    assert document.count('class="trade"') == len(round_trips(facts))
    assert asked == {"/run.html"}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")
def test_a_request_to_another_host_would_be_seen(tmp_path: Path) -> None:
    _, _, asked = opened('<img src="http://elsewhere.example/seen.png">', tmp_path)
    assert asked == {"/run.html", "/seen.png"}
