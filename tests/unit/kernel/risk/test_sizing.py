"""Sizing: what is asked for, trimmed to every headroom, in whole lots, through one exit."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.risk.sizing import Headroom, fixed_fraction, size_entry, smallest_tradable
from tests import builders

pytestmark = [pytest.mark.unit, pytest.mark.risk]

LOT = Decimal("0.001")


def room(name: str, quantity: str | Decimal) -> Headroom:
    return Headroom(name=name, quantity=Decimal(quantity))


def test_the_loss_at_the_stop_is_the_risked_fraction_of_equity() -> None:
    quantity = fixed_fraction(Decimal(100_000), Decimal("0.002"), Decimal(100), Decimal("0.02"))

    assert quantity == 100
    assert quantity * 100 * Decimal("0.02") == 100_000 * Decimal("0.002")


def test_what_fits_is_not_trimmed_only_rounded_down_to_lots() -> None:
    sized = size_entry(
        Decimal("1.23456"), [room("4", "5")], builders.instrument(), Decimal(100), Decimal(5)
    )

    assert (sized.requested, sized.quantity) == (Decimal("1.234"), Decimal("1.234"))
    assert sized.binding_limit is None
    assert sized.tradable


def test_the_smallest_headroom_binds_and_is_named() -> None:
    rooms = [room("4", "0.9"), room("5", "0.5009")]

    sized = size_entry(Decimal(2), rooms, builders.instrument(), Decimal(100), Decimal(5))

    assert (sized.requested, sized.quantity) == (2, Decimal("0.5"))
    assert sized.binding_limit == "5"


def test_of_two_equal_headrooms_the_lower_layer_is_named() -> None:
    rooms = [room("4", "0.5"), room("5", "0.5")]

    sized = size_entry(Decimal(2), rooms, builders.instrument(), Decimal(100), Decimal(5))

    assert sized.binding_limit == "4"


def test_a_headroom_in_the_same_lot_as_the_request_does_not_trim() -> None:
    sized = size_entry(
        Decimal("1.0009"), [room("4", "1.0001")], builders.instrument(), Decimal(100), Decimal(5)
    )

    assert (sized.quantity, sized.binding_limit) == (1, None)


@pytest.mark.parametrize("left", ["0.049", "0", "-3"])
def test_below_the_minimum_nothing_is_left_but_the_limit_is_named(left: str) -> None:
    sized = size_entry(
        Decimal(1), [room("4", left)], builders.instrument(), Decimal(100), Decimal(5)
    )

    assert (sized.quantity, sized.binding_limit) == (0, "4")
    assert not sized.tradable


def test_the_minimum_itself_can_be_traded() -> None:
    sized = size_entry(
        Decimal(1), [room("4", "0.05")], builders.instrument(), Decimal(100), Decimal(5)
    )

    assert sized.quantity == Decimal("0.05")


@pytest.mark.parametrize(
    ("price", "minimum", "expected"),
    [("100", "5", "0.05"), ("98", "5", "0.052"), ("100", "0", "0.001"), ("100000", "5", "0.001")],
)
def test_the_smallest_tradable_is_whole_lots_and_at_least_one(
    price: str, minimum: str, expected: str
) -> None:
    quantity = smallest_tradable(builders.instrument(), Decimal(price), Decimal(minimum))

    assert quantity == Decimal(expected)


quantities = st.decimals("0.0001", "1000000", places=6)
rooms_of = st.lists(
    st.builds(room, st.just("limit"), st.decimals("-100", "100000", places=9)), max_size=3
)


@given(
    asked=quantities,
    rooms=rooms_of,
    price=st.decimals("0.0001", "100000", places=4),
    lot=st.sampled_from(["0.00000001", "0.001", "1", "1000"]),
)
def test_the_candidate_is_within_every_headroom_in_whole_lots_and_worth_trading(
    asked: Decimal, rooms: list[Headroom], price: Decimal, lot: str
) -> None:
    contract = builders.instrument(lot_size=Decimal(lot))

    sized = size_entry(asked, rooms, contract, price, Decimal(5))

    assert sized.quantity <= sized.requested <= asked
    assert sized.quantity % contract.lot_size == 0
    assert sized.quantity == 0 or sized.quantity * price >= 5
    assert sized.quantity == 0 or all(sized.quantity <= room.quantity for room in rooms)
    if sized.quantity == sized.requested:
        assert sized.binding_limit is None


@given(asked=quantities, rooms=rooms_of, tighter=st.decimals("-100", "100000", places=9))
def test_one_more_limit_never_allows_more(
    asked: Decimal, rooms: list[Headroom], tighter: Decimal
) -> None:
    arguments = (builders.instrument(), Decimal(100), Decimal(5))

    before = size_entry(asked, rooms, *arguments)
    after = size_entry(asked, [*rooms, room("tighter", tighter)], *arguments)

    assert after.quantity <= before.quantity
