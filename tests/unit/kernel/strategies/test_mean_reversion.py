"""Mean reversion: entries away from the window's mean, exits at the mean, holes, cooldown."""

import random
from decimal import Decimal
from typing import Any

import pytest

from services.kernel.events import MarketData, Side
from services.kernel.market.bars import Bar
from services.kernel.settings.model import TradingSettings
from services.kernel.strategies import Intent, MeanReversion
from services.kernel.strategies.mean_reversion import SymbolReversion
from services.kernel.strategies.price_window import COMPACT_AFTER, PriceWindow
from tests import builders
from tests.builders import BTC, ETH, NOON, Number

pytestmark = [pytest.mark.unit, pytest.mark.signal]

# One minute of trades every ten seconds: the window holds seven seconds, a trade's own included.
WINDOW = {"LOOKBACK_MINUTES": "1", "SIGNAL_THRESHOLD_PCT": "0.01"}


def reversion(**settings: str) -> MeanReversion:
    return MeanReversion(TradingSettings.parse(WINDOW | settings)[0])


def at(second: int, price: Number = 100, volume: Number = 1, **fields: Any) -> MarketData:
    return builders.trade(BTC, price, NOON + second * 1000, volume, **fields)


def warm(strategy: MeanReversion, *, until: int = 60, **fields: Any) -> None:
    for second in range(0, until, 10):
        assert strategy.on_tick(at(second, **fields)) is None


def direction(intent: Intent | None) -> tuple[Side, bool] | None:
    return None if intent is None else (intent.direction, intent.reduce_only)


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        # Mean of six times 100 and p: p = 0.99 * mean at 98.8352..., p = 1.01 * mean at 101.1686...
        ("98.835", (Side.BUY, False)),
        ("98.836", None),
        ("101.168", None),
        ("101.169", (Side.SELL, False)),
    ],
)
def test_a_price_far_enough_from_the_mean_is_an_entry_against_it(
    price: str, expected: tuple[Side, bool] | None
) -> None:
    strategy = reversion()
    warm(strategy)

    assert direction(strategy.on_tick(at(60, price))) == expected


@pytest.mark.parametrize(
    ("base", "price", "side"),
    [(603, 594, Side.BUY), (597, 606, Side.SELL)],
)
def test_a_distance_equal_to_the_threshold_is_an_entry(base: int, price: int, side: Side) -> None:
    """Two traded seconds before, one at the mean's other side: the mean is exactly 600."""
    strategy = reversion()
    for second, value in ((0, base), (30, base)):
        assert strategy.on_tick(at(second, value)) is None

    assert direction(strategy.on_tick(at(60, price))) == (side, False)


def test_an_intent_has_the_figures_behind_it() -> None:
    strategy = reversion()
    strategy.on_tick(at(0, 603))
    strategy.on_tick(at(30, 603))
    intent = strategy.on_tick(at(60, 594))

    assert intent is not None
    assert intent.reason == "price below the window's mean by at least 0.01"
    assert intent.indicators == {
        "distance_pct": Decimal("-0.01"),
        "mean_price": 600,
        "threshold_pct": Decimal("0.01"),
        "window_value": 1800,
    }
    assert (intent.price, intent.strength, intent.quantity) == (594, Decimal("0.5"), None)


def test_strength_is_at_most_one() -> None:
    strategy = reversion()
    warm(strategy)
    intent = strategy.on_tick(at(60, 50))

    assert intent is not None
    assert intent.strength == 1


def test_no_entry_before_the_window_is_filled() -> None:
    strategy = reversion()
    warm(strategy, until=60)

    assert strategy.on_tick(at(59, 90)) is None
    assert direction(strategy.on_tick(at(60, 90))) == (Side.BUY, False)


