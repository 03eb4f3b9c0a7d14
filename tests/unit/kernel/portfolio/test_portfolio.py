"""The portfolio fold against a plain ledger, and the figures that losses are limited by."""

import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.events import Event, MarketDataKind, OrderStatus, Side, TradingState
from services.kernel.portfolio import views
from services.kernel.portfolio.portfolio import ClosedTrade, Portfolio
from tests import builders
from tests.builders import BTC, DAY_MS, ETH, MIDNIGHT, NOON, Number

pytestmark = [pytest.mark.unit, pytest.mark.risk]


def opened(*events: Event, settings: dict[str, str] | None = None, **fields: Any) -> Portfolio:
    portfolio = Portfolio()
    portfolio.apply(builders.run_started(settings, opening=builders.account(**fields)))
    for event in events:
        portfolio.apply(event)
    return portfolio


def bought(quantity: Number, price: Number = 100, **fields: Any) -> Event:
    return builders.result(BTC, Side.BUY, quantity, price, **fields)


def sold(quantity: Number, price: Number = 100, **fields: Any) -> Event:
    return builders.result(BTC, Side.SELL, quantity, price, **fields)


def closed(portfolio: Portfolio, event: Event) -> ClosedTrade:
    (effect,) = portfolio.apply(event)
    assert isinstance(effect, ClosedTrade)
    return effect


# Positions


def test_a_short_opened_from_flat_makes_no_profit() -> None:
    portfolio = opened(builders.trade(price=100), sold(10, 100))

    assert portfolio.state.realised_profit == 0
    assert portfolio.equity == 100_000
    assert portfolio.quantity(BTC) == -10


@pytest.mark.parametrize(("side", "profit"), [(Side.BUY, 50), (Side.SELL, -50)])
def test_a_round_trip_realises_the_difference_of_prices(side: Side, profit: int) -> None:
    portfolio = opened(builders.result(BTC, side, 10, 100))

    trade = closed(portfolio, builders.result(BTC, side.opposite, 10, 105, NOON + 1000, fees=2))

    assert (trade.gross_profit, trade.entry_price, trade.exit_price) == (profit, 100, 105)
    assert (trade.side, trade.quantity, trade.fees_close) == (side, 10, 2)
    assert (trade.opened_at, trade.closed_at) == (NOON, NOON + 1000)
    assert portfolio.equity == portfolio.cash == 100_000 + profit - 2
    assert portfolio.state.positions == {}


def test_adding_averages_the_entry_price() -> None:
    portfolio = opened(bought(1, 100), bought(2, 106))

    assert portfolio.state.positions[BTC].entry_price == 104
    assert portfolio.quantity(BTC) == 3


def test_a_partial_close_keeps_the_entry_price_of_the_rest() -> None:
    portfolio = opened(bought(3, 100, fees=3))

    trade = closed(portfolio, sold(1, 110, fees=1))

    assert (trade.quantity, trade.gross_profit) == (1, 10)
    assert portfolio.state.positions[BTC].entry_price == 100
    assert (portfolio.quantity(BTC), portfolio.cash) == (2, 100_006)


def test_a_flip_closes_the_old_position_and_opens_the_new_one_at_the_fill() -> None:
    portfolio = opened(bought(2, 100, stop=98, leverage=2))

    trade = closed(portfolio, sold(5, 110, at=NOON + 9, fees=5, stop=112, leverage=3))

    assert (trade.quantity, trade.gross_profit, trade.fees_close) == (2, 20, 2)
    position = portfolio.state.positions[BTC]
    assert (position.quantity, position.entry_price) == (-3, 110)
    assert (position.stop_loss_price, position.leverage) == (112, 3)
    assert position.opened_at == NOON + 9


@pytest.mark.parametrize(
    ("side", "stops", "kept"),
    [
        (Side.BUY, (98, 99), 99),
        (Side.BUY, (99, 98), 99),
        (Side.SELL, (102, 101), 101),
        (Side.BUY, (98, None), 98),
        (Side.BUY, (None, None), None),
    ],
)
def test_of_two_stops_the_one_that_is_hit_first_stays(
    side: Side, stops: tuple[int | None, ...], kept: int | None
) -> None:
    portfolio = opened(*(builders.result(BTC, side, "0.1", 100, stop=stop) for stop in stops))

    assert portfolio.state.positions[BTC].stop_loss_price == kept


