"""Which run is on, where it stands, and what it holds."""

from decimal import Decimal

import pytest

from services.cdb_ws.publishing import position
from services.cdb_ws.publishing.position import Position
from services.cdb_ws.run_plan import RunPlan
from services.kernel.events import OrderStatus, Side
from services.kernel.market.run_watch import RunWatch
from tests import builders
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
    kept = position.dump(Position(run_id="a", cursor=7, ticks=3))
    assert position.load(kept, "a") == Position(run_id="a", cursor=7, ticks=3)
    assert position.load(kept, "b") == Position(run_id="b")
    assert position.load(None, "a") == position.load("17", "a") == Position(run_id="a")


def test_what_is_held_follows_the_opening_account_and_the_fills() -> None:
    # Given a run that takes over a short position
    watch = RunWatch()
    opening = builders.account(positions=(builders.opening_position("OLD_USDT", -3),))
    watch.handle(builders.run_started(opening=opening))
    assert watch.held() == {"OLD_USDT"}
    # When an entry is filled in two parts, and an order is rejected
    watch.handle(builders.result("NEW_USDT", quantity="0.1", status=OrderStatus.PARTIALLY_FILLED))
    watch.handle(builders.result("NEW_USDT", quantity="0.2"))
    watch.handle(builders.result("NO_USDT", price=None, status=OrderStatus.REJECTED))
    # Then it is held too
    assert watch.held() == {"OLD_USDT", "NEW_USDT"}
    assert watch.quantities == {"OLD_USDT": Decimal(-3), "NEW_USDT": Decimal("0.3")}
    # When one is closed in part and the other in whole
    watch.handle(builders.result("OLD_USDT", Side.BUY, 1, reduce_only=True))
    watch.handle(builders.result("NEW_USDT", Side.SELL, "0.3", reduce_only=True))
    assert watch.quantities == {"OLD_USDT": Decimal(-2)}
    assert watch.held() == {"OLD_USDT"}
    assert watch.status()["held"] == ["OLD_USDT"]


def test_what_is_held_survives_a_restart_and_ends_with_the_next_run() -> None:
    watch, restarted = RunWatch(), RunWatch()
    watch.handle(builders.run_started())
    watch.handle(builders.result("A_USDT", Side.SELL, "1.5"))
    restarted.restore(watch.snapshot())
    assert restarted.held() == {"A_USDT"}
    restarted.handle(builders.result("A_USDT", Side.BUY, "0.5"))
    assert restarted.quantities == {"A_USDT": Decimal(-1)}
    # A result of another run says nothing about this one
    restarted.handle(builders.run_started(run_id="next"))
    restarted.handle(builders.result("A_USDT"))
    assert restarted.held() == frozenset()
