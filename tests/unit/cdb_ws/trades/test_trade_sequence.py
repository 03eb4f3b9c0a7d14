"""The sequence's edges, one by one: each trade once, in order, or within a lost span."""

import pytest

from services.cdb_ws.trades.dedup_window import KEEP_AT_LEAST, KEEP_AT_MOST, KEEP_MS
from services.cdb_ws.trades.pending_trades import HOLD_MS, MOST_HELD
from services.cdb_ws.trades.trade_sequence import Origin, State
from services.cdb_ws.trades.unconfirmed_trades import GRACE_MS
from tests.unit.cdb_ws.trades.sequence_market import BEGINNING, Market, origins, row, times, trade

pytestmark = pytest.mark.unit

LIVE, LATE, REST = Origin.LIVE, Origin.LATE, Origin.REST


def lost_after(*, last: int = 10, limit: int = 100) -> Market:
    """A market whose first trade came and whose socket was then lost."""
    market = Market(limit)
    market.push(market.make(last))
    market.sequence.lose()
    return market


# -- a living stream ---------------------------------------------------------------------------


def test_trades_go_out_as_they_come_and_only_once() -> None:
    market = Market()
    one, two, three = market.make(1), market.make(2), market.make(2)
    market.push(one, two)
    market.push(two, three)
    assert market.ids() == [1, 2, 3]
    assert origins(market) == [LIVE] * 3
    assert market.sequence.counts["duplicate"] == 1


def test_a_trade_behind_a_younger_one_is_late_and_no_news() -> None:
    market = Market()
    one, two, three = market.make(1), market.make(2), market.make(2)
    market.push(one)
    market.push(three)
    market.push(two)
    assert [(e.trade.trade_id, e.origin) for e in market.out] == [(1, LIVE), (3, LIVE), (2, LATE)]


def test_identical_trades_without_ids_are_as_many_as_their_fullest_frame() -> None:
    market = Market()
    twin = trade(None, 1)
    market.push(twin, twin)
    market.push(twin, twin, twin)
    market.push(twin)
    assert len(market.out) == 3
    assert [entry.copy for entry in market.out] == [0, 1, 2]


def test_a_trade_older_than_memory_is_not_published_but_reported() -> None:
    market = Market()
    stray = market.make(1)
    old = market.make(1)
    market.push(old)
    for index in range(KEEP_AT_LEAST + 1):
        market.push(market.make(KEEP_MS + 10 + index))
    assert market.push(stray) == []
    span = market.sequence.take_too_old()
    assert span is not None
    assert times([span]) == [(1, 1)]
    assert market.sequence.take_too_old() is None


