"""What a closed trade cost: fees of both ends, funding, and how far its fills missed their price.

The trades and what the open positions have cost so far make the account's figures, to the last
digit, in both kinds of contract.
"""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.events import Event, Origin, Side
from services.kernel.events.costs import Costs
from services.kernel.instruments.contracts import generic_instrument
from services.kernel.portfolio.portfolio import ClosedTrade, Portfolio
from tests import builders
from tests.builders import BTC, NOON, Number

pytestmark = [pytest.mark.unit, pytest.mark.risk]

XBT = "XBT_USD"


def fill(side: Side, quantity: Number, price: Number, **terms: Any) -> Event:
    return builders.result(terms.pop("symbol", BTC), side, quantity, price, **terms)


def account(*events: Event, opening: Any = None) -> Portfolio:
    portfolio = Portfolio()
    xbt = generic_instrument(XBT, Decimal("0.5"), inverse=True)
    for event in (
        builders.run_started(opening=opening),
        builders.instruments(builders.instrument(BTC), xbt),
        *events,
    ):
        portfolio.apply(event)
    return portfolio


def closed(portfolio: Portfolio, event: Event) -> ClosedTrade:
    (effect,) = portfolio.apply(event)
    assert isinstance(effect, ClosedTrade)
    return effect


def settled(rate: str, at: int) -> tuple[Event, Event]:
    return builders.funding(BTC, rate, at, NOON), builders.clock(at)


# Net profit


def test_a_trade_is_net_of_both_fees_and_of_funding() -> None:
    portfolio = account(fill(Side.BUY, 2, 100, fees=1), *settled("0.001", NOON + 1000))

    trade = closed(portfolio, fill(Side.SELL, 2, 110, fees=3))

    assert (trade.gross_profit, trade.fees_open, trade.fees_close) == (20, 1, 3)
    assert trade.funding == Decimal("-0.2")
    assert trade.profit_loss == 20 - 1 - 3 - Decimal("0.2")
    assert trade.profit_loss == portfolio.equity - 100_000


def test_a_part_takes_its_share_of_what_opening_and_holding_cost() -> None:
    portfolio = account(fill(Side.BUY, 3, 100, fees=1), *settled("-0.001", NOON + 1000))

    first = closed(portfolio, fill(Side.SELL, 1, 100))
    second = closed(portfolio, fill(Side.SELL, 2, 100))

    assert first.fees_open == Decimal("0.33333333")
    assert second.fees_open == Decimal("0.66666667")
    assert (first.funding, second.funding) == (Decimal("0.1"), Decimal("0.2"))


def test_funding_that_was_paid_after_a_part_was_closed_belongs_to_the_rest() -> None:
    portfolio = account(fill(Side.BUY, 2, 100))
    first = closed(portfolio, fill(Side.SELL, 1, 100))
    for event in settled("0.01", NOON + 1000):
        portfolio.apply(event)

    second = closed(portfolio, fill(Side.SELL, 1, 100))

    assert (first.funding, second.funding) == (0, -1)


def test_a_flip_shares_its_fee_between_the_two_positions() -> None:
    portfolio = account(fill(Side.BUY, 2, 100, fees=1))

    first = closed(portfolio, fill(Side.SELL, 5, 100, fees=5))
    second = closed(portfolio, fill(Side.BUY, 3, 100, fees=2))

    assert (first.fees_open, first.fees_close) == (1, 2)
    assert (second.fees_open, second.fees_close) == (3, 2)


def test_entries_add_up_in_what_opening_cost() -> None:
    portfolio = account(fill(Side.BUY, 1, 100, fees=1), fill(Side.BUY, 3, 100, fees="1.5"))

    assert closed(portfolio, fill(Side.SELL, 4, 100)).fees_open == Decimal("2.5")


def test_a_position_of_the_run_before_keeps_what_it_cost_there() -> None:
    held = builders.opening_position(BTC, 2, 100, costs=Costs(fees=Decimal(4), funding=Decimal(-1)))
    portfolio = account(opening=builders.account(positions=[held]))

    trade = closed(portfolio, fill(Side.SELL, 2, 110, fees=3))

    assert (trade.fees_open, trade.funding, trade.profit_loss) == (4, -1, 20 - 4 - 3 - 1)
    assert portfolio.equity == 100_000 + 20 - 3, "the cash has paid for it in its own run"


# Slippage


def test_slippage_is_split_into_spread_impact_and_the_rest() -> None:
    # Decided at 100; the market has moved to 100.10, half the spread is 0.02, impact 0.03.
    bought = fill(
        Side.BUY, 2, "100.15", slippage_bps=15, fill={"touch": "100.12", "half_spread": "0.02"}
    )
    # Decided at 102; the market has moved to 102.10, in favour; then 0.02 and 0.04 against.
    sold = fill(
        Side.SELL, 2, "102.04", slippage_bps="-3.9216",
        fill={"touch": "102.08", "half_spread": "0.02"},
    )  # fmt: skip

    trade = closed(account(bought), sold)

    assert trade.slippage_cost.quantize(Decimal("0.00001")) == Decimal("0.3") - Decimal("0.08")
    assert trade.spread_cost == Decimal("0.04") + Decimal("0.04")
    assert trade.impact_cost == Decimal("0.06") + Decimal("0.08")
    assert trade.slippage_bps == Decimal("-3.9216"), "that of the closing fill"


