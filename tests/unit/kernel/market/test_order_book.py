"""The book: what it knows, what a walk down its levels would trade, and what risk makes of it."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.events import LayerVerdict, MarketData, MarketDataKind, Side, Verdict
from services.kernel.market.order_book import MAX_AGE_MS, MAX_LEVELS, Book, Walk
from services.kernel.reasons import Reason
from tests import builders
from tests.builders import BTC, NOON, Number
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]

Levels = list[tuple[Number, Number]]
BIDS: Levels = [(99, 1), (98, 2), (97, 10)]
ASKS: Levels = [(101, 1), (102, 2), (103, 10)]


def book(bids: Levels = BIDS, asks: Levels = ASKS) -> Book:
    made = Book()
    made.on_tick(builders.depth(BTC, bids, asks))
    return made


def walk(
    side: Side, quantity: Number, made: Book | None = None, *, now: int = NOON,
    inverse: bool = False, limit: Number | None = None,
) -> Walk | None:  # fmt: skip
    bound = None if limit is None else Decimal(limit)
    return (made or book()).walk(side, Decimal(quantity), now, inverse=inverse, limit=bound)


@pytest.mark.parametrize(
    ("side", "quantity", "price", "worst", "levels"),
    [
        (Side.BUY, 1, "101", 101, 1),
        (Side.BUY, 2, "101.5", 102, 2),
        (Side.BUY, 4, "102", 103, 3),
        (Side.SELL, 1, "99", 99, 1),
        (Side.SELL, 4, "98", 97, 3),
    ],
)
def test_a_walk_takes_level_after_level(
    side: Side, quantity: int, price: str, worst: int, levels: int
) -> None:
    walked = walk(side, quantity)

    assert walked is not None
    assert walked.price == Decimal(price)
    assert (walked.quantity, walked.worst, walked.levels) == (quantity, worst, levels)


def test_a_book_holds_no_more_than_it_holds() -> None:
    walked = walk(Side.BUY, 100)

    assert walked is not None
    assert (walked.quantity, walked.base) == (13, 13)


def test_in_an_inverse_contract_quantity_is_quote_and_the_price_is_quote_per_coin() -> None:
    walked = walk(Side.BUY, 101 + 51, inverse=True)  # one coin at 101, half a coin at 102

    assert walked is not None
    assert (walked.quantity, walked.quote, walked.base) == (152, 152, Decimal("1.5"))


def test_a_limit_ends_the_walk() -> None:
    walked = walk(Side.BUY, 4, limit=102)
    nothing = walk(Side.BUY, 4, limit=100)

    assert walked is not None
    assert (walked.quantity, walked.worst) == (3, 102)
    assert nothing is not None
    assert nothing.quantity == 0


def test_no_level_counts_as_better_than_a_younger_best_price() -> None:
    made = book()
    made.on_tick(builders.quote(BTC, 99, 102, NOON + 1))

    walked = walk(Side.BUY, 2, made)

    assert walked is not None
    assert walked.price == 102


@pytest.mark.parametrize(
    ("now", "known"), [(NOON + MAX_AGE_MS, True), (NOON + MAX_AGE_MS + 1, False)]
)
def test_a_book_counts_for_five_seconds(now: int, known: bool) -> None:
    assert (walk(Side.BUY, 1, now=now) is not None) == known
    assert (book().fresh(now) is not None) == known


def test_without_depth_there_is_no_walk_and_in_an_empty_side_nothing_to_trade() -> None:
    quoted = Book()
    quoted.on_tick(builders.quote(BTC, 99, 101))
    empty = walk(Side.BUY, 1, book(asks=[]))

    assert walk(Side.BUY, 1, quoted) is None
    assert quoted.touch(Side.SELL, NOON) == 99
    assert empty is not None
    assert empty.quantity == 0


def test_levels_without_price_or_size_are_left_out() -> None:
    walked = walk(Side.BUY, 5, book(asks=[(101, 0), (0, 5), (102, 1)]))

    assert walked is not None
    assert (walked.quantity, walked.worst) == (1, 102)


def test_only_the_first_levels_are_kept() -> None:
    assert len(book(asks=[(101 + i, 1) for i in range(50)]).asks) == MAX_LEVELS


def test_what_was_taken_is_gone_until_the_next_book() -> None:
    made = book()

    made.consume(Side.BUY, Decimal(2))
    assert made.asks == ((102, 1), (103, 10))
    made.consume(Side.SELL, Decimal("0.5"))
    assert made.bids[0] == (99, Decimal("0.5"))

    made.on_tick(builders.depth(BTC, BIDS, ASKS))
    assert (len(made.asks), len(made.bids)) == (3, 3)


levels = st.lists(st.tuples(st.integers(1, 50), st.integers(1, 9)), min_size=1, max_size=20)


@given(levels=levels, quantity=st.integers(1, 200), side=st.sampled_from(Side))
def test_a_walk_is_never_better_than_the_best_price_and_gets_worse_with_size(
    levels: list[tuple[int, int]], quantity: int, side: Side
) -> None:
    prices = sorted({100 + offset * side.sign for offset, _ in levels}, reverse=side is Side.SELL)
    sized: Levels = [(price, size) for price, (_, size) in zip(prices, levels, strict=False)]
    made = book(sized, [(200, 1)]) if side is Side.SELL else book([(1, 1)], sized)

    walked, smaller = walk(side, quantity, made), walk(side, Decimal(quantity) / 2, made)

    assert walked is not None
    assert smaller is not None
    assert walked.quantity == min(quantity, sum(Decimal(size) for _, size in sized))
    assert (walked.price - prices[0]) * side.sign >= 0
    assert (walked.price - smaller.price) * side.sign >= -Decimal("1e-20")


# Risk


def with_book(asks: Levels) -> Desk:
    desk = Desk()
    desk.trade(100)
    desk.feed(builders.depth(BTC, [("99.99", 1000)], asks, desk.now))
    return desk


def test_risk_reckons_what_the_candidate_would_slip_in_the_book() -> None:
    desk = with_book([("100.01", 1), ("100.10", 1000)])

    layer = desk.signal(100, quantity=2).layers[1]

    assert (layer.verdict, layer.unit) == (LayerVerdict.PASS, "fraction")
    assert (layer.value, layer.limit) == (Decimal("0.00055"), Decimal("0.02"))


def test_an_entry_that_would_slip_too_far_is_refused_before_it_is_ordered() -> None:
    desk = with_book([("100.01", 1), ("110", 1000)])

    refused = desk.signal(100, quantity=5)
    assert (refused.verdict, refused.reason) == (Verdict.REJECTED, Reason.SLIPPAGE_EXPECTED)
    assert refused.layers[1].value == Decimal("0.08002")

    assert desk.signal(100, quantity=1).verdict is Verdict.APPROVED


def test_without_depth_the_best_price_tells_the_slippage() -> None:
    desk = Desk()
    desk.trade(100)
    desk.quote("99.9", "100.1")

    assert desk.signal(100).layers[1].value == Decimal("0.001")


def test_once_the_normal_spread_is_known_the_layer_shows_the_spread_and_tells_the_slippage() -> (
    None
):
    desk = Desk()
    desk.trade(100)
    for _ in range(25):
        desk.feed(builders.depth(BTC, [("99.99", 9)], [("100.01", 9)], desk.now))

    layer = desk.signal(100, quantity=1).layers[1]

    assert (layer.value, layer.unit) == (1, "times")
    assert "expected slippage 0.0001" in layer.detail


def test_an_exit_is_not_refused_for_the_slippage_it_would_cost() -> None:
    desk = Desk()
    desk.enter(100)
    desk.feed(builders.depth(BTC, [("90", 1000)], [("100.01", 1)], desk.now))

    assert desk.exit_signal(100).verdict is Verdict.APPROVED


def test_a_book_without_best_prices_tells_them_by_its_first_levels() -> None:
    made = Book()
    tick = builders.tick(
        MarketDataKind.DEPTH, BTC, NOON, bids=((Decimal(99), Decimal(1)),), asks=()
    )
    assert isinstance(tick, MarketData)

    made.on_tick(tick)

    assert (made.bid, made.ask) == (99, None)
