"""What can be reckoned with: layer 3 in figures, and the prices that are believed at all."""

from decimal import Decimal
from typing import Any

import pytest

from services.kernel.events import LayerVerdict
from services.kernel.risk.order_terms import HIGHEST_PRICE, LOWEST_PRICE, is_tradable_price
from tests.builders import NOON
from tests.unit.kernel.candidates import layer, market

pytestmark = [pytest.mark.unit, pytest.mark.risk]


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({}, "age of the last tick"),
        ({"contract_known": False}, "no contract details of this symbol"),
        (
            {"open_conditions": ("LAG: 9 s behind", "DATA_GAP: 3 ticks")},
            "LAG: 9 s behind; DATA_GAP: 3 ticks",
        ),
        ({"health": market(stale=True)}, "age of the last tick"),
    ],
)
def test_age_limit_and_doubt_are_told(fields: dict[str, Any], detail: str) -> None:
    found = layer(3, now=NOON + 7_000, **fields)

    assert (found.value, found.limit, found.unit) == (7, 60, "seconds")
    assert (found.headroom, found.detail) == (53, detail)
    assert found.verdict is (LayerVerdict.FAIL if fields else LayerVerdict.PASS)


@pytest.mark.parametrize(
    ("price", "tradable"),
    [
        (LOWEST_PRICE, True),
        (LOWEST_PRICE / 2, False),
        (HIGHEST_PRICE, True),
        (HIGHEST_PRICE + 1, False),
        (Decimal("NaN"), False),
        (Decimal("Infinity"), False),
        (Decimal(-1), False),
    ],
)
def test_prices_that_can_be_reckoned_with(price: Decimal, tradable: bool) -> None:
    assert is_tradable_price(price) == tradable
