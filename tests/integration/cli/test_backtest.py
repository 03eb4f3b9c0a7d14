"""A backtest and a lock-step paper run of the same data decide the same, and count the same."""

from pathlib import Path

import pytest

from tests.claire_command import Claire
from tests.unit.backtest.markets import bars_file

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(400)]

OTHERWISE = {"run_id", "last_seq", "seconds"}
"""What is not decided: which run it is, and what the services beside the stages publish."""


def test_both_have_one_hash_and_one_result(claire: Claire, tmp_path: Path) -> None:
    files = [
        bars_file(tmp_path, minutes=90, gaps={43: -0.04}),
        bars_file(tmp_path, "ETHUSDT", seed=2, minutes=60),
    ]
    options = [word for path in files for word in ("--data", str(path))]
    for setting in ("MAX_TRADES_PER_HOUR=3", "STOP_LOSS_PCT=0.01", "TAKE_PROFIT_PCT=0.02"):
        options += ["--set", setting]
    options.append("--json")

    tested = claire.result("backtest", *options, seconds=300)
    traded = claire.result("run-paper", "--fresh", "--speed", "max", *options, seconds=300)

    assert tested["decisions_hash"] == traded["decisions_hash"]
    assert tested["trades"] > 0
    assert tested["exits"] > 0, "risk was to leave positions by itself"
    assert tested["price_gaps"], "a stop was to be jumped over"
    assert tested["decisions"]["rejected"], "something was to be refused"
    assert traded.keys() <= tested.keys()
    assert tested["engine"] == "events"
    same = traded.keys() - OTHERWISE
    assert {name: tested[name] for name in same} == {name: traded[name] for name in same}