def test_slippage_of_an_inverse_contract_is_what_its_coins_lost() -> None:
    opened = fill(
        Side.SELL, 9_900, 9_900, symbol=XBT, slippage_bps=100,
        fill={"touch": 9_950, "half_spread": 20},
    )  # fmt: skip

    trade = closed(account(opened), fill(Side.BUY, 9_900, 9_900, symbol=XBT))

    assert (trade.slippage_cost, trade.spread_cost, trade.impact_cost) == (100, 20, 50)


def test_a_fill_that_walked_no_market_has_neither_spread_nor_impact() -> None:
    trade = closed(
        account(fill(Side.BUY, 1, 100)), fill(Side.SELL, 1, 90, fill={"bankruptcy_price": 90})
    )

    assert (trade.slippage_cost, trade.spread_cost, trade.impact_cost) == (0, 0, 0)


def test_a_fill_without_a_slippage_has_cost_none() -> None:
    portfolio = account(fill(Side.BUY, 1, 100, slippage_bps=None))

    assert closed(portfolio, fill(Side.SELL, 1, 100)).slippage_cost == 0


def test_a_price_that_is_next_to_nothing_stops_no_fold() -> None:
    portfolio = account(fill(Side.BUY, 1, 100))

    trade = closed(portfolio, fill(Side.SELL, 1, "0.00000001", slippage_bps=10_000))

    assert trade.slippage_cost == 0


# Why


@pytest.mark.parametrize(
    ("origin", "reduce_only", "reason"),
    [
        (Origin.SIGNAL, True, "signal"),
        (Origin.SIGNAL, False, "opposite_entry"),
        (Origin.STOP_LOSS, True, "stop_loss"),
        (Origin.LIQUIDATION, True, "liquidation"),
        (Origin.EMERGENCY_STOP, True, "emergency_stop"),
        (Origin.TAKE_PROFIT, True, "take_profit"),
    ],
)
def test_a_trade_says_what_closed_it(origin: Origin, reduce_only: bool, reason: str) -> None:
    portfolio = account(fill(Side.BUY, 2, 100))

    exit_fill = fill(Side.SELL, 2, 100, origin=origin, reduce_only=reduce_only)

    assert closed(portfolio, exit_fill).exit_reason == reason


# Sums

sides = st.sampled_from(Side)
sizes = st.decimals("0.001", "20", places=3)
prices = st.decimals("1000", "60000", places=1)
slips = st.decimals("-50", "300", places=4)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("fill"), sides, sizes, prices, slips),
        st.tuples(st.just("fill"), sides, sizes, prices, slips),
        st.tuples(st.just("settle"), st.decimals("-0.003", "0.003", places=6)),
    ),
    min_size=1,
    max_size=30,
)


@pytest.mark.parametrize("symbol", [BTC, XBT])
@given(played=steps)
def test_trades_and_open_positions_make_the_account(
    symbol: str, played: list[tuple[Any, ...]]
) -> None:
    portfolio, trades, at, spent = account(), [], NOON, Costs()
    for step in played:
        if step[0] == "settle":
            at += 1000
            portfolio.apply(builders.funding(symbol, step[1], at, at - 1000))
            portfolio.apply(builders.clock(at))
            continue
        _, side, quantity, price, slip = step
        value = price * quantity if symbol == BTC else quantity
        fee = (value * Decimal("0.0008")).quantize(Decimal("1E-8"))
        touch = {"touch": price - side.sign, "half_spread": "0.5"}
        event = fill(
            side, quantity, price, fees=fee, slippage_bps=slip, fill=touch, symbol=symbol, at=at
        )
        spent += fill_cost(event, inverse=symbol == XBT)
        trades += [e for e in portfolio.apply(event) if isinstance(e, ClosedTrade)]

    state = portfolio.state
    held = sum((p.costs for p in state.positions.values()), Costs())
    assert sum(t.profit_loss for t in trades) == (
        state.realised_profit - state.fees + state.funding + held.fees - held.funding
    )
    assert sum(t.fees_open + t.fees_close for t in trades) + held.fees == state.fees
    assert sum(t.funding for t in trades) + held.funding == state.funding
    for name in ("slippage", "spread", "impact"):
        booked = sum(getattr(t, f"{name}_cost") for t in trades) + getattr(held, name)
        assert booked == getattr(spent, name)


def fill_cost(event: Any, *, inverse: bool) -> Costs:
    """What one fill missed, in plain words: coins times a difference of prices."""
    coins = event.filled_quantity / event.filled_price if inverse else event.filled_quantity
    sign, price = event.side.sign, event.filled_price
    decided = price / (1 + sign * event.slippage_bps / 10_000)
    money = Decimal("1E-8")
    return Costs(
        slippage=((price - decided) * sign * coins).quantize(money),
        spread=(event.fill["half_spread"] * coins).quantize(money),
        impact=((price - event.fill["touch"]) * sign * coins).quantize(money),
    )
