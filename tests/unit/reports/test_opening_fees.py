"""The fees of opening go with what is closed: whole, in parts, and through a turn."""

from decimal import Decimal

import pytest

from services.kernel.events import OrderResult, Side
from services.reports.opening_fees import OpeningFees
from tests.record_builders import result

pytestmark = pytest.mark.unit


def fill(side: Side, quantity: str, fees: str) -> OrderResult:
    return result(1, side=side, quantity=quantity, fees=Decimal(fees))


def test_the_fees_of_two_openings_are_closed_in_proportion() -> None:
    fees = OpeningFees()
    assert fees.closed_by(fill(Side.BUY, "2", "3")) == 0
    assert fees.closed_by(fill(Side.BUY, "2", "5")) == 0
    assert fees.closed_by(fill(Side.SELL, "1", "9")) == 2
    assert fees.closed_by(fill(Side.SELL, "3", "9")) == 6


def test_a_fill_that_turns_the_position_opens_with_its_own_part() -> None:
    fees = OpeningFees()
    fees.closed_by(fill(Side.BUY, "2", "4"))
    assert fees.closed_by(fill(Side.SELL, "3", "9")) == 4
    assert fees.closed_by(fill(Side.BUY, "1", "1")) == 3


def test_what_was_held_before_the_run_has_opened_for_free() -> None:
    assert OpeningFees().closed_by(fill(Side.SELL, "2", "4")) == 0
