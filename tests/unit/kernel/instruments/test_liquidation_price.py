"""At which mark price an account's position is liquidated, with either margin mode."""

from decimal import Decimal

import pytest

from services.kernel.events import OpeningPosition, Side
from services.kernel.instruments import perpetuals
from services.kernel.instruments.contracts import MarginTier, generic_instrument
from services.kernel.portfolio import views
from services.kernel.portfolio.portfolio import Portfolio
from tests import builders
from tests.builders import BTC, ETH, Number

pytestmark = [pytest.mark.unit, pytest.mark.risk]

XBT = "XBT_USD"
CROSS = {"MARGIN_MODE": "cross"}
NEAR = Decimal("0.000001")


def account(
    cash: Number, *positions: OpeningPosition, settings: dict[str, str] | None = None
) -> Portfolio:
    portfolio = Portfolio()
    xbt = generic_instrument(XBT, Decimal("0.5"), inverse=True)
    opening = builders.account(cash, positions=positions)
    portfolio.apply(builders.run_started(settings, opening=opening))
    portfolio.apply(builders.instruments(*map(builders.instrument, (BTC, ETH)), xbt))
    return portfolio


def liquidated(portfolio: Portfolio, symbol: str, price: Decimal) -> bool:
    portfolio.apply(builders.mark(symbol, price))
    return portfolio.liquidates(portfolio.state.positions[symbol])


def test_an_isolated_position_has_a_price_of_its_own() -> None:
    portfolio = account(100_000, builders.opening_position(BTC, 10, 100, leverage=10))

    # (1000 - 100 + 5) / (10 x 0.9996)
    price = portfolio.liquidation_price(BTC)
    assert price == pytest.approx(Decimal("90.536214"), abs=NEAR)
    assert views.positions(portfolio)[0].liquidation_price == price


def test_every_fill_is_protected_by_the_contract_s_own_rates() -> None:
    tiers = tuple(
        MarginTier(
            max_quantity=Decimal(size),
            maintenance_margin_rate=Decimal(rate),
            max_leverage=Decimal(20),
        )
        for size, rate in ((10, "0.02"), (50, "0.05"))
    )
    contract = builders.instrument(BTC, tiers=tiers, liquidation_fee_rate=Decimal("0.01"))
    portfolio = account(100_000)
    portfolio.apply(builders.instruments(contract))

    portfolio.apply(builders.result(BTC, Side.BUY, 10, 100, leverage=10))
    # (1000 - 100 + 20) / (10 x 0.99)
    assert portfolio.liquidation_price(BTC) == pytest.approx(Decimal("92.929293"), abs=NEAR)

    portfolio.apply(builders.result(BTC, Side.BUY, 10, 100, leverage=10))
    # (2000 - 200 + 100) / (20 x 0.99), in the second tier
    assert portfolio.liquidation_price(BTC) == pytest.approx(Decimal("95.959596"), abs=NEAR)


@pytest.mark.parametrize(("quantity", "at"), [(10, "90.5"), (-10, "109.5")])
def test_an_isolated_position_is_liquidated_at_its_price_and_not_before(
    quantity: int, at: str
) -> None:
    portfolio = account(100_000, builders.opening_position(BTC, quantity, 100, leverage=10))
    free_of_fee = builders.instrument(BTC, liquidation_fee_rate=Decimal(0))
    portfolio.apply(builders.instruments(free_of_fee))  # (1000 - 100 + 5) / 10

    safe = NEAR if quantity > 0 else -NEAR
    assert not liquidated(portfolio, BTC, Decimal(at) + safe)
    assert liquidated(portfolio, BTC, Decimal(at))


@pytest.mark.parametrize(("settings", "free"), [({}, 4_700), (CROSS, 4_720)])
def test_profit_that_is_not_realised_backs_new_positions_with_cross_margin_only(
    settings: dict[str, str], free: int
) -> None:
    long = builders.opening_position(BTC, 10, 100, price=103, leverage=5)
    short = builders.opening_position(ETH, -10, 50, price=51, leverage=5)

    assert account(5_000, long, short, settings=settings).available_margin == free


@pytest.mark.parametrize("settings", [{}, CROSS])
def test_without_a_position_there_is_no_price(settings: dict[str, str]) -> None:
    portfolio = account(100_000, builders.opening_position(BTC, 10, 100), settings=settings)

    assert portfolio.liquidation_price(ETH) is None


@pytest.mark.parametrize("beside", [0, 20, -20])
@pytest.mark.parametrize(
    ("symbol", "quantity", "entry"),
    [(BTC, 10, 100), (BTC, -10, 100), (XBT, 1_000, 100), (XBT, -1_000, 100)],
)
def test_the_price_with_cross_margin_is_where_the_account_is_used_up(
    symbol: str, quantity: int, entry: int, beside: int
) -> None:
    """Whatever else the account holds, and however that has moved."""
    position = builders.opening_position(
        symbol, quantity, entry, price=101, leverage=10, inverse=symbol == XBT
    )
    other = [builders.opening_position(ETH, beside, 50, price=51)] if beside else []
    portfolio = account(300, position, *other, settings=CROSS)

    price = portfolio.liquidation_price(symbol)

    assert price is not None
    safe = NEAR if quantity > 0 else -NEAR
    assert not liquidated(portfolio, symbol, price + safe)
    assert liquidated(portfolio, symbol, price - safe)


def test_an_account_that_is_worth_just_the_maintenance_margin_is_liquidated() -> None:
    position = builders.opening_position(BTC, 10, 100)
    needed = 1000 * Decimal("0.005") + 1000 * Decimal("0.0004")

    at_the_limit = account(needed, position, settings=CROSS)
    above_it = account(needed + NEAR, position, settings=CROSS)

    assert at_the_limit.liquidates(at_the_limit.state.positions[BTC])
    assert not above_it.liquidates(above_it.state.positions[BTC])


@pytest.mark.parametrize(("quantity", "expected"), [("0.5", 90), ("-0.5", 110)])
def test_less_than_one_coin_has_a_side_too(quantity: str, expected: int) -> None:
    # 5 + (p - 100) x 0.5 = 0
    price = perpetuals.cross_liquidation_price(
        Decimal(quantity), Decimal(100), Decimal(5), Decimal(0)
    )

    assert price == expected


@pytest.mark.parametrize(
    ("inverse", "maintenance", "fee"), [(False, "0.005", "1"), (True, "1", "0.0004")]
)
def test_a_long_position_whose_gain_goes_to_the_venue_has_no_price(
    inverse: bool, maintenance: str, fee: str
) -> None:
    price = perpetuals.cross_liquidation_price(
        Decimal(10),
        Decimal(100),
        Decimal(50),
        Decimal(maintenance),
        liquidation_fee_rate=Decimal(fee),
        inverse=inverse,
    )

    assert price is None
