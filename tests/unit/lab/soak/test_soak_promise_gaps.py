"""The checker of the feed's promise: gaps begin and end in time, and marks are right."""

import pytest

from services.lab.soak.feed_promise import (
    NOTICE_MS,
    REST_REPORTED_MS,
    RETURN_MS,
    STALE_MS,
    UNCERTAIN_MS,
)
from services.lab.soak.missed_trades import ON_ITS_WAY_MS, PROOF_MS
from tests.builders import BTC, ETH, quote
from tests.unit.lab.soak.soak_runs import (
    BEGAN,
    CLEARED,
    Run,
    a_run_with_a_hole,
    gap,
    ms,
    trade_event,
)

pytestmark = pytest.mark.unit


def test_a_gap_that_never_clears_is_a_fault() -> None:
    run = a_run_with_a_hole()
    run.begin_gap(8)
    assert "never cleared" in run.faults()


def test_a_gap_that_begins_twice_is_a_fault_and_after_a_restart_is_none() -> None:
    run = a_run_with_a_hole()
    run.begin_gap(7)
    run.begin_gap(8)
    run.clear_gap(9)
    assert "inside another" in run.faults()
    run.kill(7.2, again=7.5)
    assert not run.faults()


def test_a_gap_that_clears_without_having_begun_is_a_fault() -> None:
    run = Run()
    run.clear_gap(1)
    run.make(1)
    assert "had not begun" in run.faults()


def test_a_gap_of_the_whole_market_is_one_of_each_symbol() -> None:
    run = Run()
    run.make(1, symbol=BTC)
    run.make(1, symbol=ETH)
    run.begin_gap(2, symbol=None)
    run.publish(gap(CLEARED, symbol=None), at=3)
    assert run.findings().gaps == 2


def test_live_trades_that_go_back_are_a_fault_and_late_ones_that_are_marked_none() -> None:
    run = Run()
    run.make(1, 2, 3)
    run.live(1, 3)
    run.backfill(2, at=3.5, source="mexc:late")
    assert not run.faults()
    unmarked = Run()
    unmarked.make(1, 2, 3)
    unmarked.live(1, 3)
    unmarked.live(2, late=2)
    assert "not marked" in unmarked.faults()


def test_ids_order_live_trades_of_one_millisecond() -> None:
    run = Run()
    run.make(1, 1)
    run.publish(trade_event(1, trade_id="8"), trade_event(1, trade_id="7"), at=2)
    assert "not marked" in run.faults()


@pytest.mark.parametrize(("source", "backfill"), [("mexc", True), ("mexc:rest", False)])
def test_a_source_and_a_mark_that_disagree_are_a_fault(source: str, backfill: bool) -> None:
    run = Run()
    run.make(1)
    run.live(1, source=source, backfill=backfill)
    assert f"from {source}" in run.faults()


def test_a_live_trade_that_is_stale_must_be_marked() -> None:
    run = Run()
    run.make(1)
    run.live(1, late=STALE_MS / 1000 + 1)
    assert "ms old" in run.faults()


def test_a_live_trade_before_the_hole_behind_it_was_filled_or_named_is_a_fault() -> None:
    run = a_run_with_a_hole()
    run.make(8, 9)
    run.begin_gap(7)
    run.live(9, late=0.2)
    run.backfill(8, at=9.4)
    run.clear_gap(10)
    assert not run.faults(), "REST was quicker than a frame that was overtaken"
    run = a_run_with_a_hole()
    run.make(8, 9)
    run.begin_gap(7)
    run.live(9)
    run.backfill(8, at=10)
    run.clear_gap(10)
    assert "before what the open gap is about" in run.faults()


@pytest.mark.parametrize("how", ["named", "left out", "overtaken"])
def test_a_stream_that_is_uncertain_goes_on_behind_what_is_known(how: str) -> None:
    run = a_run_with_a_hole()
    run.make(8, 9)
    run.begin_gap(7)
    if how == "named":
        run.publish(gap(BEGAN, (6, 9)), at=9)
    if how == "left out":
        run.leave_out(8)
    run.live(9)
    if how != "named":
        run.backfill(8, at=10, source="mexc:late" if how == "overtaken" else "mexc:rest")
    run.clear_gap(30)
    assert not run.faults()


@pytest.mark.parametrize("younger", [0, 1])
def test_a_gap_that_clears_although_rest_reported_of_a_trade_left_out_is_a_fault(
    younger: int,
) -> None:
    run = Run()
    run.make(1, 2, 3)
    run.leave_out(2)
    run.live(1, 3)
    run.begin_gap(4)
    # The youngest that REST reports may still be on their way.
    run.rest_reports(1, 2 + ON_ITS_WAY_MS / 1000 - younger, at=6)
    run.clear_gap(7)
    run.backfill(2, at=8)
    assert ("that its stream missed" in run.faults()) == (not younger)