def test_memory_is_bounded() -> None:
    market = Market()
    for index in range(KEEP_AT_MOST + 500):
        market.push(market.make(index // 1000))
    dedup = market.sequence._dedup
    assert len(dedup.since(0)) == len(dedup.ids) == KEEP_AT_MOST
    for _ in range(3):
        market.push(market.make(10 * KEEP_MS))
    assert len(dedup.since(0)) == KEEP_AT_LEAST


# -- filling a hole ----------------------------------------------------------------------------


def test_a_hole_is_filled_and_the_held_trades_follow_in_order() -> None:
    market = lost_after()
    market.make(20)
    market.make(30)
    market.sequence.resume()
    assert market.push(market.make(40)) == []
    recovery = market.recover()
    assert recovery.done
    assert recovery.lost == ()
    assert [(e.trade.timestamp - BEGINNING, e.origin) for e in recovery.entries] == [
        (20, REST), (30, REST), (40, LIVE),
    ]  # fmt: skip
    assert market.sequence.state is State.LIVE


def test_what_the_window_does_not_reach_is_lost_and_bounded() -> None:
    market = lost_after(limit=3)
    for t in (20, 30, 40, 50):
        market.make(t)
    market.sequence.resume()
    market.push(market.make(60))
    recovery = market.recover()
    assert times(recovery.lost) == [(10, 40)]
    assert [e.trade.timestamp - BEGINNING for e in recovery.entries] == [40, 50, 60]


def test_a_window_cut_within_the_last_millisecond_proves_nothing_about_it() -> None:
    market = lost_after(limit=2)
    market.make(10)  # a twin of the last, lost
    market.make(10)
    market.sequence.resume()
    market.push(market.make(11))
    recovery = market.recover()
    assert times(recovery.lost) == [(10, 10)]


def test_a_window_that_was_not_cut_proves_its_oldest_millisecond() -> None:
    market = lost_after(limit=5)
    market.make(10)
    market.sequence.resume()
    market.push(market.make(11))
    recovery = market.recover()
    assert recovery.lost == ()
    assert [e.origin for e in recovery.entries] == [REST, LIVE]
    assert market.breaches() == []


def test_twins_are_counted_over_socket_and_rest() -> None:
    market = lost_after()
    twins = [market.make(20) for _ in range(3)]
    market.sequence.resume()
    market.push(twins[2])
    recovery = market.recover()
    # The window ends in the held trade's millisecond: its twins may still be on their way.
    assert [e.origin for e in recovery.entries] == [LIVE]
    market.push(twins[1])
    market.make(21)
    market.audit()
    market.audit(after_ms=GRACE_MS)
    assert market.breaches() == []
    assert len(market.out) == 5


def test_what_rest_reports_before_the_held_trades_is_not_on_its_way() -> None:
    market = lost_after()
    market.make(20, price=101)
    market.sequence.resume()
    market.push(market.make(20, price=102))
    market.make(20, price=103)  # the socket will bring it
    recovery = market.recover()
    assert [(int(e.trade.price), e.origin) for e in recovery.entries] == [(101, REST), (102, LIVE)]


def test_a_window_that_ends_before_the_held_trades_is_asked_for_again() -> None:
    market = lost_after()
    market.make(20)
    market.make(30)
    market.sequence.resume()
    market.push(market.make(40))
    first = market.recover(ahead=2)
    assert not first.done
    assert [e.trade.timestamp - BEGINNING for e in first.entries] == [20]
    second = market.recover()
    assert second.done
    assert [(e.trade.timestamp - BEGINNING, e.origin) for e in second.entries] == [
        (30, REST), (40, LIVE),
    ]  # fmt: skip
    assert market.breaches() == []


def test_a_window_older_than_what_is_known_proves_nothing() -> None:
    market = lost_after()
    market.sequence.resume()
    market.make(20)
    assert not market.take(market.sequence.recovered([row(trade(1, 5))], market.now_ms)).done
    assert not market.take(market.sequence.recovered([], market.now_ms)).done
    assert market.recover().done
    assert market.breaches() == []


def test_a_quiet_symbol_is_certain_without_a_trade_of_the_new_stream() -> None:
    market = lost_after()
    market.sequence.resume()
    assert market.recover().done
    market.push(market.make(50))
    assert origins(market) == [LIVE, LIVE]


def test_a_trade_that_rest_reported_first_is_not_published_again() -> None:
    market = lost_after()
    late = market.make(20)
    market.sequence.resume()
    market.recover()
    assert market.push(late) == []
    again = market.make(20)  # its twin, made later
    market.push(again, late)
    assert len(market.out) == 3
    assert market.breaches() == []


def test_giving_up_publishes_what_is_held_and_names_the_hole() -> None:
    market = lost_after()
    market.make(20)
    market.sequence.resume()
    market.push(market.make(30))
    assert not market.sequence.overdue(market.now_ms + HOLD_MS - 1)
    assert market.sequence.overdue(market.now_ms + HOLD_MS)
    recovery = market.take(market.sequence.give_up())
    assert recovery.done
    assert times(recovery.lost) == [(10, 30)]
    assert market.breaches() == []


def test_giving_up_with_nothing_held_stays_uncertain() -> None:
    market = lost_after()
    market.sequence.resume()
    assert not market.sequence.overdue(market.now_ms + 10 * HOLD_MS)
    assert not market.sequence.give_up().done
    assert market.sequence.state is State.HOLDING


def test_too_many_held_trades_do_not_wait() -> None:
    market = lost_after()
    market.sequence.resume()
    market.push(*(market.make(20 + index) for index in range(MOST_HELD + 1)))
    assert market.sequence.overdue(market.now_ms)


# -- a second loss while trades are held -----------------------------------------------------------


def test_a_second_loss_keeps_what_is_held_and_both_holes_are_filled() -> None:
    market = lost_after()
    market.make(20)
    market.sequence.resume()
    market.push(market.make(30))
    market.sequence.lose()
    market.make(40)
    market.sequence.resume()
    market.push(market.make(50))
    recovery = market.recover()
    assert [(e.trade.timestamp - BEGINNING, e.origin) for e in recovery.entries] == [
        (20, REST), (30, LATE), (40, REST), (50, LIVE),
    ]  # fmt: skip
    assert (recovery.done, recovery.lost) == (True, ())


def test_each_hole_that_stays_open_has_its_own_bounds() -> None:
    market = lost_after(limit=2)
    market.make(20)
    market.sequence.resume()
    market.push(market.make(30))
    market.sequence.lose()
    market.make(40)
    market.make(50)
    market.sequence.resume()
    market.push(market.make(60))
    recovery = market.recover()
    assert times(recovery.lost) == [(10, 30), (30, 50)]
    assert market.breaches() == []


def test_giving_up_between_two_streams_leaves_the_second_hole_open() -> None:
    market = lost_after()
    market.make(20)
    market.sequence.resume()
    market.push(market.make(30))
    market.sequence.lose()
    recovery = market.take(market.sequence.give_up())
    assert not recovery.done
    assert times(recovery.lost) == [(10, 30)]
    market.make(40)
    market.sequence.resume()
    assert market.recover().done
    assert market.breaches() == []


# -- polling while nothing comes ------------------------------------------------------------------


def test_while_lost_each_window_adds_its_news() -> None:
    market = lost_after(limit=4)
    market.make(20)
    assert not market.recover().done
    market.make(30)
    market.make(40)
    assert times(market.recover().lost) == []
    assert times(market.recover().lost) == []  # the same again: nothing new, nothing lost
    for t in (50, 60, 70, 80, 90):
        market.make(t)
    assert times(market.recover().lost) == [(40, 60)]
    assert origins(market) == [LIVE] + [REST] * 7
    assert market.breaches() == []
