"""Deals on their way at one comparison are not forgotten at the next."""

from decimal import Decimal

import pytest

from services.cdb_ws.trades.dedup_window import DealMemory
from services.cdb_ws.trades.unconfirmed_trades import AwaitedDeals
from services.kernel.events import Side
from services.venues.mexc.messages import Deal

pytestmark = pytest.mark.unit


def deal(at: int, trade_id: int | None = None) -> Deal:
    return Deal(Decimal(100), Decimal(1), Side.BUY, at, trade_id)


def memory(*deals: Deal) -> DealMemory:
    made = DealMemory()
    for one in deals:
        made.add(one)
    return made


def awaiting(*deals: Deal, known: DealMemory | None = None) -> AwaitedDeals:
    awaited = AwaitedDeals()
    awaited.keep(deals, known or memory(), 0)
    return awaited


def test_what_has_not_come_and_is_told_no_more_is_overdue() -> None:
    awaited = awaiting(deal(1), deal(2), deal(3))
    assert awaited.overdue(3, [deal(3)], memory(deal(1, 7))) == [deal(2)]


def test_what_the_window_still_tells_is_not() -> None:
    assert awaiting(deal(5)).overdue(4, [], memory()) == []


def test_equal_deals_are_counted() -> None:
    known = memory(deal(1, 7))
    awaited = awaiting(deal(1), known=known)
    assert awaited.overdue(2, [], known) == [deal(1)]
    known.add(deal(1, 8))
    assert awaited.overdue(2, [], known) == []


def test_of_a_millisecond_in_which_the_window_was_cut_only_the_rest_is_overdue() -> None:
    awaited = awaiting(deal(1), deal(1), deal(1))
    assert awaited.overdue(1, [deal(1), deal(1)], memory()) == [deal(1)]
