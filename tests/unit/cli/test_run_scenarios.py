"""claire run-scenarios: a table or JSON, and an exit code that says how it went."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from services.cli.main import claire

pytestmark = pytest.mark.unit

GOOD = """
name: good
about: One entry is filled.
guard: none
symbols: {BTC_USDT: {}}
steps:
  - market: {for: 10s, prices: {BTC_USDT: 100}}
  - enter: {symbol: BTC_USDT}
  - market: {for: 2s, prices: {BTC_USDT: 100}}
expect: {entries: "== 1"}
"""
RECORDED = """
name: recorded
about: Needs data.
guard: none
recording: {files: ["${NO_SUCH_VARIABLE_HERE}/a.csv"]}
expect: {flat: true}
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(claire, ["run-scenarios", *arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "recorded.yaml").write_text(RECORDED)
    return tmp_path


def test_json_has_the_counts_and_every_check(folder: Path) -> None:
    done = run(str(folder), "--json")

    body = json.loads(done.output.splitlines()[-1])
    assert done.exit_code == 0
    assert (body["passed"], body["failed"], body["skipped"], body["total"]) == (1, 0, 1, 2)
    good, recorded = body["scenarios"]
    assert good["checks"] == [{"name": "entries", "wanted": "== 1", "found": "1", "held": True}]
    assert recorded["why"] == "NO_SUCH_VARIABLE_HERE is not set"


def test_one_that_fails_is_reported_and_exits_with_1(folder: Path) -> None:
    (folder / "bad.yaml").write_text(GOOD.replace("== 1", "== 7").replace("good", "bad"))

    done = run(str(folder))

    assert done.exit_code == 1
    assert "entries: 1, not == 7" in done.output
    assert "1 passed, 1 failed, 1 skipped, 3 in all" in done.output


def test_a_file_that_cannot_be_used_exits_with_2(folder: Path) -> None:
    (folder / "broken.yaml").write_text("name: only")

    assert run(str(folder)).exit_code == 2
    assert run(str(folder / "none.yaml")).exit_code == 2


def test_without_an_argument_it_takes_the_folder_scenarios(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    folder.rename(folder.parent / "scenarios")

    assert run("--json").exit_code == 0
