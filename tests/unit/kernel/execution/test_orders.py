"""What becomes of an accepted order: latency, fills, expiry, the end of the run."""

import pytest

from services.kernel.events import (
    Condition,
    ConditionName,
    Side,
    TradingState,
    topics,
)
from services.kernel.execution.stage import ExecutionStage
from services.kernel.reasons import Reason
from tests import builders
from tests.builders import BTC, ETH, NOON
from tests.unit.kernel.portfolio.broker import CANCELLED, FILLED, REJECTED, Broker, status_of

pytestmark = [pytest.mark.unit, pytest.mark.risk]


def test_latency_runs_from_the_order_to_the_tick_that_fills() -> None:
    broker = Broker({"SIM_LATENCY_MS": "200"})
    broker.trade(100)
    broker.submit(builders.order(quantity=1))

    assert broker.trade(100, after_ms=199) == []
    (result,) = broker.trade(100, after_ms=1)

    assert result.latency_ms == 200


def test_the_tick_that_caused_an_order_cannot_fill_it_even_without_latency() -> None:
    broker = Broker({"SIM_LATENCY_MS": "0"})
    broker.trade(100)
    broker.submit(builders.order(quantity=1))
    assert len(broker.stage.state.open) == 1

    (result,) = broker.trade(100, after_ms=0)

    assert (result.status, result.latency_ms) == (FILLED, 0)


@pytest.mark.parametrize("kind", ["mark", "funding", "one-sided quote", "other symbol", "backfill"])
def test_only_a_trade_or_a_whole_quote_of_its_symbol_fills(kind: str) -> None:
    broker = Broker()
    broker.trade(100)
    broker.submit(builders.order(quantity=1))
    later = NOON + 1000
    ticks = {
        "mark": builders.mark(BTC, 100, later),
        "funding": builders.funding(BTC, at=later),
        "one-sided quote": builders.quote(BTC, 99, None, later),
        "other symbol": builders.trade(ETH, 100, later),
        "backfill": builders.trade(BTC, 100, later, backfill=True),
    }

    assert broker.feed(ticks[kind]) == []
    assert len(broker.quote(99, 101, after_ms=1000)) == 1


def test_an_entry_expires_and_an_exit_does_not() -> None:
    broker = Broker({"ORDER_EXPIRY_SEC": "60"}).holds(5)
    broker.submit(builders.order(side=Side.SELL, quantity=5, reduce_only=True))
    broker.submit(builders.order())

    assert broker.feed(builders.clock(NOON + 60_000)) == []
    assert status_of(broker.feed(builders.clock(NOON + 60_001))) == [(CANCELLED, Reason.EXPIRED)]
    assert broker.feed(builders.clock(NOON + 3_600_000)) == []


def test_an_exit_is_capped_to_what_is_open_when_it_fills() -> None:
    broker = Broker().holds(5)
    broker.submit(builders.order(side=Side.SELL, quantity=5, reduce_only=True))
    broker.submit(builders.order(side=Side.SELL, quantity=3, reduce_only=True))
    broker.submit(builders.order(side=Side.SELL, quantity=1, reduce_only=True))
    broker.holds(2)  # one more was filled elsewhere: 7 are open, 9 are to be closed

    results = broker.trade(100, after_ms=50)

    assert [result.filled_quantity for result in results] == [5, 2, 0]
    assert status_of(results) == [
        (FILLED, None),
        (FILLED, Reason.REDUCED_TO_POSITION),
        (CANCELLED, Reason.NOTHING_TO_REDUCE),
    ]
    assert broker.stage.portfolio.quantity(BTC) == 0


def test_slippage_at_the_limit_fills_and_beyond_it_rejects_an_entry() -> None:
    free = {"SIM_HALF_SPREAD_PCT": "0", "SIM_IMPACT_PCT": "0", "MAX_SLIPPAGE_PCT": "0.01"}
    for price, expected in (("101", FILLED), ("101.01", REJECTED)):
        broker = Broker(free)
        broker.trade(100)
        broker.submit(builders.order(quantity=1))
        assert broker.trade(price, after_ms=50)[0].status is expected


def test_a_rejected_fill_tells_its_arithmetic_but_costs_nothing() -> None:
    broker = Broker()
    broker.trade(100)
    broker.submit(builders.order(quantity=1))

    (result,) = broker.trade(103, after_ms=50)

    assert (result.reason, result.filled_quantity, result.filled_price, result.fees) == (
        *(Reason.SLIPPAGE_EXCEEDED, 0, None, 0),
    )
    assert result.slippage_bps is not None
    assert result.slippage_bps > 300
    assert result.fill["touch"] > 103
    assert [alert.code for alert in broker.alerts] == ["SLIPPAGE"]


def test_orders_of_one_symbol_fill_in_the_order_they_came() -> None:
    broker = Broker().holds(5)
    broker.trade(100)
    for name in ("first", "second", "third"):
        broker.submit(builders.order(side=Side.SELL, order_id=name, reduce_only=True))

    results = broker.trade(100, after_ms=50)

    assert [result.order_id for result in results] == ["first", "second", "third"]


def test_the_end_of_the_run_cancels_what_is_open_and_what_comes_later() -> None:
    broker = Broker().holds(5)
    broker.submit(builders.order(side=Side.SELL, quantity=5, reduce_only=True))
    broker.submit(builders.order())

    ended = broker.feed(builders.run_ended())
    later = broker.submit(builders.order(side=Side.SELL, quantity=5, reduce_only=True))

    assert status_of(ended) == [(CANCELLED, Reason.RUN_ENDED)] * 2
    assert status_of(later) == [(CANCELLED, Reason.RUN_ENDED)]


def test_a_new_run_ends_what_is_open_and_forgets_the_states_of_the_last() -> None:
    broker = Broker()
    broker.trade(100)
    broker.submit(builders.order())
    broker.feed(builders.trading_state(TradingState.REDUCE_ONLY, symbol=ETH))

    results = broker.feed(builders.run_started(run_id="run-2"))

    assert status_of(results) == [(CANCELLED, Reason.RUN_ENDED)]
    assert broker.stage.state.symbol_states == {}
    assert broker.stage.state.open == {}


def test_a_portfolio_unlike_the_orchestrator_s_stops_entries_and_tells_risk() -> None:
    broker = Broker()
    broker.submit(builders.order())
    minute = builders.clock(NOON + 60_000)
    broker.feed(minute)

    cancelled = broker.feed(builders.portfolio_snapshot("another checksum", minute))
    broker.feed(builders.portfolio_snapshot("another checksum", minute))

    (condition,) = broker.others
    assert isinstance(condition, Condition)
    assert condition.name is ConditionName.CHECKSUM_MISMATCH
    assert condition.TOPIC in topics.PRODUCES[topics.EXECUTION]
    assert status_of(cancelled) == [(CANCELLED, Reason.CONDITION_OPEN)]
    assert status_of(broker.submit(builders.order())) == [(REJECTED, Reason.CONDITION_OPEN)]


def test_before_a_run_nothing_is_accepted() -> None:
    stage = ExecutionStage()

    assert stage.handle(builders.order()) == []
    assert stage.handle(builders.trade()) == []


def test_the_status_tells_what_is_open() -> None:
    broker = Broker()
    broker.submit(builders.order())
    broker.feed(builders.decision(builders.order()))

    assert broker.stage.status() == {
        "account": TradingState.ACTIVE,
        "open_orders": 1,
        "approvals_waiting": 1,
        "positions": 0,
        "conditions": {},
    }
