"""What a position has brought when it is closed: exactly, fees and funding included."""

from decimal import Decimal

import pytest

from services.kernel.events import Event, Side
from services.kernel.instruments.contracts import generic_instrument
from services.kernel.portfolio.portfolio import ClosedTrade, Portfolio
from tests import builders
from tests.builders import BTC, NOON, Number

pytestmark = [pytest.mark.unit, pytest.mark.risk]

XBT = "XBT_USD"


def fill(side: Side, quantity: Number, price: Number, symbol: str = BTC, **terms: object) -> Event:
    return builders.result(symbol, side, quantity, price, **terms)  # type: ignore[arg-type]


def account(*events: Event) -> Portfolio:
    portfolio = Portfolio()
    xbt = generic_instrument(XBT, Decimal("0.5"), inverse=True)
    for event in (
        builders.run_started(),
        builders.instruments(builders.instrument(BTC), xbt),
        *events,
    ):
        portfolio.apply(event)
    return portfolio


def closed(portfolio: Portfolio, event: Event) -> ClosedTrade:
    (effect,) = portfolio.apply(event)
    assert isinstance(effect, ClosedTrade)
    return effect


# One trade


def test_a_trade_tells_which_order_closed_it_and_what_that_slipped() -> None:
    portfolio = account(fill(Side.BUY, 2, 100))

    trade = closed(portfolio, fill(Side.SELL, 2, 99, order_id="order-9", slippage_bps="12.5"))

    assert (trade.order_id, trade.symbol, trade.slippage_bps) == ("order-9", BTC, Decimal("12.5"))


def test_the_closed_part_of_a_linear_position_takes_its_cost_to_sixteen_decimals() -> None:
    portfolio = account(fill(Side.BUY, 1, 100), fill(Side.BUY, 2, "100.01"))

    trade = closed(portfolio, fill(Side.SELL, 1, 101))

    # 300.02 / 3 is 100.006666...; what is rounded stays in the cost of the rest.
    assert trade.gross_profit == Decimal("0.9933333333333333")
    assert portfolio.state.positions[BTC].cost == Decimal("200.0133333333333333")


def test_the_closed_part_of_an_inverse_position_takes_its_coins_to_twelve_decimals() -> None:
    portfolio = account(fill(Side.BUY, 100, 10_000, XBT), fill(Side.BUY, 200, 10_300, XBT))

    trade = closed(portfolio, fill(Side.SELL, 100, 10_000, XBT))

    # (0.01 + 0.019417475728) / 3 coins, sold for 100 dollars.
    assert trade.gross_profit == Decimal("0.009805825243") * 10_000 - 100
    assert portfolio.state.positions[XBT].cost == Decimal("0.019611650485")


def test_what_is_closed_altogether_at_its_own_price_brings_nothing_to_the_last_digit() -> None:
    portfolio = account(fill(Side.BUY, "0.00000001", "0.123456789012"))

    trade = closed(portfolio, fill(Side.SELL, "0.00000001", "0.123456789012"))

    assert trade.gross_profit == 0


# Round trips


def test_a_round_trip_is_all_its_parts_less_fees_with_funding() -> None:
    settled = NOON + 1000
    portfolio = account(
        fill(Side.BUY, 2, 100, fees=1),
        builders.funding(BTC, "0.001", settled, NOON),
        builders.clock(settled),  # 200 x 0.001
        fill(Side.BUY, 1, 100, fees="0.5"),
        fill(Side.SELL, 1, 110, fees=2),
    )
    assert portfolio.state.round_trips == []

    portfolio.apply(fill(Side.SELL, 2, 105, fees=3))

    assert portfolio.state.round_trips == [10 + 10 - 1 - Decimal("0.5") - 2 - 3 - Decimal("0.2")]


def test_a_flip_ends_one_round_trip_and_the_next_pays_its_own_part_of_the_fee() -> None:
    portfolio = account(fill(Side.BUY, 2, 100), fill(Side.SELL, 5, 110, fees=5))
    assert portfolio.state.round_trips == [20 - 2]

    portfolio.apply(fill(Side.BUY, 3, 109, fees=1))

    assert portfolio.state.round_trips == [18, 3 - 3 - 1]


@pytest.mark.parametrize(("leaves_at", "wins"), [("100.2", 1), ("100.1", 0), ("99", 0)])
def test_a_win_is_what_is_left_after_the_fees(leaves_at: str, wins: int) -> None:
    portfolio = account(fill(Side.BUY, 1, 100), fill(Side.SELL, 1, leaves_at, fees="0.1"))

    book = portfolio.state.books[BTC]
    assert (book.round_trips, book.wins) == (1, wins)


def test_round_trips_and_wins_are_counted_by_symbol() -> None:
    portfolio = account()
    for price in (101, 99, 102):
        portfolio.apply(fill(Side.BUY, 1, 100))
        portfolio.apply(fill(Side.SELL, 1, price))
    portfolio.apply(fill(Side.SELL, 100, 10_000, XBT))
    portfolio.apply(fill(Side.BUY, 100, 10_100, XBT))

    counted = {s: (book.round_trips, book.wins) for s, book in portfolio.state.books.items()}
    assert counted == {BTC: (3, 2), XBT: (1, 0)}


def test_the_last_hundred_are_kept_the_oldest_first() -> None:
    portfolio = account()
    for gained in range(1, 102):
        portfolio.apply(fill(Side.BUY, 1, 100))
        portfolio.apply(fill(Side.SELL, 1, 100 + gained))

    assert portfolio.state.round_trips == list(range(2, 102))