@pytest.mark.parametrize(("asked", "cleared"), [(None, 20), (3 + PROOF_MS / 1000, 20)])
def test_after_missed_trades_rest_must_be_asked_again_before_the_gap_clears(
    asked: float | None, cleared: float
) -> None:
    run = Run()
    run.make(1, 2, 4)
    run.leave_out(2)
    run.live(1, 4, late=-1)
    run.begin_gap(3)
    run.rest_reports(1, 4, at=3)
    run.backfill(2, at=3)
    if asked is not None:
        run.rest_reports(1, 4, at=asked)
    run.clear_gap(cleared)
    assert ("no request" in run.faults()) == (asked is None)
    # A new process subscribes again, and fills the hole itself.
    run.kill(9, again=10)
    assert not run.faults()


def test_a_trade_found_late_without_a_gap_is_a_fault() -> None:
    run = Run()
    run.make(1, 2, 3)
    run.live(1, 3)
    run.backfill(2, at=2 + UNCERTAIN_MS / 1000 + 1)
    assert "was missing" in run.faults()


def test_while_rest_does_not_answer_nothing_can_be_found() -> None:
    run = Run()
    run.make(1, 2, 3)
    run.live(1, 3)
    run.backfill(2, at=2 + UNCERTAIN_MS / 1000 + 1)
    run.rest_away = [(ms(0), ms(30))]
    assert not run.faults()
    run.rest_away = [(ms(0), ms(1))]
    assert "was missing" in run.faults()
    # What it had reported before must be found soon after it answers again
    run.rest_reports(1, 3, at=3.5)
    run.rest_away = [(ms(4), ms((UNCERTAIN_MS - RETURN_MS) / 1000))]
    assert "was missing" in run.faults()
    run.rest_away = [(ms(4), ms((UNCERTAIN_MS - RETURN_MS) / 1000 + 4))]
    assert not run.faults()


def test_what_rest_reported_must_be_noticed_soon() -> None:
    run = Run()
    run.make(1, 2, 3)
    run.live(1, 3)
    run.backfill(2, at=5 + REST_REPORTED_MS / 1000 + 1)
    assert not run.faults()
    run.rest_reports(1, 3, at=5)
    assert "was missing" in run.faults()


@pytest.mark.parametrize(
    ("killed", "again", "said", "noticed"),
    [
        pytest.param(10, 26, 26, True, id="dead when it had to be said"),
        pytest.param(10, 26, 26.1, False, id="said too late by the new process"),
        pytest.param(10, 24, 26, False, id="started again before"),
        pytest.param(25.5, 26, 26, False, id="killed after it had to be said"),
    ],
)
def test_nothing_is_noticed_by_a_dead_process_and_all_by_a_new_one(
    killed: float, again: float, said: float, noticed: bool
) -> None:
    run = Run()
    run.make(1, 2, 3)
    run.live(1, 3)
    run.rest_reports(1, 3, at=25 - REST_REPORTED_MS / 1000)
    run.kill(killed, again)
    run.begin_gap(said)
    run.backfill(2, at=27)
    run.clear_gap(27)
    assert ("was missing" in run.faults()) == (not noticed)


def test_a_trade_found_soon_needs_no_gap() -> None:
    run = Run()
    run.make(1, 2, 3)
    run.live(1, 3)
    run.backfill(2, at=UNCERTAIN_MS / 1000)
    assert not run.faults()


def test_a_lost_connection_without_a_gap_is_a_fault() -> None:
    run = Run()
    run.make(1, 2)
    run.live(1, 2)
    run.lose(3)
    run.begin_gap(3 + NOTICE_MS / 1000 + 1)
    run.clear_gap(9)
    assert "lost its connection" in run.faults()


def test_a_connection_lost_before_the_first_trade_promises_nothing() -> None:
    run = Run()
    run.lose(0)
    run.make(1)
    run.live(1)
    assert not run.faults()


def test_bars_put_into_a_span_are_no_trades() -> None:
    run = a_run_with_a_hole()
    run.backfill(3.5, at=6, source="mexc:klines_1m:synthetic")
    assert run.findings().received == 4
    assert not run.faults()


def test_a_crossed_book_is_a_fault() -> None:
    run = Run()
    run.make(1)
    run.publish(quote(bid=101, ask=100), at=1)
    assert "crossed" in run.faults()
