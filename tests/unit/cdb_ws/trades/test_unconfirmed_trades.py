"""Trades on their way at one comparison are not forgotten at the next."""

from decimal import Decimal

import pytest

from services.cdb_ws.trades.dedup_window import DedupWindow
from services.cdb_ws.trades.unconfirmed_trades import UnconfirmedTrades
from services.kernel.events import Side
from services.venues.mexc.messages import Trade

pytestmark = pytest.mark.unit


def trade(at: int, trade_id: int | None = None) -> Trade:
    return Trade(Decimal(100), Decimal(1), Side.BUY, at, trade_id)


def dedup(*trades: Trade) -> DedupWindow:
    made = DedupWindow()
    for one in trades:
        made.add(one)
    return made


def keeping(*trades: Trade, known: DedupWindow | None = None) -> UnconfirmedTrades:
    unconfirmed = UnconfirmedTrades()
    unconfirmed.keep(trades, known or dedup(), 0)
    return unconfirmed


def test_what_has_not_come_and_is_reported_no_more_is_overdue() -> None:
    unconfirmed = keeping(trade(1), trade(2), trade(3))
    assert unconfirmed.overdue(3, [trade(3)], dedup(trade(1, 7))) == [trade(2)]


def test_what_the_window_still_reports_is_not() -> None:
    assert keeping(trade(5)).overdue(4, [], dedup()) == []


def test_equal_trades_are_counted() -> None:
    known = dedup(trade(1, 7))
    unconfirmed = keeping(trade(1), known=known)
    assert unconfirmed.overdue(2, [], known) == [trade(1)]
    known.add(trade(1, 8))
    assert unconfirmed.overdue(2, [], known) == []


def test_of_a_millisecond_in_which_the_window_was_cut_only_the_rest_is_overdue() -> None:
    unconfirmed = keeping(trade(1), trade(1), trade(1))
    assert unconfirmed.overdue(1, [trade(1), trade(1)], dedup()) == [trade(1)]