@pytest.mark.parametrize(
    "event",
    [
        sold(1, None, status=OrderStatus.REJECTED),
        sold(1, None, status=OrderStatus.CANCELLED),
        sold(0, 100, status=OrderStatus.CANCELLED),
        builders.result(ETH, Side.BUY, 0, 100, status=OrderStatus.CANCELLED),
        builders.order(),
        builders.signal(),
        builders.quote(),
        builders.trade(price=0),
        builders.trade(price=-5),
        builders.mark(price=0),
        builders.trade(price=50, backfill=True),
        builders.tick(MarketDataKind.TRADE, BTC, NOON),
        builders.tick(MarketDataKind.MARK, BTC, NOON),
    ],
)
def test_what_fills_nothing_and_marks_nothing_changes_nothing(event: Event) -> None:
    portfolio = opened(builders.trade(price=100), bought(1))
    before = portfolio.checksum()

    assert portfolio.apply(event) == ()
    assert portfolio.checksum() == before


# Marking


def test_every_trade_marks_to_market() -> None:
    portfolio = opened(bought(10, 100))

    for price, equity in ((101, 100_010), (99, 99_990), (100, 100_000)):
        portfolio.apply(builders.trade(price=price))
        assert portfolio.equity == equity
        assert portfolio.gross_exposure == 10 * price


def test_a_fresh_mark_price_wins_over_trades() -> None:
    portfolio = opened(bought(10, 100), builders.mark(price=101, at=NOON))

    portfolio.apply(builders.trade(price=90, at=NOON + 60_000))
    assert portfolio.mark_price(BTC) == 101
    portfolio.apply(builders.trade(price=90, at=NOON + 60_001))
    assert portfolio.mark_price(BTC) == 90


def test_the_age_of_a_mark_price_is_limited_by_the_stale_timeout_whatever_its_spelling() -> None:
    portfolio = Portfolio()
    portfolio.apply(builders.run_started({"DATA_STALE_TIMEOUT_SEC": "10.0"}))
    portfolio.apply(builders.mark(price=101))

    portfolio.apply(builders.trade(price=90, at=NOON + 10_001))

    assert portfolio.mark_price(BTC) == 90


def test_a_position_is_opened_at_the_market_not_at_its_own_fill() -> None:
    portfolio = opened(builders.trade(price=100), bought(10, "100.04"))

    assert portfolio.equity == Decimal("99999.6")


def test_a_symbol_without_a_price_has_none() -> None:
    assert opened().mark_price(BTC) is None
    assert opened(builders.funding()).mark_price(BTC) is None


# Days, peaks and losses


def test_the_day_begins_at_midnight_utc_with_the_equity_of_that_moment() -> None:
    portfolio = opened(builders.clock(NOON), bought(10, 100), builders.trade(price=90))
    assert portfolio.daily_drawdown_pct == Decimal("0.001")

    portfolio.apply(builders.clock(MIDNIGHT + DAY_MS - 1))
    assert portfolio.state.day_start_equity == 100_000
    portfolio.apply(builders.clock(MIDNIGHT + DAY_MS))

    assert portfolio.state.day_start_equity == 99_900
    assert portfolio.daily_drawdown_pct == 0
    assert portfolio.drawdown_pct == Decimal("0.001")


def test_the_first_clock_opens_the_first_day() -> None:
    portfolio = opened(day_start=50_000)

    portfolio.apply(builders.clock(NOON))

    assert portfolio.state.day_start_equity == 100_000
    assert portfolio.state.day == NOON // DAY_MS


