"""The arithmetic of a simulated fill: spread, impact, ticks, fees; always against the trader."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.events import Side
from services.kernel.instruments.contracts import Instrument, generic_instrument
from services.kernel.matching.fills import (
    Fill,
    FillRequest,
    SimulatedMarket,
    capped_fill,
    impact_pct,
    maker_fill,
    market_fill,
    takeover_fill,
)
from services.kernel.settings.model import TradingSettings
from tests import builders
from tests.builders import NOON, Number

pytestmark = pytest.mark.unit

FREE = {"SIM_HALF_SPREAD_PCT": "0", "SIM_IMPACT_PCT": "0"}


def fill(
    market: SimulatedMarket,
    side: Side = Side.BUY,
    quantity: Number = 1,
    order_price: Number = 100,
    settings: dict[str, str] | None = None,
    now: int = NOON,
    tick: str = "0.01",
) -> Fill:
    filled = market_fill(
        FillRequest(side=side, quantity=Decimal(quantity), order_price=Decimal(order_price)),
        market,
        now,
        builders.instrument(tick_size=Decimal(tick)),
        TradingSettings.parse(FREE if settings is None else settings)[0],
    )
    assert filled is not None
    return filled


def traded(price: Number = 100, volume: Number = 100, at: int = NOON) -> SimulatedMarket:
    market = SimulatedMarket()
    market.on_trade(at, Decimal(price), Decimal(volume))
    return market


def quoted(bid: Number, ask: Number, at: int = NOON) -> SimulatedMarket:
    market = traded()
    market.book.on_tick(builders.quote(bid=bid, ask=ask, at=at))
    return market


def test_by_hand() -> None:
    # Touch 100 x 1.0002 = 100.02; impact 0.0005 x sqrt(25 / 100) = 0.00025;
    # 100.02 x 1.00025 = 100.045005, up to the tick: 100.05; fee 100.05 x 25 x 0.0008 = 2.001.
    bought = fill(traded(), quantity=25, settings={})

    assert bought.price == Decimal("100.05")
    assert bought.fees == Decimal("2.001")
    assert bought.slippage_bps == 5
    assert bought.arithmetic == {
        "touch": Decimal("100.02"),
        "half_spread": Decimal("0.02"),
        "impact_pct": Decimal("0.00025"),
        "minute_volume": 100,
        "fee_rate": Decimal("0.0008"),
    }


def test_a_sale_mirrors_a_purchase() -> None:
    sold = fill(traded(), Side.SELL, quantity=25, settings={})

    assert sold.price == Decimal("99.95")  # 99.98 x 0.99975 = 99.955005, down to the tick
    assert sold.slippage_bps == 5


def test_buys_pay_the_ask_and_sells_get_the_bid() -> None:
    market = quoted(99, 102)

    assert fill(market).price == 102
    assert fill(market, Side.SELL).price == 99
    assert fill(market).arithmetic["half_spread"] == Decimal("1.5")


def test_a_quote_counts_for_five_seconds() -> None:
    market = quoted(99, 102)

    assert fill(market, now=NOON + 5000).price == 102
    assert fill(market, now=NOON + 5001).price == 100


@pytest.mark.parametrize(("bid", "ask"), [(None, 102), (99, None), (0, 102), (99, 0)])
def test_half_a_quote_is_none(bid: int | None, ask: int | None) -> None:
    market = traded()
    market.book.on_tick(builders.quote(bid=bid, ask=ask, at=NOON))

    assert market.book.fresh(NOON) is None
    assert fill(market).price == 100


def test_without_any_price_there_is_no_fill() -> None:
    ask = FillRequest(side=Side.BUY, quantity=Decimal(1), order_price=Decimal(100))
    settings = TradingSettings.parse({})[0]

    assert market_fill(ask, SimulatedMarket(), NOON, builders.instrument(), settings) is None


@pytest.mark.parametrize(
    ("tick", "bought", "sold"), [("0.01", "100.04", "99.96"), ("0.5", "100.5", "99.5")]
)
def test_prices_are_rounded_to_ticks_against_the_trader(tick: str, bought: str, sold: str) -> None:
    settings = {**FREE, "SIM_HALF_SPREAD_PCT": "0.00035"}

    assert fill(traded(), tick=tick, settings=settings).price == Decimal(bought)
    assert fill(traded(), Side.SELL, tick=tick, settings=settings).price == Decimal(sold)


def test_nothing_is_sold_below_one_tick() -> None:
    assert fill(traded("0.004"), Side.SELL, order_price="0.004").price == Decimal("0.01")


def test_fees_are_rounded_up_to_the_settle_coin_s_quantum() -> None:
    result = fill(traded("0.01"), quantity="0.00000001", order_price="0.01")

    assert result.fees == Decimal("0.00000001")


@pytest.mark.parametrize(
    ("quantity", "volume", "expected"),
    [(100, 100, "0.0005"), (25, 100, "0.00025"), (400, 100, "0.001"), (1, 0, "0.0005")],
)
def test_impact_grows_with_the_square_root_of_participation(
    quantity: int, volume: int, expected: str
) -> None:
    assert impact_pct(Decimal(quantity), Decimal(volume), Decimal("0.0005")) == Decimal(expected)


def test_a_fill_takes_at_most_what_the_last_minute_traded() -> None:
    market = traded(volume=60)

    result = fill(market, quantity=1000, settings={})

    assert (result.quantity, result.arithmetic["impact_pct"]) == (60, Decimal("0.0005"))


prices = st.decimals("0.01", "100000", places=2)


@given(
    side=st.sampled_from(Side),
    price=prices,
    order_price=prices,
    quantity=st.decimals("0.001", "10000", places=3),
    volume=st.decimals("0.001", "10000", places=3),
)
def test_a_fill_is_never_better_than_the_market(
    side: Side, price: Decimal, order_price: Decimal, quantity: Decimal, volume: Decimal
) -> None:
    market = traded(price, volume)

    result = fill(market, side, quantity, order_price, settings={})

    assert (result.price - price) * side.sign >= 0 or result.price == Decimal("0.01")
    assert result.price % Decimal("0.01") == 0
    assert result.fees > 0
    assert (result.slippage_pct > 0) == ((result.price - order_price) * side.sign > 0)


# Inverse contracts: quantity is quote, books and volumes are base


def inverse() -> Instrument:
    """One contract is one dollar; half-dollar ticks."""
    return generic_instrument("XBT_USD", Decimal("0.5"), inverse=True)


def inverse_ask(side: Side = Side.BUY, quantity: Number = 1000, **fields: Decimal) -> FillRequest:
    given = {"order_price": Decimal(5000), **fields}
    return FillRequest(side=side, quantity=Decimal(quantity), **given)


def test_an_inverse_contract_walks_the_book_in_coins_and_pays_on_its_face_value() -> None:
    market = SimulatedMarket()
    market.book.on_tick(builders.depth(bids=[("4999.5", 1)], asks=[(5000, "0.1"), (5001, 9)]))
    settings = TradingSettings.parse({})[0]

    filled = market_fill(inverse_ask(), market, NOON, inverse(), settings)

    # 500 at 5000 and 500 at 5001: 1000 / (0.1 + 500 / 5001) = 5000.4999, up to the tick
    assert filled is not None
    assert (filled.quantity, filled.price) == (1000, Decimal("5000.5"))
    assert filled.fees == Decimal("0.8")
    market.consume(filled, Side.BUY, inverse())
    assert len(market.book.asks) == 1


def test_without_depth_its_impact_compares_coins() -> None:
    market = SimulatedMarket()
    market.on_trade(NOON, Decimal(5000), Decimal("0.8"))
    settings = TradingSettings.parse({"SIM_HALF_SPREAD_PCT": "0"})[0]

    filled = market_fill(inverse_ask(), market, NOON, inverse(), settings)

    # 1000 dollars are 0.2 coins of 0.8: 0.0005 x sqrt(0.25)
    assert filled is not None
    assert filled.arithmetic["impact_pct"] == Decimal("0.00025")


def test_a_resting_order_of_an_inverse_contract_fills_from_the_traded_coins() -> None:
    market = SimulatedMarket()
    market.on_trade(NOON, Decimal(4999), Decimal("0.1"))

    filled = maker_fill(inverse_ask(limit=Decimal(5000)), market, inverse())

    assert filled is not None
    assert (filled.quantity, filled.price, filled.fees) == (500, 5000, Decimal("0.3"))
    market.consume(filled, Side.BUY, inverse())
    assert market.unclaimed == 0


@pytest.mark.parametrize(("side", "price"), [(Side.SELL, "3750"), (Side.BUY, "3749.5")])
def test_a_takeover_costs_the_margin_and_no_tick_more_and_the_venue_s_fee(
    side: Side, price: str
) -> None:
    taken = takeover_fill(inverse_ask(side), Decimal("3749.8"), inverse())

    assert (taken.price, taken.fees, taken.liquidity) == (
        *(Decimal(price), Decimal("0.4"), "liquidation"),
    )


@pytest.mark.parametrize(
    ("side", "worst", "price"),
    [
        (Side.SELL, "3749.8", "3750"),
        (Side.SELL, "3750", "3750"),
        (Side.BUY, "3700.8", "3700.5"),
        (Side.BUY, "3600", "3600"),
        (Side.BUY, "0", "0.5"),
    ],
)
def test_a_capped_fill_is_at_the_tick_that_is_no_worse_than_the_worst_price(
    side: Side, worst: str, price: str
) -> None:
    ask, filled = inverse_ask(side), at_the_market(side)

    capped = capped_fill(ask, filled, Decimal(worst), inverse())

    assert (capped.price, capped.quantity) == (Decimal(price), 1000)
    assert (capped.fees, capped.liquidity) == (Decimal("0.8"), "taker")
    assert capped.slippage_pct == (Decimal(price) - 5000) / 5000 * side.sign
    assert capped.arithmetic["market_price"] == filled.price
    assert capped.arithmetic["worst_price"] == Decimal(worst)


@pytest.mark.parametrize(
    ("side", "worst"),
    [(Side.SELL, "3700"), (Side.SELL, "3700.5"), (Side.BUY, "3701"), (Side.BUY, "3800")],
)
def test_a_market_that_is_no_worse_is_left_as_it_is(side: Side, worst: str) -> None:
    filled = at_the_market(side)

    assert capped_fill(inverse_ask(side), filled, Decimal(worst), inverse()) is filled


def test_a_capped_fill_closes_no_more_than_is_asked_for() -> None:
    ask = inverse_ask(Side.SELL, quantity=300)

    capped = capped_fill(ask, at_the_market(Side.SELL), Decimal(3750), inverse())

    assert (capped.quantity, capped.fees) == (300, Decimal("0.24"))


def at_the_market(side: Side) -> Fill:
    """1,000 dollars, sold at 3700.5 or bought at 3701."""
    market = SimulatedMarket()
    market.on_trade(NOON, Decimal("3700.5" if side is Side.SELL else "3701"), Decimal(1_000_000))
    filled = market_fill(inverse_ask(side), market, NOON, inverse(), TradingSettings.parse(FREE)[0])
    assert filled is not None
    return filled
