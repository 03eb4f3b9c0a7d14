"""What a position is worth beyond its margin, and the worst price that may close it."""

from decimal import Decimal

import pytest

from services.kernel.events import OpeningPosition, Side
from services.kernel.instruments.contracts import generic_instrument
from services.kernel.portfolio import margin, views
from services.kernel.portfolio.account import FundingPayment
from services.kernel.portfolio.portfolio import Portfolio
from tests import builders
from tests.builders import BTC, ETH, NOON, Number

pytestmark = [pytest.mark.unit, pytest.mark.risk]

XBT = "XBT_USD"
ALMOST = Decimal("1E-9")


def account(
    *positions: OpeningPosition, cash: Number = 100_000, margin_mode: str = "isolated"
) -> Portfolio:
    portfolio = Portfolio()
    opening = builders.account(cash, positions=positions)
    portfolio.apply(builders.run_started({"MARGIN_MODE": margin_mode}, opening=opening))
    xbt = generic_instrument(XBT, Decimal("0.5"), inverse=True)
    portfolio.apply(builders.instruments(*map(builders.instrument, (BTC, ETH)), xbt))
    return portfolio


def linear(quantity: Number = 10, symbol: str = BTC, leverage: Number = 4) -> OpeningPosition:
    return builders.opening_position(symbol, quantity, 100, leverage=leverage)


def inverse(quantity: Number, leverage: Number = 3) -> OpeningPosition:
    return builders.opening_position(XBT, quantity, 9_000, leverage=leverage, inverse=True)


@pytest.mark.parametrize(
    ("position", "price", "profit"),
    [
        (linear(10), "75.01", "-249.9"),
        (linear(10), "75", "-250"),
        (linear(10), "74.99", "-250"),
        (linear(10), "0.1", "-250"),
        (linear(-10), "124.99", "-249.9"),
        (linear(-10), "125.01", "-250"),
        (linear(-10), "100000", "-250"),
        (linear(10, leverage=1), "0.1", "-999"),
        # 10 coins of 9,000, a third of them margin: 90,000 / 13.33, and / 6.67
        (inverse(90_000), "6751", "-22490"),
        (inverse(90_000), "6749", "-22500"),
        (inverse(90_000), "9", "-22500"),
        (inverse(-90_000), "13499", "-44990"),
        (inverse(-90_000), "13501", "-45000"),
        (inverse(-90_000), "9000000", "-45000"),
        # Without leverage it owes no more coins than it has; what a coin is worth has no end.
        (inverse(-90_000, leverage=1), "18000", "-90000"),
    ],
)
def test_an_isolated_position_is_never_valued_below_minus_its_margin(
    position: OpeningPosition, price: str, profit: str
) -> None:
    portfolio = account(position, cash=1_000_000)

    portfolio.apply(builders.mark(position.symbol, price))

    (view,) = views.positions(portfolio)
    assert view.mark_price == Decimal(price)
    assert view.unrealised_profit == pytest.approx(Decimal(profit), abs=ALMOST)
    assert view.unrealised_profit >= -view.margin - ALMOST
    assert portfolio.equity - 1_000_000 == view.unrealised_profit == portfolio.unrealised_profit
    assert views.symbols(portfolio)[0].profit == view.unrealised_profit


def test_a_price_that_comes_back_is_worth_what_it_was() -> None:
    portfolio = account(linear(10), linear(-10, ETH, leverage=3))
    for price in ("0.5", "99", "70", "101"):
        portfolio.apply(builders.mark(BTC, price))
        portfolio.apply(builders.mark(ETH, 200 - Decimal(price)))

    assert portfolio.equity == 100_020
    (btc, eth) = views.symbols(portfolio)
    assert (btc.max_drawdown, eth.max_drawdown) == (250, Decimal("333.3333333333333333"))


def test_the_margin_follows_the_size_and_the_leverage_of_the_position() -> None:
    portfolio = account()
    portfolio.apply(builders.result(BTC, Side.BUY, 10, 100, leverage=4))
    portfolio.apply(builders.result(BTC, Side.BUY, 10, 100, leverage=2))
    portfolio.apply(builders.result(BTC, Side.SELL, 5, 100))

    portfolio.apply(builders.mark(BTC, 1))

    assert portfolio.equity == 100_000 - 750