def test_the_day_of_an_account_carried_over_goes_on() -> None:
    portfolio = opened(day=NOON // DAY_MS, day_start=110_000, peak=120_000)

    portfolio.apply(builders.clock(NOON))

    assert portfolio.state.day_start_equity == 110_000
    assert portfolio.drawdown_pct == Decimal(1) / 6


def test_the_peak_follows_equity_up_only() -> None:
    portfolio = opened(bought(10, 100))

    for price in (110, 120, 90):
        portfolio.apply(builders.mark(price=price))

    assert portfolio.state.peak_equity == 100_200
    assert portfolio.drawdown_pct == Decimal(300) / 100_200


def test_a_release_rebases_but_the_worst_of_the_run_stays_known() -> None:
    entry = bought(100, 100, leverage=1)
    portfolio = opened(builders.clock(), entry, builders.mark(price=50))
    worst = (portfolio.state.max_drawdown_pct, portfolio.state.worst_day_pct)
    assert worst == (Decimal("0.05"), Decimal("0.05"))

    portfolio.apply(builders.trading_state(TradingState.ACTIVE, TradingState.HALTED, equity=95_000))
    assert portfolio.drawdown_pct == portfolio.daily_drawdown_pct == 0
    portfolio.apply(builders.mark(price=40))

    assert portfolio.drawdown_pct == Decimal(1000) / 95_000
    assert portfolio.state.max_drawdown_pct == portfolio.state.worst_day_pct == Decimal("0.06")


def test_the_worst_day_is_from_its_first_equity_to_its_lowest() -> None:
    portfolio = opened(builders.clock(), bought(100, 100))
    for day, low in enumerate((90, 95, 70), start=1):
        portfolio.apply(builders.mark(price=low))
        portfolio.apply(builders.mark(price=100))
        portfolio.apply(builders.clock(MIDNIGHT + day * DAY_MS))

    assert portfolio.state.worst_day_pct == Decimal("0.03")
    assert portfolio.state.max_drawdown_pct == Decimal("0.03")


@pytest.mark.parametrize(
    "event",
    [
        builders.trading_state(TradingState.HALTED, equity=1),
        builders.trading_state(TradingState.ACTIVE, TradingState.PAUSED, equity=1),
        builders.trading_state(TradingState.HALTED, TradingState.HALTED, equity=1),
        builders.trading_state(TradingState.ACTIVE, TradingState.HALTED, symbol=BTC, equity=1),
    ],
)
def test_only_the_release_of_an_account_rebases(event: Event) -> None:
    portfolio = opened()

    portfolio.apply(event)

    assert portfolio.state.peak_equity == portfolio.state.day_start_equity == 100_000


def test_an_account_of_less_than_one_loses_as_any_other() -> None:
    portfolio = opened(sold("0.001", 100, fees="0.1"), cash="0.5")

    assert portfolio.drawdown_pct == portfolio.daily_drawdown_pct == Decimal("0.2")


# Properties

lots = st.integers(1, 10_000).map(lambda n: Decimal(n) / 1000)
prices = st.integers(1, 100_000_000).map(lambda n: Decimal(n) / 10_000)
fills = st.tuples(st.just("fill"), st.sampled_from((BTC, ETH)), st.sampled_from(Side), lots, prices)
marks = st.tuples(st.just("mark"), st.sampled_from((BTC, ETH)), prices)
steps = st.lists(st.one_of(fills, marks), min_size=1, max_size=40)


RICH = 10**9
"""Equity that no loss of these tests uses up."""


class Ledger:
    """Cash and coins, in exact fractions; nothing else."""

    def __init__(self) -> None:
        self.cash = Fraction(RICH)
        self.coins = {BTC: Fraction(0), ETH: Fraction(0)}
        self.prices: dict[str, Fraction] = {}

    def fill(
        self, symbol: str, side: Side, quantity: Decimal, price: Decimal, fee: Decimal
    ) -> None:
        self.coins[symbol] += Fraction(quantity) * side.sign
        self.cash -= Fraction(quantity) * side.sign * Fraction(price) + Fraction(fee)
        self.prices.setdefault(symbol, Fraction(price))

    @property
    def equity(self) -> Fraction:
        return self.cash + sum(self.coins[s] * p for s, p in self.prices.items())


@given(steps)
def test_cash_and_coins_conserve_exactly_through_partial_closes_and_flips(
    steps: list[tuple[Any, ...]],
) -> None:
    portfolio, ledger = opened(cash=RICH, settings={"MARGIN_MODE": "cross"}), Ledger()
    portfolio.apply(builders.trade(BTC, 1))
    portfolio.apply(builders.trade(ETH, 1))
    ledger.prices = {BTC: Fraction(1), ETH: Fraction(1)}

    for step in steps:
        if step[0] == "mark":
            portfolio.apply(builders.mark(step[1], step[2]))
            ledger.prices[step[1]] = Fraction(step[2])
        else:
            _, symbol, side, quantity, price = step
            fee = (quantity * price * Decimal("0.0008")).quantize(Decimal("1e-8"))
            portfolio.apply(builders.result(symbol, side, quantity, price, fees=fee))
            ledger.fill(symbol, side, quantity, price, fee)

        state = portfolio.state
        assert Fraction(portfolio.equity) == ledger.equity
        assert portfolio.equity == (
            state.start_equity
            + state.realised_profit
            + sum((p.unrealised_profit for p in state.positions.values()), Decimal(0))
            - state.fees
            + state.funding
        )
        for symbol, coins in ledger.coins.items():
            assert Fraction(portfolio.quantity(symbol)) == coins
        assert state.peak_equity >= portfolio.equity


@given(steps)
def test_what_trades_realised_adds_up(steps: list[tuple[Any, ...]]) -> None:
    portfolio = opened()
    profit = Decimal(0)
    for step in steps:
        if step[0] == "fill":
            effects = portfolio.apply(builders.result(*step[1:]))
            profit += sum(
                (e.gross_profit for e in effects if isinstance(e, ClosedTrade)), profit * 0
            )

    assert profit == portfolio.state.realised_profit


def test_equal_folds_share_a_checksum_and_views_are_in_order() -> None:
    events = [builders.result(ETH, Side.SELL, 2, 50), bought(1)]
    one, two = opened(*events), opened(*reversed(events))

    assert one.checksum() == two.checksum()
    assert re.fullmatch("[0-9a-f]{32}", one.checksum())
    assert [view.symbol for view in views.positions(one)] == [BTC, ETH]
    assert views.positions(one)[1].notional == 100
    assert one.checksum() != opened(bought(1)).checksum()
