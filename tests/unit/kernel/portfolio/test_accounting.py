"""The fold against an independent accounting: linear and inverse, long and short, to the quantum.

A linear contract must agree exactly. In an inverse one the average entry price has no end; what
the two accounts may differ by is a quantum of the settle coin (1E-8) for all fills together.
"""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.events import Side
from services.kernel.portfolio import views
from services.kernel.portfolio.portfolio import ClosedTrade, Portfolio
from tests import builders
from tests.builders import BTC, HOUR_MS, MIDNIGHT
from tests.unit.kernel.portfolio.reference_account import Account, Contract

pytestmark = [pytest.mark.unit, pytest.mark.risk]

QUANTUM = Fraction(1, 10**8)
FEE = Decimal("0.0008")
EIGHT = MIDNIGHT + 8 * HOUR_MS

sides = st.sampled_from(Side)
prices = st.decimals("1000", "60000", places=1)
sizes = st.decimals("0.001", "20", places=3)
contracts = st.integers(1, 200_000).map(Decimal)
rates = st.decimals("-0.003", "0.003", places=6)


def steps(quantities: st.SearchStrategy[Decimal]) -> st.SearchStrategy[list[tuple[object, ...]]]:
    fill = st.tuples(st.just("fill"), sides, quantities, prices)
    mark = st.tuples(st.just("mark"), prices)
    settle = st.tuples(st.just("settle"), rates)
    return st.lists(st.one_of(fill, fill, mark, settle), min_size=1, max_size=30)


RICH = 10**9
"""Equity that no loss of these tests uses up."""


class Books:
    """The kernel's fold and the reference, given the same; the account pays every loss."""

    def __init__(self, *, inverse: bool, margin_mode: str = "cross") -> None:
        self.fold = Portfolio()
        self.reference = Account(Contract(inverse), Fraction(RICH))
        self.at = MIDNIGHT
        self.trades: list[ClosedTrade] = []
        contract = builders.instrument(BTC, inverse=inverse, lot_size=Decimal("0.001"))
        settings, opening = {"MARGIN_MODE": margin_mode}, builders.account(RICH)
        self.fold.apply(builders.run_started(settings, opening=opening, at=MIDNIGHT))
        self.fold.apply(builders.instruments(contract))
        self.mark(Decimal(10_000))

    def play(self, step: tuple[object, ...]) -> None:
        kind, *arguments = step
        getattr(self, str(kind))(*arguments)

    def fill(self, side: Side, quantity: Decimal, price: Decimal) -> None:
        value = quantity if self.reference.contract.inverse else quantity * price
        result = builders.result(BTC, side, quantity, price, self.at, fees=value * FEE)
        effects = self.fold.apply(result)
        self.trades += [effect for effect in effects if isinstance(effect, ClosedTrade)]
        self.reference.fill(Fraction(quantity) * side.sign, Fraction(price), Fraction(FEE))

    def mark(self, price: Decimal) -> None:
        self.fold.apply(builders.mark(BTC, price, self.at))
        self.reference.mark = Fraction(price)

    def settle(self, rate: Decimal) -> None:
        due = self.at + 8 * HOUR_MS
        self.fold.apply(builders.funding(BTC, rate, due, self.at))
        self.at = due
        self.fold.apply(builders.clock(due))
        self.reference.settle(Fraction(rate))


def assert_identity(portfolio: Portfolio) -> None:
    """Equity = start + realised + unrealised - fees + funding, in whole and symbol by symbol."""
    state = portfolio.state
    unrealised = sum((p.unrealised_profit for p in state.positions.values()), Decimal(0))
    expected = state.start_equity + state.realised_profit + unrealised - state.fees + state.funding
    assert portfolio.equity == expected
    assert state.unrealised_profit == unrealised
    parts = views.symbols(portfolio)
    assert sum((part.profit for part in parts), state.start_equity) == portfolio.equity
    for part in parts:
        assert part.profit == (
            part.realised_profit + part.unrealised_profit - part.fees + part.funding
        )


@given(steps(sizes))
def test_a_linear_account_agrees_exactly(played: list[tuple[object, ...]]) -> None:
    books = Books(inverse=False)
    settlements = 0
    for step in played:
        books.play(step)
        settlements += step[0] == "settle"

        assert_identity(books.fold)
        state, reference = books.fold.state, books.reference
        assert Fraction(books.fold.quantity(BTC)) == reference.size
        assert Fraction(state.fees) == reference.fees
        # Funding is booked in whole quanta, against the account.
        assert 0 <= reference.funding - Fraction(state.funding) <= settlements * QUANTUM
        rest = Fraction(books.fold.equity) - Fraction(state.funding)
        assert rest == reference.equity - reference.funding


@given(steps(contracts))
def test_an_inverse_account_agrees_within_the_settle_coin_s_quantum(
    played: list[tuple[object, ...]],
) -> None:
    books = Books(inverse=True)
    for step in played:
        books.play(step)

        assert_identity(books.fold)
        state, reference = books.fold.state, books.reference
        assert Fraction(books.fold.quantity(BTC)) == reference.size
        assert Fraction(state.fees) == reference.fees
        quantum_in_quote = QUANTUM * max(reference.mark, Fraction(60_000))
        assert abs(Fraction(books.fold.equity) - reference.equity) <= quantum_in_quote
    paid_in_coins = [Fraction(t.gross_profit) / Fraction(t.exit_price) for t in books.trades]
    for paid, expected in zip(paid_in_coins, books.reference.closed, strict=True):
        assert abs(paid - expected) <= QUANTUM


