"""Rounding to a step: as long as there are digits for it, and never an error."""

from decimal import ROUND_FLOOR, Decimal

import pytest

from services.kernel.instruments.rounding import MONEY_STEP, rounded

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("value", "expected"),
    [("0.123456785", "0.12345678"), ("0.123456775", "0.12345678"), ("-1.000000006", "-1.00000001")],
)
def test_a_half_goes_to_the_even_neighbour(value: str, expected: str) -> None:
    assert rounded(Decimal(value), MONEY_STEP) == Decimal(expected)


def test_money_that_is_paid_is_rounded_as_told() -> None:
    assert rounded(Decimal("-0.000000001"), MONEY_STEP, ROUND_FLOOR) == -MONEY_STEP
    assert rounded(Decimal("0.000000019"), MONEY_STEP, ROUND_FLOOR) == MONEY_STEP


def test_the_largest_value_that_is_rounded_has_nineteen_digits_before_the_point() -> None:
    # 19 + 8 digits and one that is kept free: the 28 of the context.
    value = Decimal("1234567890123456789.123456789")
    assert rounded(value, MONEY_STEP) == Decimal("1234567890123456789.12345679")

    larger = Decimal("12345678901234567890.123456789")
    assert rounded(larger, MONEY_STEP) == larger


@pytest.mark.parametrize("digits", range(15, 40))
def test_a_value_of_nines_never_stops_anything(digits: int) -> None:
    value = Decimal("9" * digits + ".999999999")

    assert rounded(value, MONEY_STEP) in {value, Decimal(10) ** digits}
