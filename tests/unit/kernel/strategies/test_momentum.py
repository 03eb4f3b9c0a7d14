"""Momentum: entries and exits over a true window in event time, holes, cooldown."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from services.kernel.events import MarketData, MarketDataKind, Side, Signal
from services.kernel.settings.model import TradingSettings
from services.kernel.strategies import Intent, Momentum
from services.kernel.strategies.stage import SignalStage
from tests import builders
from tests.builders import BTC, ETH, MINUTE_MS, NOON, Number

pytestmark = [pytest.mark.unit, pytest.mark.signal]

QUARTER = 15 * MINUTE_MS


def momentum(**settings: str) -> Momentum:
    return Momentum(TradingSettings.parse(settings)[0])


def at(second: int, price: Number = 100, volume: Number = 1, **fields: Any) -> MarketData:
    return builders.trade(BTC, price, NOON + second * 1000, volume, **fields)


def warm(strategy: Momentum, *, until: int = 900, price: Number = 100, **fields: Any) -> None:
    """Fifteen minutes of trades every ten seconds, without an intent."""
    for second in range(0, until, 10):
        assert strategy.on_tick(at(second, price, **fields)) is None


def direction(intent: Intent | None) -> tuple[Side, bool] | None:
    return None if intent is None else (intent.direction, intent.reduce_only)


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        ("101", (Side.BUY, False)),
        ("100.99", None),
        ("99.01", None),
        ("99", (Side.SELL, False)),
    ],
)
def test_a_move_that_reaches_the_threshold_is_an_entry(
    price: str, expected: tuple[Side, bool] | None
) -> None:
    strategy = momentum()
    warm(strategy)
    assert strategy.on_tick(at(900)) is None

    assert direction(strategy.on_tick(at(901, price))) == expected


def test_an_intent_tells_the_figures_behind_it() -> None:
    strategy = momentum()
    warm(strategy)
    intent = strategy.on_tick(at(901, 103))

    assert intent is not None
    assert intent.reason == "price rose by at least 0.01 over the window"
    assert intent.indicators["pct_change"] == Decimal("0.03")
    assert intent.indicators["reference_price"] == 100
    assert intent.indicators["threshold_pct"] == Decimal("0.01")
    assert (intent.price, intent.strength, intent.quantity) == (103, 1, None)


@pytest.mark.parametrize(("price", "strength"), [("101", "0.5"), ("101.5", "0.75"), ("140", "1")])
def test_strength_is_one_at_twice_the_threshold(price: str, strength: str) -> None:
    strategy = momentum()
    warm(strategy)

    intent = strategy.on_tick(at(901, price))

    assert intent is not None
    assert intent.strength == Decimal(strength)


def test_a_window_filled_in_part_never_signals() -> None:
    strategy = momentum()
    for second in range(0, 900, 10):
        assert strategy.on_tick(at(second, 100 + second)) is None  # up by 1 each second

    assert direction(strategy.on_tick(at(900, 1000))) == (Side.BUY, False)


def test_the_reference_is_of_the_second_in_which_the_window_began() -> None:
    strategy = momentum()
    strategy.on_tick(at(0, 150))
    for second in range(15, 900, 15):  # the points of bars are 15 s apart
        strategy.on_tick(at(second, 100))

    intent = strategy.on_tick(at(900, 120))

    assert direction(intent) == (Side.SELL, False)
    assert intent is not None
    assert intent.indicators["reference_price"] == 150


def test_backfill_fills_the_window_and_never_signals() -> None:
    strategy = momentum()
    warm(strategy, backfill=True)
    assert strategy.on_tick(at(901, 200, backfill=True)) is None

    assert direction(strategy.on_tick(at(902, 200))) == (Side.BUY, False)


@pytest.mark.parametrize(("floor", "enters"), [("9102", True), ("9102.01", False)])
def test_a_traded_value_that_reaches_the_floor_is_enough(floor: str, enters: bool) -> None:
    strategy = momentum(VOLUME_FLOOR=floor)
    warm(strategy)  # 90 trades of 100

    assert (strategy.on_tick(at(901, 102)) is not None) == enters


def test_a_voided_print_counts_by_its_volume_only() -> None:
    strategy = momentum(VOLUME_FLOOR="10000")
    warm(strategy)  # 90 trades of 100
    voided = builders.tick(MarketDataKind.TRADE, BTC, NOON + 900_500, volume=Decimal(20))

    assert strategy.on_tick(voided) is None
    intent = strategy.on_tick(at(901, 102))

    assert direction(intent) == (Side.BUY, False)
    assert intent is not None
    assert intent.indicators["window_value"] == 90 * 100 + 20 * 100 + 102


# Holes


@pytest.mark.parametrize(
    ("hole_ms", "expected"), [(60_000, (Side.BUY, False)), (60_001, None)], ids=["none", "one"]
)
def test_an_entry_needs_a_window_without_a_hole_longer_than_the_stale_timeout(
    hole_ms: int, expected: tuple[Side, bool] | None
) -> None:
    strategy = momentum()
    warm(strategy, until=881)  # the last trade is at 880
    ends = builders.trade(BTC, 101, NOON + 880_000 + hole_ms)

    assert direction(strategy.on_tick(ends)) == expected


def test_entries_come_back_when_the_hole_has_left_the_window() -> None:
    strategy = momentum()
    warm(strategy, until=881)
    for second in range(950, 1850, 10):  # from 880 to 950 nothing is known
        assert strategy.on_tick(at(second, 200)) is None

    assert strategy.on_tick(at(1849, 300)) is None
    assert direction(strategy.on_tick(at(1850, 300))) == (Side.BUY, False)


def test_a_second_hole_counts_from_its_own_end() -> None:
    strategy = momentum()
    warm(strategy, until=881)
    for second in range(950, 1200, 10):
        strategy.on_tick(at(second))
    for second in range(1300, 1900, 10):
        strategy.on_tick(at(second))

    assert strategy.on_tick(at(1900, 102)) is None
    assert strategy.on_tick(at(2199, 102)) is None  # its window holds the end of the second hole


@pytest.mark.parametrize(("price", "leaves"), [("100.01", False), ("100", True), ("99", True)])
def test_an_exit_over_a_hole_compares_with_the_last_price_before_it(
    price: str, leaves: bool
) -> None:
    strategy = momentum()
    warm(strategy)
    assert direction(strategy.on_tick(at(901, 102))) == (Side.BUY, False)

    intent = strategy.on_tick(at(901 + 61, price))  # a minute without a trade

    assert direction(intent) == ((Side.SELL, True) if leaves else None)


def test_an_exit_over_a_hole_longer_than_the_window_compares_with_what_was_before_it() -> None:
    strategy = momentum()
    warm(strategy)
    assert direction(strategy.on_tick(at(901, 102))) == (Side.BUY, False)

    assert strategy.on_tick(at(901 + 5000, 103)) is None
    assert direction(strategy.on_tick(at(901 + 5001, 102))) == (Side.SELL, True)


def test_a_short_leaves_over_a_hole_too() -> None:
    strategy = momentum()
    warm(strategy)
    assert direction(strategy.on_tick(at(901, 98))) == (Side.SELL, False)

    assert direction(strategy.on_tick(at(1100, 100))) == (Side.BUY, True)


def test_an_exit_comes_when_the_move_is_gone() -> None:
    strategy = momentum()
    warm(strategy)
    strategy.on_tick(at(901, 102))
    for second in range(910, 1800, 10):
        assert strategy.on_tick(at(second, 102)) is None  # still above the price back then

    intent = strategy.on_tick(at(1802, 102))  # now 102 is what it was fifteen minutes ago

    assert direction(intent) == (Side.SELL, True)
    assert intent is not None
    assert intent.reason == "the move over the window is gone"


def test_a_short_leaves_when_the_price_is_back() -> None:
    strategy = momentum()
    warm(strategy)
    assert direction(strategy.on_tick(at(901, 98))) == (Side.SELL, False)

    assert strategy.on_tick(at(905, "99.99")) is None
    assert direction(strategy.on_tick(at(910, 100))) == (Side.BUY, True)


def test_one_position_is_wanted_at_a_time() -> None:
    strategy = momentum()
    warm(strategy)
    strategy.on_tick(at(901, 102))

    assert strategy.on_tick(at(902, 110)) is None


def test_after_an_exit_the_symbol_rests() -> None:
    strategy = momentum(SIGNAL_COOLDOWN_SEC="60")
    warm(strategy)
    strategy.on_tick(at(901, 102))
    assert direction(strategy.on_tick(at(910, 100))) == (Side.SELL, True)

    assert strategy.on_tick(at(969, 102)) is None
    assert direction(strategy.on_tick(at(970, 102))) == (Side.BUY, False)


def test_an_entry_needs_the_volume_floor_within_the_window_and_an_exit_does_not() -> None:
    strategy = momentum(VOLUME_FLOOR="10000")
    warm(strategy)  # 90 trades of 100
    assert strategy.on_tick(at(901, 102)) is None

    assert direction(strategy.on_tick(at(902, 102, volume=20))) == (Side.BUY, False)
    assert direction(strategy.on_tick(at(903, 100, volume=0))) == (Side.SELL, True)


@pytest.mark.parametrize(
    "tick",
    [
        builders.quote(BTC, 200, 201, NOON + 901_000),
        builders.mark(BTC, 200, NOON + 901_000),
        builders.trade(ETH, 200, NOON + 901_000),
        builders.tick(MarketDataKind.TRADE, BTC, NOON + 901_000),
    ],
)
def test_only_trades_of_the_symbol_move_its_window(tick: MarketData) -> None:
    strategy = momentum()
    warm(strategy)

    assert strategy.on_tick(tick) is None
    assert strategy.on_tick(at(902)) is None


def test_symbols_are_independent() -> None:
    strategy = momentum()
    warm(strategy)
    for second in range(0, 900, 10):
        strategy.on_tick(builders.trade(ETH, 50, NOON + second * 1000))

    assert direction(strategy.on_tick(at(901, 102))) == (Side.BUY, False)
    intent = strategy.on_tick(builders.trade(ETH, 40, NOON + 901_000))
    assert direction(intent) == (Side.SELL, False)
    assert strategy.status()[BTC] == {"wants": Side.BUY, "seconds_in_window": 91}


# The stage


def signals_of(stage: SignalStage, ticks: list[MarketData]) -> list[Signal]:
    return [s for tick in ticks for s in builders.of_type(stage.handle(tick), Signal)]


def test_the_stage_publishes_intents_as_signals_and_carries_a_snapshot() -> None:
    stage = SignalStage()
    assert stage.handle(at(0)) == []
    assert stage.status() == {"strategy": None}
    empty = SignalStage()
    empty.restore(stage.snapshot())
    assert empty.status() == {"strategy": None}
    stage.handle(builders.run_started())
    ticks = [at(second) for second in range(0, 900, 10)]
    assert signals_of(stage, ticks) == []

    other = SignalStage()
    other.restore(stage.snapshot())
    rise = at(901, 102)
    (signal,) = signals_of(stage, [rise])

    assert signals_of(other, [rise]) == [signal]
    assert other.snapshot() == stage.snapshot()
    assert (signal.signal_id, signal.correlation_id) == (signal.event_id, signal.event_id)
    assert (signal.causation_id, signal.timestamp) == (rise.event_id, rise.timestamp)
    assert (signal.strategy_id, signal.reduce_only) == ("momentum-1", False)
    assert stage.status()["strategy"] == "momentum-1"


def test_a_new_run_begins_with_an_empty_window() -> None:
    stage = SignalStage()
    stage.handle(builders.run_started())
    signals_of(stage, [at(second) for second in range(0, 900, 10)])

    stage.handle(builders.run_started({"LOOKBACK_MINUTES": "1"}, run_id="run-2"))

    assert signals_of(stage, [at(901, 200), at(950, 300)]) == []


def test_another_strategy_can_be_given() -> None:
    class Contrarian(Momentum):
        strategy_id = "contrarian"

    make: Callable[[TradingSettings], Momentum] = Contrarian
    stage = SignalStage(make)
    stage.handle(builders.run_started())

    assert stage.status()["strategy"] == "contrarian"