def test_with_cross_margin_equity_ends_at_zero_and_losses_share_what_there_was() -> None:
    portfolio = account(
        linear(10), linear(-30, ETH), inverse(9_000), cash=1_000, margin_mode="cross"
    )
    portfolio.apply(builders.mark(XBT, 9_500))  # a gain of 500
    portfolio.apply(builders.mark(BTC, 10))  # a loss of 900

    assert portfolio.equity == 600

    portfolio.apply(builders.mark(ETH, 220))  # a loss of 3,600: 4,500 in sum

    assert (portfolio.equity, portfolio.cash) == (0, 1_000)
    assert portfolio.unrealised_profit == -1_000
    profits = {view.symbol: view.unrealised_profit for view in views.positions(portfolio)}
    assert profits == {BTC: -300, ETH: -1_200, XBT: 500}
    books = {view.symbol: view for view in views.symbols(portfolio)}
    assert {symbol: book.profit for symbol, book in books.items()} == profits
    assert books[ETH].max_drawdown == 1_200

    portfolio.apply(builders.mark(ETH, 100))

    assert portfolio.equity == 600
    profits = {view.symbol: view.profit for view in views.symbols(portfolio)}
    assert profits == {BTC: -900, ETH: 0, XBT: 500}
    assert portfolio.state.max_drawdown_pct == 1


def test_a_loss_that_takes_all_equity_and_not_more_is_no_shortfall() -> None:
    portfolio = account(linear(10), cash=500, margin_mode="cross")

    portfolio.apply(builders.mark(BTC, 50))

    assert (portfolio.equity, portfolio.state.shortfall) == (0, 0)


@pytest.mark.parametrize(
    ("cash", "profits", "expected"),
    [
        (100, {BTC: -100, ETH: 0}, {BTC: -100, ETH: 0}),
        (100, {BTC: -150, ETH: -50}, {BTC: -75, ETH: -25}),
        (100, {BTC: -300, ETH: 50}, {BTC: -150, ETH: 50}),
        (-20, {BTC: -300, ETH: 50}, {BTC: -30, ETH: 50}),
        (-60, {BTC: -300, ETH: 50}, {BTC: 0, ETH: 50}),
        (99, {BTC: -200, ETH: 1}, {BTC: -100, ETH: 1}),
        (1, {BTC: -3, ETH: -3}, {BTC: Decimal("-0.5"), ETH: Decimal("-0.5")}),
        (0, {}, {}),
    ],
)
def test_losses_are_reduced_to_what_the_account_can_pay(
    cash: int, profits: dict[str, int], expected: dict[str, Number]
) -> None:
    given = {symbol: Decimal(profit) for symbol, profit in profits.items()}

    assert margin.shared(Decimal(cash), given) == expected


# The worst price


@pytest.mark.parametrize(
    ("margin_mode", "cash", "held", "symbol", "expected"),
    [
        ("isolated", 100_000, [linear(1)], BTC, "75"),
        ("isolated", 100_000, [linear(10)], BTC, "75"),
        ("isolated", 100_000, [linear(-10)], BTC, "125"),
        ("isolated", 100_000, [inverse(90_000)], XBT, "6750"),
        ("isolated", 100_000, [linear(10, leverage=1)], BTC, None),
        # Less than the margin is left: 10 x p - 1000 + 100 = 0.001 x 10 x p
        ("isolated", 100, [linear(10)], BTC, "90.090090"),
        ("isolated", 100, [linear(-10)], BTC, "109.890110"),
        ("cross", 100, [linear(10)], BTC, "90.090090"),
        ("cross", 100, [linear(-10)], BTC, "109.890110"),
        ("cross", 1_000_000, [linear(10)], BTC, None),
        # 1 coin of 9,000: p - 9,000 + 900 = 0.001 x 9,000
        ("cross", 900, [inverse(9_000)], XBT, "8109"),
        ("cross", 900, [inverse(-9_000)], XBT, "9891"),
    ],
)
def test_what_closes_a_position_is_filled_where_its_backing_ends(
    margin_mode: str,
    cash: int,
    held: list[OpeningPosition],
    symbol: str,
    expected: str | None,
) -> None:
    portfolio = account(*held, cash=cash, margin_mode=margin_mode)

    price = margin.worst_exit_price(portfolio.state, symbol, Decimal("0.001"))

    if expected is None:
        assert price is None
    else:
        assert price == pytest.approx(Decimal(expected), abs=Decimal("2e-6"))


