"""The checker of the feed's promise: each trade once, or in a span whose bounds are right."""

import pytest

from services.kernel.events import Side
from services.lab.soak.feed_record import Findings, Published, RestAnswer
from services.lab.soak.missed_trades import OWED_MS
from tests.builders import BTC, ETH
from tests.unit.lab.soak.soak_runs import (
    BEGAN,
    CLEARED,
    Run,
    a_run_with_a_hole,
    gap,
    missed_span,
    ms,
    offset,
    replaced,
    trade_event,
)

pytestmark = pytest.mark.unit
NOT_RECEIVED = "nor that of its receipt"


def test_every_trade_once_and_in_order_is_a_promise_held() -> None:
    run = Run()
    run.make(1, 2, 2, 3)
    run.live(1, 2, 2, 3)
    assert run.findings() == Findings(sent=4, received=4)


def test_what_lies_in_a_lost_span_is_counted_there() -> None:
    assert a_run_with_a_hole().findings() == Findings(
        sent=6, received=4, in_gaps=2, backfilled=1, gaps=1
    )


def test_the_promise_begins_with_the_first_trade_received() -> None:
    run = Run()
    run.make(1, 2, 3)
    run.live(2, 3)
    assert run.findings() == Findings(sent=2, received=2)


def test_a_symbol_that_was_never_received_owes_nothing() -> None:
    run = Run()
    run.make(1, 2, symbol=ETH)
    assert run.findings() == Findings()


def test_a_missing_trade_is_a_fault() -> None:
    run = Run()
    run.make(1, 2, 3)
    run.live(1, 3)
    assert "missing without a gap" in run.faults()


def test_a_trade_twice_is_a_fault_and_two_equal_trades_are_none() -> None:
    run = Run()
    run.make(1, 2, 2)
    run.live(1, 2, 2)
    assert not run.faults()
    run.backfill(2, at=3)
    assert "doubled" in run.faults()
    assert run.findings().doubled == 1


@pytest.mark.parametrize("fields", [{"price": 101}, {"volume": 3}, {"side": Side.SELL}])
def test_a_trade_that_was_never_made_is_a_fault(fields: dict[str, object]) -> None:
    run = Run()
    run.make(1, 2)
    run.live(1, 2)
    run.live(2, **fields)
    assert "never made" in run.faults()


@pytest.mark.parametrize(
    ("published_at", "backfill", "fault"),
    [(3.1, False, ""), (3.0, False, NOT_RECEIVED), (3.2, False, NOT_RECEIVED),
     (3.0, True, ""), (3.2, True, NOT_RECEIVED)],
)  # fmt: skip
def test_a_trade_with_its_time_of_receipt_is_matched_by_the_venues_time(
    published_at: float, backfill: bool, fault: str
) -> None:
    run = Run()
    run.make(1, 2)
    run.live(1)
    run.publish(offset(BEGAN), at=1.5)
    late = trade_event(published_at, venue_time=ms(2), backfill=backfill)
    run.publish(late, at=3.1)
    run.publish(offset(CLEARED), at=4)
    assert fault in run.faults()
    assert bool(fault) == bool(run.faults())
    run.publish(late, at=4.1)
    assert "doubled" in run.faults()
    assert "no offset is open" in run.faults()


def test_a_clock_offset_that_never_clears_is_a_fault() -> None:
    run = Run()
    run.make(1)
    run.live(1)
    run.publish(offset(BEGAN), at=1.5)
    assert "CLOCK_OFFSET began and never cleared" in run.faults()


@pytest.mark.parametrize("lost", [(2, 3), (3.5, 4), (4, 5), None])
def test_a_span_that_does_not_cover_what_is_missing_is_a_fault(
    lost: tuple[float, float] | None,
) -> None:
    run = a_run_with_a_hole()
    run.published[-1] = replaced(run.published[-1], gap(CLEARED, lost))
    assert "missing without a gap" in run.faults()


@pytest.mark.parametrize("lost", [(0.5, 5), (1, 5), (2, 6), (2, 66)])
def test_a_span_around_a_received_trade_is_a_fault(lost: tuple[float, float]) -> None:
    run = a_run_with_a_hole()
    run.published[-1] = replaced(run.published[-1], gap(CLEARED, lost))
    assert "too wide" in run.faults()


def test_a_span_around_received_trades_in_which_nothing_is_missing_is_a_fault() -> None:
    run = Run()
    run.make(1, 2, 3)
    run.live(1, 2, 3)
    run.begin_gap(4)
    run.clear_gap(5, lost=(1, 3))
    assert "too wide" in run.faults()


def test_missed_trades_lies_between_two_comparisons() -> None:
    assert missed_span().findings() == Findings(sent=7, received=5, in_gaps=2, gaps=1)


def test_missed_trades_that_begins_before_rest_had_shown_the_stream_whole_is_a_fault() -> None:
    run = missed_span()
    run.published[-1] = replaced(run.published[-1], gap(CLEARED, (1, 7)))
    assert "nothing was missing" in run.faults()


def test_missed_trades_that_ends_after_rest_had_reported_all_is_a_fault() -> None:
    run = missed_span()
    run.answers[-1] = RestAnswer(BTC, ms(8), ms(8), ms(5), ms(7))
    assert "REST had everything" in run.faults()


def test_missed_trades_where_the_exchange_left_nothing_out_is_a_fault() -> None:
    run = missed_span()
    run.left_out.clear()
    assert "its stream owed nothing" in run.faults()
    # But a stream that is so far behind REST counts as one that misses trades.
    run.published[-1] = Published(ms(3) + OWED_MS + 1, run.published[-1].event)
    assert not run.faults()


def test_a_whole_minute_is_lost_only_if_something_of_it_is_missing() -> None:
    run = Run()
    run.make(1, 2, 3, 61)
    run.live(1, 3)
    run.live(61)
    run.begin_gap(80)
    run.clear_gap(80, lost=(0, 59.999))
    assert run.findings() == Findings(sent=4, received=3, in_gaps=1, gaps=1)
    run.backfill(2, at=81)
    assert "nothing of this minute" in run.faults()


def test_a_span_that_ends_before_it_begins_is_a_fault() -> None:
    run = a_run_with_a_hole()
    run.published[-1] = replaced(run.published[-1], gap(CLEARED, (5, 2)))
    assert "no span" in run.faults()
