"""The numbers of the page on trading rules are those that the kernel computes."""

from decimal import Decimal
from pathlib import Path

import pytest

from services.kernel.events import Side
from services.kernel.instruments.contracts import generic_instrument
from services.kernel.market.order_book import Book
from services.kernel.portfolio.stops import stop_price
from services.kernel.risk.checks.cost import round_trip_cost
from services.kernel.risk.sizing import fixed_fraction
from services.kernel.settings.model import TradingSettings

pytestmark = pytest.mark.unit

PAGE = Path(__file__).parents[3] / "backoffice" / "docs" / "TRADING_RULES.md"
DEFAULTS, _ = TradingSettings.parse({})
CONTRACT = generic_instrument("BTC_USDT", Decimal("0.1"))
EQUITY = Decimal(100_000)
RISKED = EQUITY * DEFAULTS.risk_per_trade_pct


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def quantity_at(price: Decimal) -> Decimal:
    return fixed_fraction(EQUITY, DEFAULTS.risk_per_trade_pct, price, DEFAULTS.stop_loss_pct)


def test_the_defaults_that_it_names(page: str) -> None:
    named = {
        "`LOOKBACK_MINUTES` (15)": DEFAULTS.lookback_minutes == 15,
        "`SIGNAL_THRESHOLD_PCT` (1 %)": DEFAULTS.signal_threshold_pct == Decimal("0.01"),
        "`MAX_PRICE_JUMP_PCT` (5 %)": DEFAULTS.max_price_jump_pct == Decimal("0.05"),
        "`RISK_PER_TRADE_PCT` (0.2 %)": DEFAULTS.risk_per_trade_pct == Decimal("0.002"),
        "`SIM_IMPACT_PCT` (0.05 %)": DEFAULTS.sim_impact_pct == Decimal("0.0005"),
        "`MAX_COST_SHARE` (25 %)": DEFAULTS.max_cost_share == Decimal("0.25"),
        "`CIRCUIT_BREAKER_THRESHOLD_PCT` (10 %)": DEFAULTS.circuit_breaker_threshold_pct
        == Decimal("0.10"),
        "a tick of 0.1 and a taker fee of 0.08 %": CONTRACT.taker_fee_rate == Decimal("0.0008"),
    }
    assert all(named.values())
    assert [text for text in named if text not in page.replace("\n", " ")] == []


def test_size(page: str) -> None:
    asked = quantity_at(Decimal(50_000))

    assert asked == Decimal("0.2")
    assert f"**{asked.normalize()} BTC**" in page
    assert f"| {asked.normalize()} BTC |" in page
    assert asked * 50_000 == EQUITY * DEFAULTS.max_position_pct == 10_000


def test_costs(page: str) -> None:
    cost = round_trip_cost(
        DEFAULTS,
        CONTRACT,
        Book(),
        side=Side.BUY,
        quantity=Decimal("0.2"),
        limited=False,
        base=Decimal("0.2"),
        minute_volume=Decimal(20),
        now=0,
    )

    for name, share in (
        ("fees", cost.fees),
        ("spread", cost.spread),
        ("impact", cost.impact),
        ("**sum", cost.total),
    ):
        [row] = [line for line in page.splitlines() if line.startswith(f"| {name}")]
        assert f"{float(share * 100):g} %" in row.split("|")[2]
    shares = [cost.total / DEFAULTS.stop_loss_pct, cost.total / Decimal("0.005")]
    assert shares == [Decimal("0.105"), Decimal("0.42")]
    assert shares[0] < DEFAULTS.max_cost_share < shares[1]
    assert "10.5 %" in page
    assert "42 %" in page


@pytest.mark.parametrize(("fill", "quantity"), [(50_000, "0.2"), (50_250, "0.2"), (50_250, "0.1")])
def test_stops(page: str, fill: int, quantity: str) -> None:
    stop = stop_price(
        Side.BUY,
        Decimal(fill),
        stop_pct=DEFAULTS.stop_loss_pct,
        risked=RISKED,
        ordered=Decimal(quantity),
        unfilled=Decimal(quantity),
        instrument=CONTRACT,
        position=None,
    )

    loss = (fill - stop) * Decimal(quantity)
    assert loss <= RISKED
    assert f"| {fill:,} | {quantity} | {stop:,.0f} | {loss:.2f} |" in page
