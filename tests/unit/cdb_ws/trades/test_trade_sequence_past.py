"""The sequence's beginning, a restart, and trades that a living stream left out."""

import pytest

from services.cdb_ws.trades.trade_sequence import OVERTAKEN_MS, Origin, TradeSequence
from services.cdb_ws.trades.unconfirmed_trades import GRACE_MS
from services.kernel.events import Side
from tests.unit.cdb_ws.trades.sequence_market import BEGINNING, Market, origins, row, times, trade

pytestmark = pytest.mark.unit

LIVE, REST = Origin.LIVE, Origin.REST


# -- the beginning, and a restart -----------------------------------------------------------------


def test_trades_before_the_beginning_are_not_published() -> None:
    market = Market(since_ms=BEGINNING + 100)
    market.sequence.lose()
    market.make(99)
    market.make(100)
    market.sequence.resume()
    assert market.recover().done
    market.push(market.make(101), trade(77, 98))
    assert [e.trade.timestamp - BEGINNING for e in market.out] == [100, 101]


def test_without_a_beginning_all_that_rest_reports_is_history() -> None:
    market = Market()
    market.sequence.lose()
    market.make(5)
    assert market.recover().entries == ()
    market.sequence.resume()
    recovery = market.recover()
    assert (recovery.done, recovery.entries) == (True, ())
    market.push(market.make(6))
    assert origins(market) == [LIVE]


def test_a_loss_before_the_first_trade_begins_with_what_is_held() -> None:
    market = Market()
    market.sequence.lose()
    market.make(5)
    market.sequence.resume()
    market.push(market.make(6))
    recovery = market.recover()
    assert [e.origin for e in recovery.entries] == [LIVE]
    assert (recovery.done, recovery.lost) == (True, ())


def test_after_a_restart_the_journals_trades_are_known() -> None:
    market = Market()
    past = [market.make(t) for t in (10, 20)]
    sequence = market.sequence = TradeSequence()
    sequence.restore([past[0], row(past[1])], BEGINNING + 5)
    market.make(30)
    sequence.resume()
    market.push(past[1], market.make(40))
    recovery = market.recover()
    assert [(e.trade.timestamp - BEGINNING, e.origin) for e in recovery.entries] == [
        (30, REST), (40, LIVE),
    ]  # fmt: skip
    assert recovery.lost == ()


@pytest.mark.parametrize("uncertain", [True, False])
def test_a_restart_distrusts_what_rest_filled_in_only_if_the_stream_was_uncertain(
    uncertain: bool,
) -> None:
    market = Market(limit=3)
    past = [market.make(t) for t in (10, 20, 30, 40, 50)]
    reported = [past[0], past[2], row(past[1]), past[3], past[4]]
    market.sequence.restore(reported, BEGINNING + 5, uncertain=uncertain)
    market.make(60)
    market.sequence.resume()
    recovery = market.sequence.recovered(market.window(), market.now_ms)
    # What else it left out behind 20 and before the window nobody knows
    assert times(recovery.lost) == ([(20, 30), (30, 40)] if uncertain else [])


def test_after_a_restart_of_a_quiet_symbol_older_trades_were_published_before() -> None:
    market = Market()
    market.make(10)
    market.sequence.restore([], BEGINNING + 50)
    market.sequence.resume()
    recovery = market.recover()
    assert (recovery.done, recovery.entries, recovery.lost) == (True, (), ())


# -- trades missing in a living stream ----------------------------------------------------------


def test_an_audit_finds_what_the_socket_left_out() -> None:
    market = Market()
    market.push(market.make(10))
    market.make(20)
    market.push(market.make(19 + OVERTAKEN_MS))
    assert market.audit().entries == ()  # it may have been overtaken by the younger one
    market.push(market.make(20 + OVERTAKEN_MS))
    assert [e.origin for e in market.audit().entries] == [REST]
    assert market.audit().entries == ()
    assert market.breaches() == []


def test_an_audit_waits_for_what_may_be_on_its_way() -> None:
    market = Market()
    market.push(market.make(10))
    coming, never = market.make(20), market.make(21)
    assert market.audit().entries == ()
    market.push(coming)
    assert market.audit(after_ms=GRACE_MS - 1).entries == ()
    assert [e.trade for e in market.audit(after_ms=1).entries] == [row(never)]
    assert market.breaches() == []


def test_an_audit_whose_oldest_row_is_missing_cannot_report_where_the_hole_began() -> None:
    market = Market(limit=2)
    market.push(market.make(10))
    for t in (20, 30, 40):
        market.make(t)
    market.push(market.make(40 + OVERTAKEN_MS))
    recovery = market.audit()
    assert [e.trade.timestamp - BEGINNING for e in recovery.entries] == [40]
    assert times(recovery.lost) == [(10, 40)]
    assert market.breaches() == []


