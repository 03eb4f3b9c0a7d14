"""What a person sees of the account, figure by figure."""

import json
from decimal import Decimal

import pytest
from msgspec.structs import replace

from services.kernel.events import Event, PortfolioSnapshot, Side, TradingState, codec
from services.kernel.instruments.contracts import generic_instrument
from services.kernel.portfolio import views
from services.kernel.portfolio.portfolio import Portfolio
from tests import builders
from tests.builders import BTC, DAY_MS, ETH, MIDNIGHT, NOON
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]

XBT = "XBT_USD"
NEAR = Decimal("0.000001")


def account(*events: Event, settings: dict[str, str] | None = None) -> Portfolio:
    portfolio = Portfolio()
    xbt = generic_instrument(XBT, Decimal("0.5"), inverse=True)
    for event in (
        builders.run_started(settings),
        builders.instruments(*map(builders.instrument, (BTC, ETH)), xbt),
        *events,
    ):
        portfolio.apply(event)
    return portfolio


def test_a_linear_position() -> None:
    (view,) = views.positions(
        account(
            builders.result(BTC, Side.BUY, 10, 100, stop=98, leverage=10),
            builders.mark(BTC, 102),
            settings={"TAKE_PROFIT_PCT": "0.05"},
        )
    )

    assert (view.symbol, view.quantity, view.entry_price, view.mark_price) == (BTC, 10, 100, 102)
    assert (view.notional, view.unrealised_profit) == (1020, 20)
    assert (view.stop_loss_price, view.take_profit_price) == (98, 105)
    assert (view.leverage, view.inverse, view.margin) == (10, False, 100)
    assert view.maintenance_margin == 1000 * Decimal("0.005") + 1020 * Decimal("0.0004")
    # (1000 - 100 + 5) / (10 x 0.9996)
    assert view.liquidation_price == pytest.approx(Decimal("90.536214"), abs=NEAR)


@pytest.mark.parametrize(
    ("prices", "priced_at"),
    [
        ([], None),
        ([builders.trade(BTC, 101, NOON + 500)], NOON + 500),
        ([builders.trade(BTC, 101, NOON + 500), builders.mark(BTC, 102, NOON + 100)], NOON + 100),
        # Nothing for two days: the age is that of the last price, whatever the clock says.
        (
            [builders.trade(BTC, 101, NOON + 500), builders.clock(NOON + 2 * DAY_MS)],
            NOON + 500,
        ),
        # An unconfirmed jump is no price.
        ([builders.trade(BTC, 100, NOON), builders.trade(BTC, 200, NOON + 900)], NOON),
    ],
)
def test_a_position_says_when_its_price_was_made(
    prices: list[Event], priced_at: int | None
) -> None:
    (view,) = views.positions(account(builders.result(BTC, Side.BUY, 10, 100), *prices))

    assert view.priced_at == priced_at


def test_a_position_of_the_run_before_keeps_the_age_of_its_price_until_a_new_one_comes() -> None:
    held = replace(builders.opening_position(BTC, 2, 100), priced_at=NOON - DAY_MS)
    portfolio = Portfolio()
    portfolio.apply(builders.run_started(opening=builders.account(positions=[held])))
    assert views.positions(portfolio)[0].priced_at == NOON - DAY_MS
    assert portfolio.priced_at(ETH) is None

    portfolio.apply(builders.trade(BTC, 101, NOON))

    assert views.positions(portfolio)[0].priced_at == NOON


def test_an_inverse_position() -> None:
    (view,) = views.positions(
        account(
            builders.result(XBT, Side.SELL, 1_000, 100, leverage=5),
            builders.mark(XBT, 80),
            settings={"TAKE_PROFIT_PCT": "0.25"},
        )
    )

    # 10 coins, sold for 1,000 dollars, worth 800 now; margin 2 coins, maintenance 0.05.
    assert (view.quantity, view.entry_price, view.inverse) == (-1_000, 100, True)
    assert (view.notional, view.unrealised_profit, view.margin) == (1_000, 200, 160)
    assert (view.stop_loss_price, view.take_profit_price) == (None, 75)
    assert view.maintenance_margin == Decimal("0.05") * 80 + Decimal("0.4")
    # 1000 x 0.9996 / (10 - 1.95)
    assert view.liquidation_price == pytest.approx(Decimal("124.173913"), abs=NEAR)


def test_positions_without_goal_stop_or_leverage_have_none() -> None:
    (view,) = views.positions(account(builders.result(BTC, Side.BUY, 10, 100, leverage=1)))

    assert (view.stop_loss_price, view.take_profit_price) == (None, None)
    assert view.margin == view.notional == 1000


def test_a_symbol_with_a_position_and_one_without() -> None:
    settled = NOON + 1000
    portfolio = account(
        builders.result(BTC, Side.BUY, 10, 100, fees=1, leverage=10),
        builders.result(ETH, Side.SELL, 5, 50, fees=2),
        builders.result(ETH, Side.BUY, 5, 48, fees=2),
        builders.funding(BTC, "0.001", settled, NOON),
        builders.clock(settled),
        builders.mark(BTC, 103, settled),
    )

    btc, eth = views.symbols(portfolio)

    assert (btc.symbol, btc.profit, btc.unrealised_profit) == (BTC, 28, 30)
    assert (btc.realised_profit, btc.fees, btc.funding) == (0, 1, -1)
    assert (btc.exposure, btc.margin) == (1030, 100)
    assert (btc.round_trips, btc.wins) == (0, 0)
    assert (eth.symbol, eth.profit, eth.unrealised_profit) == (ETH, 6, 0)
    assert (eth.realised_profit, eth.fees, eth.funding) == (10, 4, 0)
    assert (eth.exposure, eth.margin) == (0, 0)
    assert (eth.round_trips, eth.wins) == (1, 1)


def test_the_money_of_an_account_without_positions_is_written_as_text_like_any_other() -> None:
    desk = Desk()

    desk.wait(60)

    told = json.loads(codec.encode(builders.of_type(desk.events, PortfolioSnapshot)[-1]))
    figures = (
        "equity",
        "gross_exposure",
        "initial_margin",
        "maintenance_margin",
        "available_margin",
    )
    assert {name: told[name] for name in figures} == {
        "equity": "100000",
        "gross_exposure": "0",
        "initial_margin": "0",
        "maintenance_margin": "0",
        "available_margin": "100000",
    }


def test_what_a_symbol_lost_since_its_peak_and_since_midnight() -> None:
    portfolio = account(builders.clock(NOON), builders.result(BTC, Side.BUY, 10, 100))

    def losses() -> tuple[Decimal, Decimal, Decimal]:
        (view,) = views.symbols(portfolio)
        return view.daily_drawdown, view.drawdown, view.max_drawdown

    for price in (108, 97, 104):
        portfolio.apply(builders.mark(BTC, price))
    assert losses() == (0, 40, 110)

    portfolio.apply(builders.clock(MIDNIGHT + builders.DAY_MS))
    portfolio.apply(builders.mark(BTC, 103))
    assert losses() == (10, 50, 110)

    portfolio.apply(builders.mark(BTC, 108))
    assert losses() == (0, 0, 110)


def test_a_release_leaves_what_symbols_lost_as_it_is() -> None:
    portfolio = account(builders.result(BTC, Side.BUY, 10, 100), builders.mark(BTC, 90))

    portfolio.apply(builders.trading_state(TradingState.ACTIVE, TradingState.HALTED, equity=99_900))

    assert portfolio.drawdown_pct == 0
    assert views.symbols(portfolio)[0].drawdown == 100
