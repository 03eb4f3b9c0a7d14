"""Margin is a cap, in valuation and at the fill: no jump of a price costs more than backs it."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.events import Event, OrderResult, OrderStatus, Side
from services.kernel.instruments.contracts import generic_instrument
from services.kernel.portfolio import views
from services.kernel.reasons import Reason
from tests import builders
from tests.builders import BTC, ETH
from tests.unit.kernel.desk import Desk
from tests.unit.kernel.portfolio.broker import Exchange, fills_of, status_of

pytestmark = [pytest.mark.unit, pytest.mark.risk]

XBT = "XBT_USD"
SYMBOLS = (BTC, ETH, XBT)
ALMOST = Decimal("1E-9")
"""What figures that are rounded to 16 decimals may differ by when they are added up."""
BOLD = {
    "MAX_POSITION_PCT": "0.25",
    "MAX_TOTAL_EXPOSURE_PCT": "0.80",
    "MAX_CORRELATED_EXPOSURE_PCT": "0.80",
    "RISK_PER_TRADE_PCT": "0.02",
    "STOP_LOSS_PCT": "0.05",
    "MIN_LIQUIDATION_DISTANCE": "0.05",
    "MAX_TRADES_PER_HOUR": "1000",
    "MAX_SLIPPAGE_PCT": "0.05",
    "LOSS_COOLDOWN_SEC": "0",
    "MAX_PRICE_JUMP_PCT": "0.30",
    "CIRCUIT_BREAKER_THRESHOLD_PCT": "0.30",
}
FACTORS = [
    Decimal(factor)
    for factor in ("0.001", "0.01", "0.4", "0.75", "0.98", "1.02", "1.3", "3", "100", "1000")
]
symbols = st.sampled_from(SYMBOLS)
sides = st.sampled_from(Side)
factors = st.sampled_from(FACTORS)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), symbols, sides),
        st.tuples(st.just("jump"), symbols, factors),
        st.tuples(st.just("jump"), symbols, factors),
        st.tuples(st.just("fair_price"), symbols, factors),
        st.tuples(st.just("leave"), symbols),
        st.tuples(st.just("settle"), symbols, st.sampled_from(("-0.03", "0.03"))),
    ),
    min_size=2,
    max_size=25,
)


class SymbolPricing:
    """Three contracts whose prices jump, and a strategy that leaves before any liquidation."""

    def __init__(self, margin_mode: str, leverage: str, equity: str = "100000") -> None:
        self.prices = dict.fromkeys(SYMBOLS, Decimal(1000))
        self.isolated = margin_mode == "isolated"
        contracts = [builders.instrument(symbol) for symbol in (BTC, ETH)]
        contracts.append(generic_instrument(XBT, Decimal("0.5"), inverse=True))
        self.desk = Desk(
            BOLD | {"MARGIN_MODE": margin_mode, "MAX_LEVERAGE": leverage},
            contracts=contracts,
            opening=builders.account(equity),
        )
        self.folds = [
            self.desk.portfolio.portfolio,
            self.desk.risk.portfolio,
            self.desk.execution.portfolio,
        ]
        for symbol in SYMBOLS:
            self.feed(builders.trade(symbol, 1000, self.desk.now))

    def play(self, step: tuple[Any, ...]) -> None:
        kind, symbol, *given = step
        getattr(self, kind)(symbol, *given)

    def enter(self, symbol: str, side: Side) -> None:
        """The operator lifts what stands in the way, and the strategy enters."""
        self.feed(builders.reset(at=self.desk.now))
        self.feed(builders.resume(symbol, at=self.desk.now))
        self.trade(symbol)
        self.feed(builders.signal(symbol, side, self.prices[symbol], self.desk.now))
        self.next_second(symbol)

    def leave(self, symbol: str) -> None:
        for side in Side:
            price = self.prices[symbol]
            self.feed(builders.exit_signal(symbol, side, price, self.desk.now))
        self.next_second(symbol)

    def jump(self, symbol: str, factor: Decimal) -> None:
        """The strategy's exit is pending when the price jumps; the jump is confirmed."""
        self.leave_at_next_tick(symbol)
        self.move(symbol, factor)
        for _ in range(3):
            self.next_second(symbol)

    def fair_price(self, symbol: str, factor: Decimal) -> None:
        """Only the mark price moves: liquidation comes first, and trades follow."""
        self.move(symbol, factor)
        self.desk.wait(1)
        self.feed(builders.mark(symbol, self.prices[symbol], self.desk.now))
        self.next_second(symbol)
        self.next_second(symbol)

    def settle(self, symbol: str, rate: str) -> None:
        due = self.desk.now + 500
        self.feed(builders.funding(symbol, rate, due, self.desk.now))
        self.next_second(symbol)

    def leave_at_next_tick(self, symbol: str) -> None:
        for side in Side:
            signal = builders.exit_signal(symbol, side, self.prices[symbol], self.desk.now)
            self.feed(signal)

    def move(self, symbol: str, factor: Decimal) -> None:
        price = (self.prices[symbol] * factor).quantize(Decimal("0.5"))
        self.prices[symbol] = min(max(price, Decimal("0.5")), Decimal(10) ** 9)

    def next_second(self, symbol: str) -> None:
        self.desk.now += 1000
        self.feed(builders.clock(self.desk.now))
        self.trade(symbol)

    def trade(self, symbol: str) -> None:
        self.feed(builders.trade(symbol, self.prices[symbol], self.desk.now, 10**9))

    def feed(self, event: Event) -> None:
        fold = self.folds[0]
        backed = {
            symbol: (position.quantity, position.cost / abs(position.quantity), position.leverage)
            for symbol, position in fold.state.positions.items()
        }
        for led_to in self.desk.feed(event):
            if isinstance(led_to, OrderResult) and led_to.filled_price is not None:
                self.check_fill(led_to, backed.get(led_to.symbol))
        self.check_account()

    def check_fill(
        self, fill: OrderResult, backed: tuple[Decimal, Decimal, Decimal] | None
    ) -> None:
        """An isolated position, or a part of one, loses no more than its margin."""
        if not self.isolated or backed is None or fill.filled_price is None:
            return
        quantity, unit_cost, leverage = backed
        if quantity * fill.side.sign > 0:
            return
        closed, price = min(abs(quantity), fill.filled_quantity), fill.filled_price
        if fill.symbol == XBT:  # in coins
            lost = (closed / price - closed * unit_cost) * (1 if quantity > 0 else -1)
        else:
            lost = closed * (unit_cost - price) * (1 if quantity > 0 else -1)
        assert lost <= closed * unit_cost / leverage + ALMOST

    def check_account(self) -> None:
        fold = self.folds[0]
        assert fold.equity >= 0
        held = views.positions(fold)
        if self.isolated:
            for view in held:
                assert view.unrealised_profit >= -view.margin - ALMOST
        unrealised = sum((view.unrealised_profit for view in held), Decimal(0))
        assert abs(fold.cash + unrealised - fold.equity) <= ALMOST * max(1, fold.equity)
        parts = sum((view.profit for view in views.symbols(fold)), fold.state.start_equity)
        assert abs(parts - fold.equity) <= ALMOST * max(1, fold.equity)
        assert len({fold.checksum() for fold in self.folds}) == 1