def test_windows_that_do_not_meet_are_a_hole_once_the_stream_is_known_to_have_stopped() -> None:
    market = Market(limit=2)
    market.push(market.make(10))
    market.make(20)
    market.audit()
    market.audit(after_ms=GRACE_MS)
    # Given a window that does not reach back, and trades that may be on their way
    for t in (30, 40, 50):
        market.make(t)
    assert market.audit().lost == ()
    assert market.audit(after_ms=GRACE_MS).lost == ()
    # When they are known not to come
    recovery = market.audit(after_ms=GRACE_MS)
    # Then only what no window reported lies in the hole
    assert [e.trade.timestamp - BEGINNING for e in market.out] == [10, 20, 40, 50]
    assert times(recovery.lost) == [(20, 40)]
    assert market.breaches() == []


def test_windows_that_do_not_meet_are_a_hole_also_when_rest_reports_nothing_more() -> None:
    market = Market(limit=2)
    market.push(market.make(10))
    for t in (20, 30, 40):
        market.make(t)
    assert market.audit().lost == ()
    recovery = market.take(market.sequence.expired(market.now_ms + GRACE_MS))
    assert [e.trade.timestamp - BEGINNING for e in market.out] == [10, 30, 40]
    assert times(recovery.lost) == [(10, 30)]
    # Once
    assert market.audit().lost == ()
    assert market.breaches() == []


def test_windows_that_do_not_meet_are_no_hole_of_a_stream_that_goes_on() -> None:
    market = Market(limit=3)
    market.push(market.make(10))
    market.audit()
    for t in (20, 30, 40, 45):
        market.push(market.make(t))
    coming = market.make(50)
    assert market.audit().lost == ()
    market.push(coming)
    market.audit()
    market.make(60)
    market.audit()
    market.audit(after_ms=GRACE_MS)
    recovery = market.audit(after_ms=GRACE_MS)
    assert [e.trade.timestamp - BEGINNING for e in market.out[-2:]] == [50, 60]
    assert market.lost == []
    assert recovery.done
    assert market.breaches() == []


def test_the_hole_of_a_stream_that_passes_trades_over_begins_at_the_last_comparison() -> None:
    market = Market(limit=2)
    for t in (10, 20):
        market.push(market.make(t))
    market.audit()
    market.push(market.make(30))
    for t in (40, 50):
        market.make(t)
    market.push(market.make(50 + OVERTAKEN_MS))
    recovery = market.audit()
    assert [e.trade.timestamp - BEGINNING for e in recovery.entries] == [50]
    assert times(recovery.lost) == [(20, 50)]


def test_twins_of_which_one_is_reported_no_more_are_both_published() -> None:
    market = Market(limit=2)
    market.push(market.make(10))
    for _ in range(2):
        market.make(20)
    market.audit()
    market.make(30)
    market.audit()
    market.make(40)
    market.audit(after_ms=GRACE_MS)
    market.audit(after_ms=GRACE_MS)
    assert [e.trade.timestamp - BEGINNING for e in market.out] == [10, 20, 20, 30, 40]


def test_what_rest_reported_and_the_stream_does_not_bring_needs_no_second_answer() -> None:
    market = Market()
    market.push(market.make(10))
    market.make(20)
    coming = market.make(30)
    market.audit()
    market.push(coming)
    assert market.sequence.expired(market.now_ms + GRACE_MS - 1).entries == ()
    recovery = market.take(market.sequence.expired(market.now_ms + GRACE_MS))
    assert [e.trade.timestamp - BEGINNING for e in recovery.entries] == [20]
    assert market.sequence.expired(market.now_ms + GRACE_MS).entries == ()
    assert market.breaches() == []


def test_what_is_given_up_is_filled_as_far_as_rest_had_reported() -> None:
    market = Market()
    market.push(market.make(10))
    market.sequence.lose()
    market.make(20)
    market.sequence.resume()
    market.push(market.make(30))
    rows = market.window()
    market.sequence.lose()
    market.make(40)
    market.sequence.resume()
    market.push(market.make(50))
    recovery = market.take(market.sequence.give_up(rows))
    assert recovery.done
    assert [e.trade.timestamp - BEGINNING for e in market.out] == [10, 20, 30, 50]
    assert times(recovery.lost) == [(30, 50)]
    assert market.breaches() == []


def test_parts_of_an_aggregated_trade_are_not_missing() -> None:
    market = Market()
    market.push(trade(1, 10), trade(2, 30, contracts=5), trade(3, 90 + OVERTAKEN_MS))
    parts = [trade(None, 29, contracts=2), trade(None, 30, contracts=3)]
    foreign = trade(None, 30, contracts=3, side=Side.SELL)
    rows = [row(trade(1, 10)), parts[0], parts[1], foreign, row(trade(3, 90 + OVERTAKEN_MS))]
    found = market.sequence.audit(rows, market.now_ms).entries
    assert [e.trade for e in found] == [foreign]
    assert market.sequence.counts["within_aggregated"] == 2
