"""Correlated exposure: symbols that win and lose together share one limit (layer 4)."""

from decimal import Decimal
from random import Random

import pytest

from services.kernel.events import Side, Verdict
from services.kernel.reasons import Reason
from services.kernel.risk.state.correlation import LEAST_RETURNS, WINDOW, MinuteCloses, correlation
from tests.builders import BTC, ETH, MINUTE_MS, NOON, SOL
from tests.unit.kernel import moves
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]


def closes(*prices: object, start: int = NOON, every: int = 1) -> MinuteCloses:
    made = MinuteCloses()
    for minute, price in enumerate(prices):
        made.add(start + minute * every * MINUTE_MS, Decimal(str(price)))
    return made


def path(seed: int, length: int = 61) -> list[int]:
    random = Random(seed)  # noqa: S311  repeatable on purpose
    prices = [10_000]
    while len(prices) < length:
        prices.append(prices[-1] + random.randrange(-50, 51))
    return prices


def test_a_symbol_is_wholly_like_itself_and_wholly_unlike_its_inverse() -> None:
    prices = path(1)

    assert correlation(closes(*prices), closes(*prices)) == 1
    assert correlation(closes(*prices), closes(*(2 * price for price in prices))) == 1
    inverse = closes(*(Decimal(1_000_000) / price for price in prices))
    assert Decimal("-1") <= correlation(closes(*prices), inverse) < Decimal("-0.999")  # type: ignore[operator]


def test_strangers_are_hardly_alike() -> None:
    likeness = correlation(closes(*path(1)), closes(*path(2)))

    assert likeness is not None
    assert abs(likeness) < Decimal("0.4")


def test_it_is_pearson_s_coefficient_of_the_returns() -> None:
    # Steps of +1 %, -1 % in turn against +2 %, 0 % in turn: both move together, always.
    one, other = [Decimal(100)], [Decimal(100)]
    for number in range(40):
        up = number % 2 == 0
        one.append(one[-1] * (Decimal("1.01") if up else Decimal("0.99")))
        other.append(other[-1] * (Decimal("1.02") if up else Decimal(1)))
    assert correlation(closes(*one), closes(*other)) == 1
    # By hand for four kinds of steps (a, b): (1, 1), (1, -1), (-1, 1), (-1, -1), 3:1:1:3 of 8.
    kinds = [(1, 1)] * 3 + [(1, -1), (-1, 1)] + [(-1, -1)] * 3
    a, b = [Decimal(1_000_000)], [Decimal(1_000_000)]
    for x, y in kinds * 5:
        a.append(a[-1] * (1 + Decimal(x) / 1000))
        b.append(b[-1] * (1 + Decimal(y) / 1000))
    assert correlation(closes(*a), closes(*b)) == Decimal("0.5")


def test_too_few_common_minutes_say_nothing() -> None:
    prices = path(3, LEAST_RETURNS + 1)

    assert correlation(closes(*prices), closes(*prices)) == 1
    assert correlation(closes(*prices[1:]), closes(*prices[1:])) is None
    later = closes(*prices, start=NOON + MINUTE_MS)
    assert correlation(closes(*prices), later) is None
    assert correlation(closes(*path(3)), closes(*path(4), every=2)) is not None
    assert correlation(MinuteCloses(), MinuteCloses()) is None


def test_what_does_not_move_is_like_nothing() -> None:
    assert correlation(closes(*[100] * 61), closes(*path(5))) is None


def test_only_the_last_trade_of_a_minute_and_the_last_hour_are_kept() -> None:
    made = MinuteCloses()
    for second in range(0, 2 * 3600, 20):
        made.add(NOON + second * 1000, Decimal(second + 1))
    made.add(NOON, Decimal(7))

    newest = NOON // MINUTE_MS + 119
    assert made.latest == newest
    assert list(made.prices) == list(range(newest - WINDOW, newest + 1))
    assert made.prices[newest] == 7181
    assert made.prices[newest - WINDOW] == 3581


def alike(settings: dict[str, str] | None = None, **how: object) -> Desk:
    desk = Desk(settings, symbols=(BTC, ETH, SOL))
    moves.walk(desk, BTC, ETH, **how)  # type: ignore[arg-type]
    desk.trade(100, SOL)
    return desk


def test_two_that_move_alike_share_a_limit() -> None:
    desk = alike({"MAX_CORRELATED_EXPOSURE_PCT": "0.15"})
    desk.enter(100, symbol=BTC)
    desk.trade(100, ETH)

    decision = desk.signal(100, symbol=ETH)

    held = desk.position(BTC)
    assert held == 100
    assert decision.verdict is Verdict.TRIMMED
    assert decision.binding_limit == "4 correlated_exposure"
    limit = Decimal("0.15") * decision.equity
    assert (held + decision.quantity) * 100 <= limit
    assert (held + decision.quantity + Decimal("0.001")) * 100 > limit
    layer = decision.layers[3]
    assert layer.detail.endswith("of what moves alike: BTC_USDT (1)")
    assert layer.limit == Decimal("0.15")
    assert layer.headroom is not None
    assert 0 <= layer.headroom < Decimal("0.00001")


def test_where_the_limit_is_used_up_nothing_passes() -> None:
    desk = alike({"MAX_CORRELATED_EXPOSURE_PCT": "0.10"})
    desk.enter(100, symbol=BTC)
    desk.trade(100, ETH)

    decision = desk.signal(100, symbol=ETH)

    assert decision.reason == Reason.CORRELATED_EXPOSURE
    assert decision.layers[3].verdict == "FAIL"


def test_the_other_side_is_a_hedge_and_not_the_same_bet() -> None:
    desk = alike({"MAX_CORRELATED_EXPOSURE_PCT": "0.10"})
    desk.enter(100, symbol=BTC)
    desk.trade(100, ETH)

    assert desk.signal(100, Side.SELL, ETH).verdict is Verdict.APPROVED


def test_the_other_side_of_a_mirror_image_is_the_same_bet() -> None:
    desk = alike({"MAX_CORRELATED_EXPOSURE_PCT": "0.10"}, opposite=True)
    desk.enter(100, symbol=BTC)
    desk.trade(100, ETH)

    assert desk.signal(100, Side.BUY, ETH).verdict is Verdict.APPROVED
    desk = alike({"MAX_CORRELATED_EXPOSURE_PCT": "0.10"}, opposite=True)
    desk.enter(100, symbol=BTC)
    desk.trade(100, ETH)
    assert desk.signal(100, Side.SELL, ETH).reason == Reason.CORRELATED_EXPOSURE


def test_an_entry_that_waits_for_its_fill_counts_as_filled() -> None:
    desk = alike({"MAX_CORRELATED_EXPOSURE_PCT": "0.10"})
    desk.trade(100, BTC)
    desk.signal(100, symbol=BTC)

    desk.trade(100, ETH)

    assert desk.signal(100, symbol=ETH).reason == Reason.CORRELATED_EXPOSURE


def test_a_stranger_and_one_without_history_are_not_counted() -> None:
    desk = alike({"MAX_CORRELATED_EXPOSURE_PCT": "0.10"})
    desk.enter(100, symbol=BTC)
    desk.trade(100, SOL)

    assert desk.signal(100, symbol=SOL).verdict is Verdict.APPROVED


def test_by_default_two_whole_positions_that_move_alike_fit() -> None:
    desk = alike()
    desk.enter(100, symbol=BTC)
    desk.trade(100, ETH)

    assert desk.signal(100, symbol=ETH).verdict is not Verdict.REJECTED