@pytest.mark.parametrize("margin_mode", ["isolated", "cross"])
@settings(max_examples=60)
@given(steps=steps, leverage=st.sampled_from(["1", "3", "10"]))
def test_no_jump_of_prices_costs_more_than_backs_a_position(
    margin_mode: str, leverage: str, steps: list[tuple[Any, ...]]
) -> None:
    market = SymbolPricing(margin_mode, leverage)
    for step in steps:
        market.play(step)


# Fills


@pytest.mark.parametrize(
    ("held", "jump", "filled"), [(9, "0.1", "66.67"), (-9, "10000", "133.33"), (9, "70", "70")]
)
def test_a_pending_exit_fills_at_the_bankruptcy_price_at_worst(
    held: int, jump: str, filled: str
) -> None:
    exchange = Exchange()
    exchange.holds(held)
    side = Side.SELL if held > 0 else Side.BUY
    exchange.order(side, 9, 100, reduce_only=True)
    exchange.now += 4_000

    exchange.prints(jump)
    exchange.now += 4_000
    (result,) = exchange.prints(jump)

    assert (result.filled_quantity, result.filled_price) == (9, Decimal(filled))
    lost = Decimal(9) * abs(Decimal(filled) - 100)
    assert exchange.stage.portfolio.equity == 100_000 - lost - result.fees


def test_an_entry_against_a_lost_position_closes_it_and_opens_nothing() -> None:
    exchange = Exchange()
    exchange.holds(9)
    for _ in range(2):
        exchange.now += 4_000
        exchange.prints(50)
    exchange.order(Side.SELL, 12, 50)

    closed, rest = exchange.prints(50)

    assert fills_of([closed]) == [(9, Decimal("66.67"), "taker")]
    assert status_of([closed, rest]) == [
        (OrderStatus.PARTIALLY_FILLED, None),
        (OrderStatus.CANCELLED, Reason.REDUCED_TO_POSITION),
    ]
    assert exchange.stage.portfolio.state.positions == {}


def test_an_entry_that_adds_to_a_lost_position_pays_the_market_s_price() -> None:
    exchange = Exchange()
    exchange.holds(9)
    for _ in range(2):
        exchange.now += 4_000
        exchange.prints(50)
    exchange.order(Side.BUY, 1, 50)

    assert fills_of(exchange.prints(50)) == [(1, 50, "taker")]
