"""Risk limits by position size: leverage by the tier after the trade, liquidation tier by tier."""

from decimal import Decimal

import pytest

from services.kernel.events import OrderType, Origin, Verdict
from services.kernel.instruments.contracts import MarginTier
from tests import builders
from tests.builders import BTC
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]


def in_the_second_tier() -> Desk:
    """Long 10 at 100 with 10x; the first tier ends at 4."""
    tiers = tuple(
        MarginTier(
            max_quantity=Decimal(size),
            maintenance_margin_rate=Decimal(rate),
            max_leverage=Decimal(20),
        )
        for size, rate in ((4, "0.005"), (20, "0.02"))
    )
    position = builders.opening_position(BTC, 10, 100, leverage=10)
    return Desk(
        contracts=[builders.instrument(BTC, tiers=tiers)],
        opening=builders.account(positions=[position]),
    )


def test_an_exit_that_waits_at_its_own_price_holds_up_no_liquidation() -> None:
    desk = in_the_second_tier()
    desk.trade(100)
    desk.exit_signal(100, quantity=6, order_type=OrderType.LIMIT, limit_price=120)

    desk.trade(97)
    desk.trade(94)
    desk.trade(92)

    assert desk.orders[-1].origin is Origin.LIQUIDATION
    assert desk.orders[-1].quantity == 6


def test_a_large_position_is_reduced_tier_by_tier() -> None:
    desk = in_the_second_tier()

    desk.trade(92)  # the second tier's limit is 92.04, the first one's 90.54
    desk.wait(1)
    desk.trade(92)

    assert [order.quantity for order in desk.orders] == [6]
    assert desk.position() == 4
    desk.trade(90)
    assert [order.quantity for order in desk.orders] == [6, 4]


@pytest.mark.parametrize(("quantity", "leverage"), [("10", 3), ("10.001", 2)])
def test_the_leverage_is_that_of_the_tier_of_the_position_after_the_trade(
    quantity: str, leverage: int
) -> None:
    tiers = tuple(
        MarginTier(
            max_quantity=Decimal(size),
            maintenance_margin_rate=Decimal("0.005"),
            max_leverage=Decimal(most),
        )
        for size, most in ((90, 10), (1_000, 2))
    )
    position = builders.opening_position(BTC, 80, 100)
    desk = Desk(
        contracts=[builders.instrument(BTC, tiers=tiers)],
        opening=builders.account(positions=[position]),
    )
    desk.trade(100)

    decision = desk.signal(100, quantity=quantity)

    assert (decision.verdict, decision.leverage) == (Verdict.APPROVED, leverage)
    assert desk.orders[-1].leverage == leverage
