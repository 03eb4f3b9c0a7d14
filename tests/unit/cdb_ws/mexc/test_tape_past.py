"""The tape's beginning, a restart, and deals that a living stream left out."""

import pytest

from services.cdb_ws.sources.mexc.tape import GRACE_MS, OVERTAKEN_MS, Origin, Tape
from services.kernel.events import Side
from tests.unit.cdb_ws.mexc.tape_market import BEGINNING, Market, deal, origins, row, times

pytestmark = pytest.mark.unit

LIVE, REST = Origin.LIVE, Origin.REST


# -- the beginning, and a restart -----------------------------------------------------------------


def test_deals_before_the_beginning_are_not_published() -> None:
    market = Market(since_ms=BEGINNING + 100)
    market.tape.lose()
    market.make(99)
    market.make(100)
    market.tape.resume()
    assert market.recover().done
    market.push(market.make(101), deal(77, 98))
    assert [e.deal.timestamp - BEGINNING for e in market.out] == [100, 101]


def test_without_a_beginning_all_that_rest_tells_is_history() -> None:
    market = Market()
    market.tape.lose()
    market.make(5)
    assert market.recover().entries == ()
    market.tape.resume()
    recovery = market.recover()
    assert (recovery.done, recovery.entries) == (True, ())
    market.push(market.make(6))
    assert origins(market) == [LIVE]


def test_a_loss_before_the_first_deal_begins_with_what_is_held() -> None:
    market = Market()
    market.tape.lose()
    market.make(5)
    market.tape.resume()
    market.push(market.make(6))
    recovery = market.recover()
    assert [e.origin for e in recovery.entries] == [LIVE]
    assert (recovery.done, recovery.lost) == (True, ())


def test_after_a_restart_the_journals_deals_are_known() -> None:
    market = Market()
    past = [market.make(t) for t in (10, 20)]
    tape = market.tape = Tape()
    tape.remember([past[0], row(past[1])], BEGINNING + 5)
    market.make(30)
    tape.resume()
    market.push(past[1], market.make(40))
    recovery = market.recover()
    assert [(e.deal.timestamp - BEGINNING, e.origin) for e in recovery.entries] == [
        (30, REST), (40, LIVE),
    ]  # fmt: skip
    assert recovery.lost == ()


def test_after_a_restart_of_a_quiet_symbol_older_deals_were_published_before() -> None:
    market = Market()
    market.make(10)
    market.tape.remember([], BEGINNING + 50)
    market.tape.resume()
    recovery = market.recover()
    assert (recovery.done, recovery.entries, recovery.lost) == (True, (), ())


# -- deals missing in a living stream ----------------------------------------------------------


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
    assert [e.deal for e in market.audit(after_ms=1).entries] == [row(never)]
    assert market.breaches() == []


def test_an_audit_whose_oldest_row_is_missing_cannot_tell_where_the_hole_began() -> None:
    market = Market(limit=2)
    market.push(market.make(10))
    for t in (20, 30, 40):
        market.make(t)
    market.push(market.make(40 + OVERTAKEN_MS))
    recovery = market.audit()
    assert [e.deal.timestamp - BEGINNING for e in recovery.entries] == [40]
    assert times(recovery.lost) == [(10, 40)]
    assert market.breaches() == []


def test_parts_of_an_aggregated_deal_are_not_missing() -> None:
    market = Market()
    market.push(deal(1, 10), deal(2, 30, contracts=5), deal(3, 90 + OVERTAKEN_MS))
    parts = [deal(None, 29, contracts=2), deal(None, 30, contracts=3)]
    foreign = deal(None, 30, contracts=3, side=Side.SELL)
    rows = [row(deal(1, 10)), parts[0], parts[1], foreign, row(deal(3, 90 + OVERTAKEN_MS))]
    found = market.tape.audit(rows, market.now_ms).entries
    assert [e.deal for e in found] == [foreign]
    assert market.tape.counts["within_aggregated"] == 2
