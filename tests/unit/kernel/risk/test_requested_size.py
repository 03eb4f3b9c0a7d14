"""What each sizing method asks for; none ever asks to lose more than the risked fraction."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.market.bars import BarBuilder
from services.kernel.market.volatility import PERIODS, Volatility
from services.kernel.risk.sizing import (
    NEAREST_STOP_PCT,
    SMALLEST_RISK_PCT,
    RequestedSize,
    atr_stop,
    kelly_fraction,
    requested_size,
    volatility_target,
)
from services.kernel.settings.model import TradingSettings
from tests import builders
from tests.builders import BTC, MINUTE_MS
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]

EQUITY = Decimal(100_000)
DAY_MS = 86_400_000


def moves(average_range: str = "1", variance: str = "0.0004", samples: int = PERIODS) -> Volatility:
    """Measured on bars of a day: the root of the variance, 0.02, is 38.22 % a year."""
    return Volatility(
        bars=BarBuilder(symbol=BTC, length_ms=DAY_MS),
        average_range=Decimal(average_range),
        variance=Decimal(variance),
        samples=samples,
    )


def asked(
    method: str,
    *,
    volatility: Volatility | None = None,
    results: list[str] | None = None,
    price: str = "100",
    **settings: str,
) -> RequestedSize:
    return requested_size(
        TradingSettings.parse({"SIZING_METHOD": method} | settings)[0],
        equity=EQUITY,
        price=Decimal(price),
        unit_value=Decimal(price),
        volatility=volatility,
        results=[Decimal(result) for result in results or []],
    )


def test_fixed_fraction_loses_the_risked_fraction_at_the_stop() -> None:
    found = asked("fixed_fraction", volatility=moves(), results=["5"] * 50)

    assert (found.quantity, found.stop_pct) == (100, Decimal("0.02"))
    assert found.figures["risk_pct"] == Decimal("0.002")


@pytest.mark.parametrize(
    ("average_range", "stop"),
    [
        ("0.5", "0.01"),  # two ranges of 0.5 % each
        ("0.1", "0.005"),  # no stop is nearer than that
        ("5", "0.02"),  # none is farther than STOP_LOSS_PCT
    ],
)
def test_atr_sets_the_stop_by_the_range_and_the_size_by_the_stop(
    average_range: str, stop: str
) -> None:
    found = asked("atr", volatility=moves(average_range))

    assert found.stop_pct == Decimal(stop)
    assert found.quantity * 100 * found.stop_pct == EQUITY * Decimal("0.002")
    assert found.figures["average_range"] == Decimal(average_range)


def test_the_stop_s_distance_in_ranges_by_hand() -> None:
    found = atr_stop(Decimal("30"), Decimal("1.5"), Decimal(3_000), Decimal("0.10"))

    assert found == Decimal("0.015")
    assert Decimal("0.005") == NEAREST_STOP_PCT


def test_a_volatility_target_by_hand() -> None:
    # 100,000 x 20 % over 80 % volatility: 25,000 of notional, 250 at 100.
    quantity = volatility_target(EQUITY, Decimal("0.20"), Decimal("0.8"), Decimal(100))

    assert quantity == 250


def test_a_volatility_target_asks_less_the_more_a_symbol_moves() -> None:
    def of(variance: str) -> Decimal:
        settings = {"RISK_PER_TRADE_PCT": "0.02"}
        return asked("volatility_target", volatility=moves(variance=variance), **settings).quantity

    assert of("0.0004") == pytest.approx(Decimal(523), abs=1)  # 20 % over 38.2 %
    assert of("0.0016") == pytest.approx(of("0.0004") / 2, rel=Decimal("1e-6"))


def test_a_calm_symbol_gets_no_more_than_the_stop_allows() -> None:
    calm = asked("volatility_target", volatility=moves(variance="0.000001"))

    assert calm.quantity == asked("fixed_fraction").quantity


@pytest.mark.parametrize("method", ["atr", "volatility_target"])
@pytest.mark.parametrize("known", [None, moves(samples=PERIODS - 1), moves("0", "0")])
def test_without_a_measure_it_is_the_fixed_fraction(method: str, known: Volatility | None) -> None:
    found = asked(method, volatility=known)

    assert found.quantity <= 4 * asked("fixed_fraction").quantity
    assert found.quantity * found.stop_pct * 100 == EQUITY * Decimal("0.002")


@pytest.mark.parametrize(
    ("results", "fraction"),
    [
        (["20", "-10"], "0.25"),  # half win twice what they lose: 0.5 - 0.5 / 2
        (["10", "10", "10", "-10", "-10"], "0.2"),
        (["10", "-10"], "0"),
        (["10", "-20", "0"], "-0.5"),
        (["10"], "1"),
        (["-10"], "-1"),
        ([], "-1"),
        (["0"], "-1"),
    ],
)
def test_the_kelly_fraction_by_hand(results: list[str], fraction: str) -> None:
    assert kelly_fraction([Decimal(result) for result in results]) == Decimal(fraction)


def test_kelly_risks_a_part_of_its_fraction_never_more_than_the_limit() -> None:
    thin = ["10.1", "-10"] * 15  # 0.00495
    sure = ["20", "-10"] * 15
    losing = ["10", "-20"] * 15

    assert asked("kelly", results=thin).figures["risk_pct"] == Decimal("0.00495050") / 4
    assert asked("kelly", results=sure).figures["risk_pct"] == Decimal("0.002")
    # A losing strategy goes on at the least risk there is: else it could never show better.
    assert asked("kelly", results=losing).figures["risk_pct"] == SMALLEST_RISK_PCT
    assert asked("kelly", results=losing[:29]).figures["risk_pct"] == Decimal("0.002")


@given(
    method=st.sampled_from(["fixed_fraction", "volatility_target", "atr", "kelly"]),
    average_range=st.decimals("0", "50", places=3),
    variance=st.decimals("0", "0.5", places=6),
    results=st.lists(st.decimals("-1000", "1000", places=2), min_size=30, max_size=40),
    price=st.decimals("0.01", "90000", places=2),
)
def test_no_method_asks_to_lose_more_than_the_risked_fraction(
    method: str, average_range: Decimal, variance: Decimal, results: list[Decimal], price: Decimal
) -> None:
    found = asked(
        method,
        volatility=moves(str(average_range), str(variance)),
        results=[str(result) for result in results],
        price=str(price),
    )

    loss = found.quantity * price * found.stop_pct
    assert 0 < loss <= EQUITY * Decimal("0.002") * (1 + Decimal("1e-20"))
    assert NEAREST_STOP_PCT <= found.stop_pct <= Decimal("0.02")


def test_the_decision_tells_what_its_size_was_reckoned_from() -> None:
    desk = Desk({"SIZING_METHOD": "atr", "SIZING_BAR_MINUTES": "1"})
    for _ in range(PERIODS + 3):
        for price in ("100", "100.4", "100"):
            desk.trade(price)
            desk.wait(20, step=10)
    decision = desk.signal(100)

    assert decision.sizing["average_range"] == Decimal("0.4")
    assert decision.sizing["stop_pct"] == Decimal("0.008")
    assert decision.stop_loss_price == Decimal("99.2")


def test_backfilled_trades_count_in_the_measure() -> None:
    desk = Desk({"SIZING_METHOD": "atr", "SIZING_BAR_MINUTES": "1"})

    desk.quote(99, 101)  # no trade: nothing to measure
    assert desk.risk.state.volatility == {}
    desk.feed(builders.trade(BTC, 100, desk.now - MINUTE_MS, backfill=True))

    assert desk.risk.state.volatility[BTC].bars.recent[0].backfilled == 1


def test_a_method_that_measures_nothing_keeps_nothing() -> None:
    desk = Desk()
    desk.trade(100)

    assert desk.risk.state.volatility == {}


@pytest.mark.parametrize(
    ("method", "names"),
    [
        ("fixed_fraction", set()),
        ("atr", {"average_range"}),
        ("kelly", {"kelly"}),
        ("volatility_target", {"volatility", "volatility_target_pct"}),
    ],
)
def test_each_method_names_its_figures(method: str, names: set[str]) -> None:
    found = asked(method, volatility=moves(), results=["2", "-1"] * 30)

    assert set(found.figures) == names | {"equity", "risk_pct", "stop_pct", "price"}


@pytest.mark.parametrize("method", ["atr", "volatility_target"])
def test_a_measure_of_too_few_bars_is_none(method: str) -> None:
    young = moves(average_range="0.1", variance="0.01", samples=PERIODS - 1)

    assert asked(method, volatility=young) == asked("fixed_fraction")


def test_the_smallest_win_is_a_win() -> None:
    assert kelly_fraction([Decimal("0.5"), Decimal("-0.5"), Decimal("0.5")]) > 0
