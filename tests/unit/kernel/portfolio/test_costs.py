"""Costs of a part: in proportion, to the quantum of money, in every figure."""

from decimal import Decimal

import pytest

from services.kernel.events.costs import Costs

pytestmark = [pytest.mark.unit, pytest.mark.risk]

SIX = Costs(
    fees=Decimal(1), funding=Decimal(-2), slippage=Decimal(4), spread=Decimal(7), impact=Decimal(11)
)


def test_a_part_takes_its_share_of_every_figure_to_eight_decimals() -> None:
    assert SIX.share(Decimal(1), Decimal(3)) == Costs(
        fees=Decimal("0.33333333"),
        funding=Decimal("-0.66666667"),
        slippage=Decimal("1.33333333"),
        spread=Decimal("2.33333333"),
        impact=Decimal("3.66666667"),
    )


def test_the_whole_takes_everything_unrounded() -> None:
    fine = Costs(fees=Decimal("0.000000001"))
    assert fine.share(Decimal(3), Decimal(3)) is fine


def test_sums_and_differences_go_figure_by_figure() -> None:
    other = Costs(
        fees=Decimal(10), funding=Decimal(20), slippage=Decimal(30), spread=Decimal(40),
        impact=Decimal(50),
    )  # fmt: skip
    assert SIX + other == Costs(
        fees=Decimal(11), funding=Decimal(18), slippage=Decimal(34), spread=Decimal(47),
        impact=Decimal(61),
    )  # fmt: skip
    assert SIX + other - other == SIX
    assert Costs() == SIX - SIX