@pytest.mark.parametrize(
    ("entry", "before", "exit_price", "side"),
    [
        (95, "99.16", "99.17", Side.SELL),  # five times 100 and 95: the mean is 99.1666...
        (105, "100.84", "100.83", Side.BUY),
    ],
)
def test_the_position_is_left_at_the_mean_or_beyond(
    entry: int, before: str, exit_price: str, side: Side
) -> None:
    strategy = reversion()
    warm(strategy)
    assert strategy.on_tick(at(60, entry)) is not None

    assert strategy.on_tick(at(70, before)) is None
    intent = strategy.on_tick(at(71, exit_price))

    assert direction(intent) == (side, True)
    assert intent is not None
    assert intent.reason == "the price is back at the window's mean"


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
def test_a_price_equal_to_the_mean_is_an_exit(side: Side) -> None:
    strategy = reversion()
    strategy.seed({BTC: side}, {})
    strategy.on_tick(at(0))

    assert direction(strategy.on_tick(at(60))) == (side.opposite, True)


@pytest.mark.parametrize(("second", "enters"), [(129, False), (130, True)])
def test_after_an_exit_the_symbol_rests(second: int, enters: bool) -> None:
    strategy = reversion(SIGNAL_COOLDOWN_SEC="60")
    warm(strategy)
    strategy.on_tick(at(60, 95))
    assert strategy.on_tick(at(70, 100)) is not None
    for quiet in range(80, 129, 10):
        assert strategy.on_tick(at(quiet)) is None

    assert (strategy.on_tick(at(second, 90)) is not None) is enters


@pytest.mark.parametrize(("floor", "enters"), [("690", True), ("690.01", False)])
def test_an_entry_needs_the_volume_floor(floor: str, enters: bool) -> None:
    strategy = reversion(VOLUME_FLOOR=floor)
    warm(strategy)

    assert (strategy.on_tick(at(60, 90)) is not None) is enters


def test_a_hole_prevents_an_entry_but_no_exit() -> None:
    strategy = reversion(DATA_STALE_TIMEOUT_SEC="10")
    for second in (0, 30):
        strategy.on_tick(at(second))
    assert strategy.on_tick(at(60, 90)) is None

    strategy.seed({BTC: Side.BUY}, {})
    assert direction(strategy.on_tick(at(90, 110))) == (Side.SELL, True)


@pytest.mark.parametrize(
    "tick",
    [
        at(60, 90, backfill=True),
        builders.trade(ETH, 90, NOON + 60_000),
    ],
)
def test_only_a_live_trade_of_the_symbol_makes_an_intent(tick: MarketData) -> None:
    strategy = reversion()
    warm(strategy)

    assert strategy.on_tick(tick) is None


def test_a_restored_strategy_decides_the_same() -> None:
    strategy, restored = reversion(), reversion()
    warm(strategy)
    restored.restore(strategy.snapshot())

    assert restored.snapshot() == strategy.snapshot()
    assert restored.on_tick(at(60, 90)) == strategy.on_tick(at(60, 90)) is not None
    assert restored.snapshot() == strategy.snapshot()
    assert restored.status() == {BTC: {"wants": Side.BUY, "seconds_in_window": 7}}


def test_a_bar_makes_no_intent() -> None:
    price = Decimal(90)
    bar = Bar(
        symbol=BTC,
        start=NOON,
        length_ms=60_000,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=Decimal(1),
        trades=1,
        backfilled=0,
        revision=0,
        complete=True,
    )
    assert reversion().on_bar(bar) is None


def test_the_sum_is_that_of_the_windows_prices() -> None:
    """Late trades, several in a second, holes, and more seconds than the window compacts after."""
    seeded = random.Random(7)  # noqa: S311
    known = SymbolReversion(window=PriceWindow(length_ms=20_000, max_hole_ms=5_000))
    now, compacted = NOON, False
    for _ in range(4 * COMPACT_AFTER):
        now += seeded.choice((0, 300, 900, 1_000, 2_500, 2_500, 30_000))
        late = seeded.choice((0, 0, 0, 4_000))
        before = known.window.head
        known.add(now - late, Decimal(seeded.randint(9_000, 11_000)) / 100, Decimal(1))
        compacted = compacted or known.window.head < before
        assert known.price_sum == sum(known.window.prices[known.window.head :])
    assert compacted