@pytest.mark.parametrize("inverse", [False, True])
@given(
    side=sides,
    quantity=contracts,
    price=prices,
    leverage=st.sampled_from(["1", "2", "3", "5", "10"]),
)
def test_the_margin_is_used_up_at_the_liquidation_price(
    inverse: bool, side: Side, quantity: Decimal, price: Decimal, leverage: str
) -> None:
    books = Books(inverse=inverse, margin_mode="isolated")
    books.reference.contract.leverage = Fraction(leverage)
    books.fold.apply(builders.result(BTC, side, quantity, price, leverage=leverage))
    books.reference.fill(Fraction(quantity) * side.sign, Fraction(price), Fraction(0))
    position = books.fold.state.positions[BTC]

    if position.liquidation_price is None:  # once leveraged, it cannot lose more than it has
        assert inverse
        assert (side, leverage) == (Side.SELL, "1")
        return
    books.reference.mark = Fraction(position.liquidation_price)
    scale = books.reference.initial_margin
    assert abs(books.reference.margin_left) <= scale / 10**6
    assert position.bankruptcy_price is None or (
        position.bankruptcy_price < position.liquidation_price
        if side is Side.BUY
        else position.bankruptcy_price > position.liquidation_price
    )


@pytest.mark.parametrize(
    ("inverse", "side", "quantity", "entry", "exit_price", "profit"),
    [
        # (61000 - 60000) x 0.5
        (False, Side.BUY, "0.5", "60000", "61000", "500"),
        (False, Side.SELL, "0.5", "60000", "61000", "-500"),
        # 100000 x (1/8000 - 1/10000) = 2.5 BTC, worth 25000 at 10000
        (True, Side.BUY, "100000", "8000", "10000", "25000"),
        # 100000 x (1/10000 - 1/8000) x -1 = 2.5 BTC, worth 20000 at 8000
        (True, Side.SELL, "100000", "10000", "8000", "20000"),
        # 100000 x (1/10000 - 1/8000) = -2.5 BTC
        (True, Side.BUY, "100000", "10000", "8000", "-20000"),
    ],
)
def test_profits_by_hand(
    inverse: bool, side: Side, quantity: str, entry: str, exit_price: str, profit: str
) -> None:
    books = Books(inverse=inverse)

    books.fill(side, Decimal(quantity), Decimal(entry))
    books.fill(side.opposite, Decimal(quantity), Decimal(exit_price))

    (trade,) = books.trades
    assert trade.gross_profit == Decimal(profit)
    assert books.fold.state.realised_profit == Decimal(profit)
    assert trade.entry_price == Decimal(entry)


def test_an_inverse_position_averages_its_entries_by_coins() -> None:
    books = Books(inverse=True)

    books.fill(Side.BUY, Decimal(100_000), Decimal(8_000))  # 12.5 BTC
    books.fill(Side.BUY, Decimal(100_000), Decimal(10_000))  # 10 BTC

    position = books.fold.state.positions[BTC]
    assert position.cost == Decimal("22.5")
    assert position.entry_price == pytest.approx(Decimal(200_000) / Decimal("22.5"))
    assert position.notional == 200_000
    books.mark(Decimal(5_000))
    assert position.notional == 200_000
    assert position.unrealised_profit == Decimal("22.5") * 5_000 - 200_000


def test_inverse_margin_is_in_coins_and_shown_in_quote() -> None:
    books = Books(inverse=True)
    books.fill(Side.BUY, Decimal(90_000), Decimal(9_000))  # 10 BTC
    books.mark(Decimal(8_000))

    (view,) = views.positions(books.fold)

    assert view.inverse
    assert view.margin == Decimal(10) / 3 * 8_000
    # 10 BTC x 0.005 at 8000, and 0.0004 of the face value
    assert view.maintenance_margin == Decimal("0.05") * 8_000 + 90_000 * Decimal("0.0004")


def test_inverse_funding_is_the_face_value_times_the_rate() -> None:
    books = Books(inverse=True)
    books.fill(Side.SELL, Decimal(100_000), Decimal(8_000))
    books.mark(Decimal(5_000))

    books.settle(Decimal("0.0001"))  # 20 BTC x 0.0001 = 0.002 BTC, worth 10

    assert books.fold.state.funding == 10


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("inverse", [False, True])
def test_the_base_of_a_position_is_what_its_profit_moves_by(inverse: bool, side: Side) -> None:
    books = Books(inverse=inverse)
    books.fill(side, Decimal(20_000), Decimal(8_000))
    books.mark(Decimal(8_000))
    position = books.fold.state.positions[BTC]
    before = position.unrealised_profit

    books.mark(Decimal(8_001))

    assert position.base == (Decimal("2.5") if inverse else 20_000) * side.sign
    assert position.unrealised_profit - before == position.base


def test_a_position_that_no_price_liquidates_stays() -> None:
    books = Books(inverse=True)
    books.fold.apply(builders.result(BTC, Side.SELL, 20_000, 8_000, leverage=1))
    books.fold.state.positions[BTC].liquidation_price = None

    books.mark(Decimal(60_000))

    assert not books.fold.liquidates(books.fold.state.positions[BTC])
