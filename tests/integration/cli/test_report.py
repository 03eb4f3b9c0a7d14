"""The report of a recorded paper run says what the run's own result says."""

from pathlib import Path

import pytest

from tests.recorded_home import Recorded

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(240)]

FROM_ELSEWHERE = {"last_seq", "lost", "duplicates", "seconds"}
"""What is not of the run itself, or what a record alone does not show."""


def test_a_paper_run_is_reported_as_it_was_recorded(recorded: Recorded, tmp_path: Path) -> None:
    page, table = tmp_path / "run.html", tmp_path / "run.csv"
    found = recorded.result("report", "--paper", "--out", page, "--csv", table)

    same = recorded.run.keys() - FROM_ELSEWHERE
    assert {name: found[name] for name in same} == {name: recorded.run[name] for name in same}
    assert found["engine"] == "paper"
    provenance = found["provenance"]
    assert provenance["command"].startswith(
        "claire backtest --data test-spot_BTCUSDT_klines_1m.csv"
    )
    seq = found["last_seq"]
    ((head,),) = recorded.query(
        "SELECT encode(chain_hash, 'hex') FROM events WHERE seq <= %s ORDER BY seq DESC LIMIT 1",
        seq,
    )
    assert provenance["chain_head"] == head
    assert page.stat().st_size > 100_000
    assert len(table.read_text().splitlines()) == 1 + found["statistics"]["total"]["trades"]

    exported = recorded.result("report", "--file", recorded.file, "--out", page)
    assert exported["decisions_hash"] == recorded.run["decisions_hash"]
    assert exported["statistics"] == found["statistics"]