@pytest.mark.parametrize(
    ("cash", "other_price", "expected"),
    [
        (1_000, 110, "-10"),  # a gain of 100 counts: 1,100 may be lost
        (1_000, 60, "40"),  # so does a loss of 400 that the account can pay
        (1_000, 0.5, "100"),  # of a loss of 995 all but 5 is gone
        (900, 0.5, "100"),  # a loss beyond the account's cash gives nobody a gain
        (-50, 110, "95"),  # 100 of gains pay the 50 that are owed; 50 may be lost
        (-50, 99, "105"),  # owing 50 without gains: it is closed with a profit of 50
    ],
)
def test_other_positions_count_as_far_as_the_cash_pays_their_losses(
    cash: int, other_price: float, expected: str
) -> None:
    portfolio = account(linear(10), linear(10, ETH), cash=cash, margin_mode="cross")
    portfolio.apply(builders.mark(ETH, str(other_price)))

    price = margin.worst_exit_price(portfolio.state, BTC, Decimal(0))

    if Decimal(expected) <= 0:
        assert price is None
    else:
        assert price == pytest.approx(Decimal(expected), abs=Decimal("0.51"))


@pytest.mark.parametrize(("quantity", "price"), [(10, "90.0000001"), (-10, "109.9999999")])
def test_a_little_is_kept_back_for_fees_that_are_rounded_up(quantity: int, price: str) -> None:
    portfolio = account(linear(quantity), cash=100, margin_mode="cross")

    assert margin.worst_exit_price(portfolio.state, BTC, Decimal(0)) == Decimal(price)


def test_what_is_owed_may_be_more_than_a_short_position_is_worth() -> None:
    portfolio = account(linear(-10), cash=-2_000, margin_mode="cross")

    assert margin.worst_exit_price(portfolio.state, BTC, Decimal(0)) == 0


# Funding


@pytest.mark.parametrize(
    ("held", "price", "rate", "paid_on", "amount"),
    [
        (linear(10), "50", "0.01", "75", "-7.5"),
        (linear(-10), "100000", "-0.01", "125", "-12.5"),
        (linear(-10), "100000", "0.01", "125", "12.5"),
        (linear(-10), "110", "-0.01", "110", "-11"),
        (inverse(-9_000), "9000000", "-0.01", "13500", "-90"),
    ],
)
def test_funding_is_paid_on_no_more_than_a_position_can_be_worth(
    held: OpeningPosition, price: str, rate: str, paid_on: str, amount: str
) -> None:
    portfolio = account(held)
    portfolio.apply(builders.mark(held.symbol, price))
    portfolio.apply(builders.funding(held.symbol, rate, NOON + 1_000, NOON))

    (payment,) = portfolio.apply(builders.clock(NOON + 1_000))

    assert isinstance(payment, FundingPayment)
    assert payment.mark_price == pytest.approx(Decimal(paid_on))
    assert payment.amount == pytest.approx(Decimal(amount))


def test_an_account_pays_no_funding_that_it_has_not() -> None:
    portfolio = account(linear(10), linear(10, ETH), cash=15, margin_mode="cross")
    for symbol in (BTC, ETH):
        portfolio.apply(builders.funding(symbol, "0.01", NOON + 1_000, NOON))

    payments = portfolio.apply(builders.clock(NOON + 1_000))

    amounts = [payment.amount for payment in payments if isinstance(payment, FundingPayment)]
    assert amounts == [-10, -5]
    assert (portfolio.equity, portfolio.cash) == (0, 0)
