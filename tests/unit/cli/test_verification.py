"""A part of a record by time, where a second run has an older market than the first."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from services.cli.prove.verification import verify
from services.kernel.events import AnyEvent, Clock
from services.kernel.pipeline import Pipeline
from services.record.exported import export
from tests.recorded import record_of, renumbered
from tests.unit.kernel.random_market import RandomMarket

pytestmark = pytest.mark.unit

DAY_MS = 86_400_000


def run_of(seed: int, run_id: str, days_ago: int) -> list[AnyEvent]:
    market = [
        msgspec.structs.replace(e, run_id=run_id, timestamp=e.timestamp - days_ago * DAY_MS)
        for e in RandomMarket(seed).events(100)
    ]
    return list(Pipeline().run(market))  # type: ignore[arg-type]


def clocks(events: list[AnyEvent]) -> list[int]:
    return [event.timestamp for event in events if isinstance(event, Clock)]


TODAY = run_of(1, "a" * 32, days_ago=0)
YESTERDAY = run_of(2, "b" * 32, days_ago=1)
BETWEEN = datetime.fromtimestamp(clocks(YESTERDAY)[-1] / 1000 + 3600, UTC).isoformat()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Today's market was recorded first, yesterday's behind it."""
    path = tmp_path_factory.mktemp("record") / "record.jsonl.gz"
    record = record_of(renumbered([*TODAY, *YESTERDAY]))
    export(record, record.whole(), path)
    return path


def verified(file: Path, *options: str) -> Any:
    done = CliRunner().invoke(verify, ["--file", str(file), "--json", *options])
    assert done.exit_code in (0, 1), done.output
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("option", "run_id", "events"),
    [("--until", "b" * 32, YESTERDAY), ("--since", "a" * 32, TODAY)],
)
def test_each_market_is_verified_whole_and_alone(
    file: Path, option: str, run_id: str, events: list[AnyEvent]
) -> None:
    found = verified(file, option, BETWEEN)
    whole = verified(file, "--run", run_id[:4])
    assert list(found["runs"]) == [run_id]
    assert found["divergences"] == 0
    assert found["events"] == len(events)
    assert found["decisions"] == whole["decisions"] > 0


def test_the_middle_of_one_market_is_found_behind_another(file: Path) -> None:
    middle = datetime.fromtimestamp(clocks(YESTERDAY)[40] / 1000, UTC).isoformat()
    early, late = verified(file, "--until", middle), verified(file, "--since", middle)
    assert list(early["runs"]) == ["b" * 32]
    assert 0 < early["decisions"] < verified(file, "--run", "bbbb")["decisions"]
    assert list(late["runs"]) == ["a" * 32, "b" * 32]
