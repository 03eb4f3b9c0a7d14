"""An account that goes on in a new run: worth what it was, measured from what it is given."""

from decimal import Decimal
from typing import Any

import pytest

from services.kernel.events import Event, Side
from services.kernel.portfolio import views
from services.kernel.portfolio.portfolio import ClosedTrade, Portfolio
from tests import builders
from tests.builders import BTC, DAY_MS, NOON, Number

pytestmark = [pytest.mark.unit, pytest.mark.risk]


def opened(*events: Event, **fields: Any) -> Portfolio:
    portfolio = Portfolio()
    portfolio.apply(builders.run_started(opening=builders.account(**fields)))
    for event in events:
        portfolio.apply(event)
    return portfolio


def bought(quantity: Number, price: Number = 100) -> Event:
    return builders.result(BTC, Side.BUY, quantity, price)


def test_a_carried_over_account_is_worth_what_it_was() -> None:
    before = opened(bought(3, "333.33333333"), bought("0.00000007", "99.99999999"))
    before.apply(builders.trade(price=300))
    positions = [
        builders.opening_position(
            BTC, p.quantity, p.entry_price, price=p.mark_price, stop=p.stop_loss_price
        )
        for p in before.state.positions.values()
    ]

    after = opened(cash=before.cash, positions=positions)

    assert after.equity == before.equity
    assert after.state.positions[BTC].cost == before.state.positions[BTC].cost


def test_a_carried_over_position_is_opened_with_the_run_and_has_lost_nothing_in_it() -> None:
    position = builders.opening_position(BTC, 10, 100, price=90)
    portfolio = opened(positions=[position])

    (view,) = views.symbols(portfolio)
    assert (view.profit, view.daily_drawdown, view.drawdown, view.max_drawdown) == (-100, 0, 0, 0)
    (trade,) = portfolio.apply(builders.result(BTC, Side.SELL, 10, 90, NOON + 1000))
    assert isinstance(trade, ClosedTrade)
    assert trade.opened_at == NOON


def test_the_worst_of_a_run_counts_from_the_peak_and_the_day_s_start_it_was_given() -> None:
    portfolio = opened(day=NOON // DAY_MS, day_start=125_000, peak=160_000)
    state = portfolio.state
    assert (state.max_drawdown_pct, state.worst_day_pct) == (Decimal("0.375"), Decimal("0.2"))

    portfolio.apply(bought(10, 100))
    portfolio.apply(builders.mark(price=1_100))

    assert (state.max_drawdown_pct, state.worst_day_pct) == (Decimal("0.375"), Decimal("0.2"))
    assert portfolio.equity == 110_000


@pytest.mark.parametrize("days", [-30, 1])
def test_a_run_whose_time_is_another_day_begins_that_day(days: int) -> None:
    portfolio = opened(day=NOON // DAY_MS, day_start=110_000, peak=120_000)

    portfolio.apply(builders.clock(NOON + days * DAY_MS))

    assert portfolio.state.day == NOON // DAY_MS + days
    assert portfolio.state.day_start_equity == 100_000
    assert portfolio.drawdown_pct == Decimal(1) / 6
