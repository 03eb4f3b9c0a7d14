"""Which run is on, and where it stands."""

import pytest

from services.cdb_ws import position
from services.cdb_ws.position import Position
from services.cdb_ws.run_watch import RunPlan, RunWatch
from tests.bus_builders import run_ended, run_started

pytestmark = pytest.mark.unit


def test_a_run_is_open_from_its_start_to_its_end() -> None:
    watch = RunWatch()
    assert watch.open_run is None
    watch.handle(run_started())
    assert watch.open_run == run_started()
    watch.handle(run_ended())
    assert watch.open_run is None
    assert watch.last_run == run_started()


def test_the_run_survives_a_restart() -> None:
    watch, restarted = RunWatch(), RunWatch()
    watch.handle(run_started())
    restarted.restore(watch.snapshot())
    assert restarted.open_run == run_started()


def test_a_plan_is_what_the_runs_settings_say() -> None:
    run = run_started()
    run.settings.update(
        {"CDB_DURATION": "90", "SYMBOL_WHITELIST": "A_USDT,B_USDT", "LOOKBACK_MINUTES": "5"}
    )
    plan = RunPlan.of(run)
    assert (plan.duration_ms, plan.symbols, plan.lookback_minutes) == (
        90_000, ("A_USDT", "B_USDT"), 5,
    )  # fmt: skip
    assert RunPlan.of(run_started()).lookback_minutes == 15


def test_a_position_counts_for_its_own_run_only() -> None:
    kept = position.dump(Position(run_id="a", cursor=7, ticks=3, resume={"X_USDT": 5}))
    assert position.load(kept, "a") == Position(run_id="a", cursor=7, ticks=3, resume={"X_USDT": 5})
    assert position.load(kept, "b") == Position(run_id="b")
    assert position.load(None, "a") == position.load("17", "a") == Position(run_id="a")
