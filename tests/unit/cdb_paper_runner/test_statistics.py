from decimal import Decimal

import pytest
from msgspec.structs import replace

from services.cdb_paper_runner.statistics import Statistics
from services.kernel.events import AnyEvent, OrderStatus, Side, TradingState, Verdict
from tests import builders as a

pytestmark = pytest.mark.unit

FLAT = Decimal(0)


def counted(*events: AnyEvent, position: Decimal = FLAT) -> Statistics:
    statistics = Statistics()
    for event in events:
        statistics.count(event, position)
    return statistics


def answer(verdict: Verdict, reason: str | None = None) -> AnyEvent:
    return replace(a.decision(a.order()), signal_id="s", verdict=verdict, reason=reason)


def test_ticks_of_every_kind_count_and_backfill_is_reported_apart():
    statistics = counted(a.trade(), a.quote(), a.mark(), a.trade(backfill=True))
    assert (statistics.ticks, statistics.backfill) == (4, 1)


def test_received_is_approved_plus_trimmed_plus_rejected_by_reason():
    signals = [a.signal() for _ in range(4)] + [a.exit_signal()]
    answers = [
        answer(Verdict.APPROVED),
        answer(Verdict.TRIMMED),
        answer(Verdict.REJECTED, "HALTED"),
        answer(Verdict.REJECTED, "HALTED"),
    ]
    statistics = counted(*signals, *answers)
    assert statistics.funnel() == {
        "signals": 5,
        "approved": 1,
        "trimmed": 1,
        "rejected": 2,
        "undecided": 1,
        "exits": 0,
        "orders": 0,
        "fills": 0,
        "trades": 0,
        "rejected_orders": 0,
    }
    assert statistics.rejected == {"HALTED": 2}


def test_an_exit_of_risks_own_is_no_answer_to_a_signal():
    statistics = counted(a.decision(a.order(reduce_only=True)))
    assert statistics.exits == 1
    assert statistics.undecided == 0


def test_an_order_by_hand_is_counted_apart():
    statistics = counted(a.order(), a.order(approved_by=None))
    assert (statistics.orders, statistics.external_orders) == (1, 1)


@pytest.mark.parametrize(
    ("position", "side", "trades"),
    [("0", Side.BUY, 0), ("1", Side.BUY, 0), ("1", Side.SELL, 1), ("-2", Side.BUY, 1)],
)
def test_a_fill_against_the_position_is_a_trade(position: str, side: Side, trades: int):
    statistics = counted(a.result(side=side), position=Decimal(position))
    assert (statistics.fills, statistics.trades) == (1, trades)


def test_a_result_without_a_fill_is_none():
    statistics = counted(a.result(price=None, status=OrderStatus.REJECTED), position=Decimal(1))
    assert (statistics.fills, statistics.trades, statistics.rejected_orders) == (0, 0, 1)


def test_halts_and_releases_of_the_account():
    statistics = counted(
        a.trading_state(TradingState.HALTED),
        a.trading_state(TradingState.HALTED, TradingState.HALTED),
        a.trading_state(TradingState.ACTIVE, TradingState.HALTED),
        a.trading_state(TradingState.PAUSED, symbol=a.BTC),
    )
    assert (statistics.halts, statistics.releases) == (1, 1)
