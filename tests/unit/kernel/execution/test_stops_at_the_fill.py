"""The stop of an entry is set at its fill: the loss from there to the stop keeps its promise."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.events import LayerVerdict, OrderResult, OrderStatus, OrderType, Origin, Side
from services.kernel.instruments.contracts import Instrument
from services.kernel.portfolio.account import Position
from services.kernel.portfolio.stops import stop_price
from services.kernel.reasons import Reason
from tests import builders
from tests.builders import BTC, NOON, Number
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]

FREE = {"SIM_HALF_SPREAD_PCT": "0", "SIM_IMPACT_PCT": "0", "MAX_SLIPPAGE_PCT": "0.05"}
RISKED = Decimal(200)
"""``RISK_PER_TRADE_PCT`` (0.002) of a fresh account."""


def filled_at(price: Number, side: Side = Side.BUY, **fields: Number) -> Desk:
    """An entry decided at 100 that fills at a price."""
    desk = Desk(FREE)
    desk.trade(100)
    desk.signal(100, side, **fields)
    desk.wait(1)
    desk.trade(price)
    return desk


def stop_of(desk: Desk) -> Decimal:
    stop = desk.portfolio.portfolio.state.positions[BTC].stop_loss_price
    assert stop is not None
    return stop


def ended(desk: Desk) -> tuple[OrderStatus, str | None, Decimal]:
    result = desk.results[-1]
    return result.status, result.reason, result.filled_quantity


def opened(side: Side, quantity: Number, price: Number, stop: Number | None) -> Position:
    size = Decimal(quantity)
    return Position(
        quantity=size * side.sign,
        cost=size * Decimal(price),
        mark_price=Decimal(price),
        stop_loss_price=None if stop is None else Decimal(stop),
        leverage=Decimal(1),
        opened_at=NOON,
    )


def placed(
    side: Side, price: Number, contract: Instrument | None = None, **given: object
) -> Decimal:
    """A stop for 100 ordered, of which 200 may be lost, but for what a test changes."""
    figures: dict[str, object] = {
        "stop_pct": "0.02",
        "risked": RISKED,
        "ordered": 100,
        "position": None,
    } | given
    position = figures.pop("position")
    amounts = {name: Decimal(str(value)) for name, value in figures.items()}
    amounts.setdefault("unfilled", amounts["ordered"])
    return stop_price(
        side,
        Decimal(price),
        instrument=contract or builders.instrument(),
        position=position,  # type: ignore[arg-type]
        **amounts,
    )


# Where it is placed


@pytest.mark.parametrize(
    ("side", "price", "stop"),
    [
        (Side.BUY, 101, "99"),
        (Side.BUY, 99, "97.02"),
        (Side.SELL, 99, "100.98"),
        (Side.SELL, 101, "103"),
    ],
)
def test_a_whole_stake_is_stopped_where_it_has_lost_what_it_risks(
    side: Side, price: Number, stop: str
) -> None:
    desk = filled_at(price, side)

    assert desk.results[-1].filled_quantity == 100
    assert desk.results[-1].stop_loss_price == stop_of(desk) == Decimal(stop)
    assert abs(Decimal(price) - stop_of(desk)) * 100 <= RISKED


@pytest.mark.parametrize(("side", "stop"), [(Side.BUY, "98.98"), (Side.SELL, "103.02")])
def test_a_smaller_entry_keeps_the_order_s_stop_fraction_of_the_fill(side: Side, stop: str) -> None:
    desk = filled_at(101, side, quantity=50)

    assert stop_of(desk) == Decimal(stop)
    assert desk.orders[-1].stop_loss_price == 100 - 2 * side.sign  # the decision's stays as it was


@pytest.mark.parametrize(("side", "stop"), [(Side.BUY, "98.68"), (Side.SELL, "102.7")])
def test_it_is_rounded_to_a_tick_towards_the_fill(side: Side, stop: str) -> None:
    assert placed(side, "100.69", ordered=1) == Decimal(stop)


@pytest.mark.parametrize(("side", "stop"), [(Side.BUY, 49_500), (Side.SELL, 50_500)])
def test_the_loss_of_an_inverse_contract_is_converted_at_the_stop(side: Side, stop: int) -> None:
    # 20,000 of quote at 50,000 are 0.4 coins; they lose 200 where the price moved by 500.
    inverse = builders.instrument(inverse=True, lot_size=Decimal(1), tick_size=Decimal("0.5"))

    assert placed(side, 50_000, inverse, ordered=20_000) == stop


def test_an_exit_has_no_stop() -> None:
    desk = filled_at(100)
    desk.exit_signal(100)
    desk.wait(1)
    desk.trade(100)

    assert (desk.results[-1].reduce_only, desk.results[-1].stop_loss_price) == (True, None)


# Partial fills, and what is added


@pytest.mark.parametrize(
    ("second", "stop"),
    [
        ("101", "99"),  # its own stop is nearer, and protects the whole
        ("99", "98"),  # the first one's is nearer
    ],
)
def test_the_parts_of_an_order_together_lose_no_more_than_it_risks(second: str, stop: str) -> None:
    desk = Desk(FREE, contracts=[builders.instrument(taker_fee_rate=Decimal(0))])
    desk.trade(100)
    desk.signal(100)
    desk.wait(1)
    desk.feed(builders.depth(BTC, [("99.99", 9)], [("100", 40)], desk.now))
    assert (desk.position(), stop_of(desk)) == (40, 98)
    desk.wait(1)
    below = Decimal(second) - Decimal("0.01")
    desk.feed(builders.depth(BTC, [(below, 9)], [(second, 60)], desk.now))

    assert (desk.position(), stop_of(desk)) == (100, Decimal(stop))
    parts = [(r.filled_quantity, r.filled_price) for r in desk.results]
    assert sum(q * (p - stop_of(desk)) for q, p in parts if p is not None) <= RISKED


def test_a_part_that_would_fill_beyond_the_stop_of_the_first_is_cancelled() -> None:
    desk = Desk(FREE)
    desk.trade(100)
    desk.signal(100)
    desk.wait(1)
    desk.feed(builders.mark(BTC, 101, desk.now))
    desk.feed(builders.depth(BTC, [("101.99", 9)], [("102", 40)], desk.now))
    assert stop_of(desk) == 100
    desk.wait(1)
    desk.feed(builders.depth(BTC, [("99.99", 9)], [("100", 60)], desk.now))

    assert ended(desk) == (OrderStatus.CANCELLED, Reason.STOP_PASSED, 0)
    assert desk.position() == 40


@pytest.mark.parametrize("side", list(Side))
def test_what_is_added_tightens_the_stop_until_both_keep_the_promise(side: Side) -> None:
    held = opened(side, 100, 100, 100 - 2 * side.sign)

    stop = placed(side, 100 + side.sign, position=held)

    # 100 at 100 and 100 at one more may lose 200 together: 1 each from their average.
    assert stop == Decimal(100) - Decimal("0.5") * side.sign


def test_a_trailing_stop_that_is_nearer_stays() -> None:
    held = opened(Side.BUY, 10, 100, "103")

    assert placed(Side.BUY, 104, ordered=10, position=held) == 103


def test_an_opposite_position_does_not_move_the_stop_of_what_turns_it() -> None:
    held = opened(Side.SELL, 10, 100, "100.5")

    assert placed(Side.BUY, 100, position=held) == 98


def test_only_what_is_still_to_be_filled_is_added() -> None:
    held = opened(Side.BUY, 90, 100, None)

    # The last 10 of 100 at 100.50: the ordered 100 may lose 2 each from here, and the whole,
    # whose average is 100.05, loses 195 at the stop.
    stop = placed(Side.BUY, "100.5", unfilled=10, position=held)

    assert stop == Decimal("98.5")


def test_an_entry_waits_until_the_fold_has_the_last_fill_of_its_symbol() -> None:
    desk = Desk(FREE | {"MAX_POSITION_PCT": "0.25"})
    desk.trade(100, volume=9000)
    desk.signal(100)
    desk.signal(100)
    desk.wait(1)
    desk.trade(100)
    assert desk.position() == 100

    desk.trade(101)

    assert desk.position() == 200
    loss = 100 * (100 - stop_of(desk)) + 100 * (101 - stop_of(desk))
    assert RISKED - 2 < loss <= RISKED


# What would be stopped at once


@pytest.mark.parametrize(
    ("side", "price"), [(Side.BUY, 98), (Side.BUY, "97.5"), (Side.SELL, 102), (Side.SELL, 103)]
)
def test_a_fill_at_or_beyond_the_decision_s_stop_is_cancelled(side: Side, price: Number) -> None:
    desk = filled_at(price, side)

    assert ended(desk) == (OrderStatus.CANCELLED, Reason.STOP_PASSED, 0)
    assert desk.position() == 0
    assert [order.origin for order in desk.orders] == [Origin.SIGNAL]


@pytest.mark.parametrize(("side", "price"), [(Side.BUY, "98.01"), (Side.SELL, "101.99")])
def test_one_short_of_it_is_filled(side: Side, price: str) -> None:
    assert filled_at(price, side).position() == 100 * side.sign


@pytest.mark.parametrize(
    ("mark", "cancelled"),
    [("98.01", False), ("98", True), ("97", True)],
)
def test_a_valuing_price_at_the_decision_s_stop_cancels(mark: str, cancelled: bool) -> None:
    desk = Desk(FREE)
    desk.trade(100)
    desk.signal(100)
    desk.wait(1)
    desk.feed(builders.mark(BTC, mark, desk.now))
    desk.trade(100)

    assert (desk.results[-1].reason == Reason.STOP_PASSED) is cancelled
    assert (desk.position() == 0) is cancelled


@pytest.mark.parametrize(("mark", "cancelled"), [("99.01", False), ("99", True), ("98.5", True)])
def test_a_valuing_price_at_the_new_stop_cancels(mark: str, cancelled: bool) -> None:
    desk = Desk(FREE)
    desk.trade(100)
    desk.signal(100)
    desk.wait(1)
    desk.feed(builders.mark(BTC, mark, desk.now))
    desk.trade(101)  # its stop is 99, the decision's 98

    assert (desk.results[-1].reason == Reason.STOP_PASSED) is cancelled
    assert not any(order.origin is Origin.STOP_LOSS for order in desk.orders)


def test_what_it_cancels_costs_nothing_and_says_where_it_would_have_been_filled() -> None:
    result = filled_at(97).results[-1]

    assert (result.fees, result.filled_price, result.fill["touch"]) == (0, None, 97)


def test_a_resting_entry_that_the_market_falls_through_is_cancelled() -> None:
    desk = Desk(FREE)
    desk.trade(100)
    desk.signal(100, order_type=OrderType.LIMIT, limit_price="99.5")
    desk.wait(1)
    desk.trade(100)

    desk.trade(97)  # through the limit, and beyond the stop at 97.51

    assert ended(desk) == (OrderStatus.CANCELLED, Reason.STOP_PASSED, 0)


def test_a_stop_entry_is_not_cancelled_while_it_waits_below_its_own_stop() -> None:
    desk = Desk(FREE)
    desk.trade(100)
    desk.signal(100, order_type=OrderType.STOP, trigger_price=110)
    desk.wait(1)
    desk.trade(100)
    desk.trade(105)
    desk.trade(110)
    desk.wait(1)
    desk.trade("110.5")

    assert desk.position() > 0
    assert stop_of(desk) > 108


# Layer 6


@pytest.mark.parametrize(
    ("price", "verdict"),
    # Two per cent of 1.00 are two ticks of a cent; of 0.99 not quite, and of 0.50 one.
    [("1.00", LayerVerdict.PASS), ("0.99", LayerVerdict.FAIL), ("0.50", LayerVerdict.FAIL)],
)
def test_a_stop_nearer_than_two_ticks_is_refused(price: str, verdict: LayerVerdict) -> None:
    desk = Desk()
    desk.trade(price, volume=10**9)

    decision = desk.signal(price)

    layer = decision.layers[5]
    assert (layer.name, layer.verdict) == ("stop_loss", verdict)
    if verdict is LayerVerdict.FAIL:
        assert decision.reason == Reason.STOP_LOSS_INVALID
        assert "1.0000 ticks away, at least 2 needed" in layer.detail


# The promise, in general


@given(
    side=st.sampled_from(Side),
    inverse=st.booleans(),
    prices=st.lists(st.integers(900, 1100), min_size=1, max_size=4),
    share=st.integers(1, 100),
    adding=st.booleans(),
)
def test_no_sequence_of_fills_loses_more_at_its_stop_than_it_risks(
    side: Side, inverse: bool, prices: list[int], share: int, adding: bool
) -> None:
    """Parts of one order, or entries that add to each other; each keeps the stop of the last."""
    contract = builders.instrument(inverse=inverse)
    part = Decimal(share)
    ordered = part if adding else part * len(prices)
    risked = Decimal(100)
    base = value = Decimal(0)
    position: Position | None = None
    left = ordered
    for price in map(Decimal, prices):
        stop = placed(
            side, price, contract, risked=risked, ordered=ordered, unfilled=left, position=position
        )
        if (price - stop) * side.sign <= 0:
            return  # it is cancelled there
        assert abs(price - stop) <= Decimal("0.02") * price
        coins = contract.base_quantity(part, price)
        base, value = base + coins, value + coins * price
        assert (value - stop * base) * side.sign <= risked
        left = ordered if adding else left - part
        size = value if inverse else base
        cost = base if inverse else value
        position = Position(
            quantity=size * side.sign,
            cost=cost,
            mark_price=price,
            stop_loss_price=stop,
            leverage=Decimal(1),
            opened_at=NOON,
            inverse=inverse,
        )


def test_every_result_of_the_fill_has_the_stop_that_the_position_then_has() -> None:
    desk = filled_at(101)
    filled: OrderResult = desk.results[-1]

    assert filled.stop_loss_price == desk.risk.portfolio.state.positions[BTC].stop_loss_price
