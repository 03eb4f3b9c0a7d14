"""Trades on their way to a strategy: confirmed ones, in order; bars hold no voided price."""

from decimal import Decimal
from typing import Any

import pytest

from services.kernel.events import Clock, Event, MarketData, Side, Signal
from services.kernel.market.bars import GRACE_MS, Bar
from services.kernel.portfolio.portfolio import Portfolio
from services.kernel.settings.model import TradingSettings
from services.kernel.strategies import Intent, Momentum
from services.kernel.strategies.stage import SignalStage
from tests import builders
from tests.builders import BTC, ETH, MINUTE_MS, NOON, Number
from tests.unit.kernel.random_market import RandomMarket

pytestmark = [pytest.mark.unit, pytest.mark.signal]

SECOND_MS = 1000
Seen = tuple[str, Any, int]


class Watcher(Momentum):
    """Notes what it is given: trades and bars, with milliseconds after noon."""

    strategy_id = "watcher"

    def __init__(self, trading: TradingSettings) -> None:
        super().__init__(trading)
        self.seen: list[Seen] = []

    def on_tick(self, tick: MarketData) -> Intent | None:
        self.seen.append((tick.kind.value, tick.price, tick.timestamp - NOON))
        return super().on_tick(tick)

    def on_bar(self, bar: Bar) -> Intent | None:
        prices = tuple(map(int, (bar.open, bar.high, bar.low, bar.close, bar.volume)))
        self.seen.append(("bar", prices, bar.start - NOON))
        return None


class Core:
    """The signal stage with a `Watcher`."""

    def __init__(self, settings: dict[str, str] | None = None) -> None:
        self.stage = SignalStage(self._watch)
        self.feed(builders.run_started(settings))

    def _watch(self, settings: TradingSettings) -> Watcher:
        self.watcher = Watcher(settings)
        return self.watcher

    def feed(self, *events: Event) -> list[Signal]:
        outputs = [output for event in events for output in self.stage.handle(event)]
        return builders.of_type(outputs, Signal)

    def trade(self, price: Number, after_ms: int, **fields: Any) -> list[Signal]:
        return self.feed(builders.trade(BTC, price, NOON + after_ms, **fields))

    def clock(self, after_ms: int) -> list[Signal]:
        return self.feed(builders.clock(NOON + after_ms))

    @property
    def seen(self) -> list[Seen]:
        """What the strategy was given since it was last asked."""
        seen, self.watcher.seen = self.watcher.seen, []
        return seen


def at_100() -> Core:
    core = Core()
    core.trade(100, 0)
    assert core.seen == [("trade", 100, 0)]
    return core


def test_a_print_comes_before_the_trade_that_confirms_it_with_its_own_time() -> None:
    core = at_100()
    core.trade(110, 1000)
    assert core.seen == []

    core.trade(111, 1500)

    assert core.seen == [("trade", 110, 1000), ("trade", 111, 1500)]


def test_a_voided_print_comes_without_its_price() -> None:
    core = at_100()
    core.trade(110, 1000)

    core.trade(100, 1500)

    assert core.seen == [("trade", None, 1000), ("trade", 100, 1500)]


def test_a_quote_confirms_a_print_before_the_strategy_sees_the_quote() -> None:
    core = at_100()
    core.trade(110, 1000)

    core.feed(builders.quote(BTC, 110, 111, NOON + 1200))

    assert core.seen == [("trade", 110, 1000), ("quote", None, 1200)]


def test_other_symbols_wait_for_nothing() -> None:
    core = at_100()
    core.trade(110, 1000)

    core.feed(builders.trade(ETH, 10, NOON + 1100))

    assert core.seen == [("trade", 10, 1100)]


# Bars


def test_a_voided_print_is_not_the_high_of_a_bar_and_its_volume_counts() -> None:
    core = at_100()
    core.trade(110, 1000, volume=5)
    core.trade(101, 2000)

    core.clock(MINUTE_MS + GRACE_MS)

    assert core.seen[-1] == ("bar", (100, 101, 100, 101, 7), 0)


def test_a_confirmed_print_is_in_the_bar_of_its_own_time() -> None:
    core = at_100()
    core.trade(110, MINUTE_MS - 100)
    core.trade(111, MINUTE_MS + GRACE_MS)  # confirms it, and proves that the minute is over

    assert core.seen == [
        ("trade", 110, MINUTE_MS - 100),
        ("bar", (100, 110, 100, 110, 2), 0),
        ("trade", 111, MINUTE_MS + GRACE_MS),
    ]


def test_a_bar_waits_for_a_print_in_it_that_is_not_confirmed() -> None:
    core = at_100()
    core.trade(110, MINUTE_MS - 100)
    core.clock(2 * MINUTE_MS - 101)
    assert core.seen == []

    core.clock(2 * MINUTE_MS - 100)  # the stale timeout

    assert core.seen == [("trade", 110, MINUTE_MS - 100), ("bar", (100, 110, 100, 110, 2), 0)]


def test_a_bar_does_not_wait_for_a_print_behind_its_end() -> None:
    core = at_100()
    core.trade(110, MINUTE_MS)

    core.clock(MINUTE_MS + GRACE_MS)

    assert core.seen == [("bar", (100, 100, 100, 100, 1), 0)]


def test_the_time_of_a_print_closes_the_bars_before_it() -> None:
    core = at_100()

    core.trade(110, MINUTE_MS + GRACE_MS)
    assert core.seen == [("bar", (100, 100, 100, 100, 1), 0)]
    core.trade(110, MINUTE_MS + GRACE_MS + 1)
    core.clock(2 * MINUTE_MS + GRACE_MS)

    assert core.seen[-1] == ("bar", (110, 110, 110, 110, 2), MINUTE_MS)


def test_a_minute_in_which_every_print_was_voided_has_no_bar() -> None:
    core = at_100()
    core.trade(110, 2 * MINUTE_MS - 1000)
    core.trade(100, 2 * MINUTE_MS + 1000)

    core.clock(4 * MINUTE_MS)

    bars = [seen for seen in core.seen if seen[0] == "bar"]
    assert bars == [
        ("bar", (100, 100, 100, 100, 1), 0),
        ("bar", (100, 100, 100, 100, 1), 2 * MINUTE_MS),
    ]


def test_a_voided_print_of_an_older_bar_revises_it() -> None:
    core = at_100()
    core.trade(100, 500, backfill=True)
    core.trade(110, 1000, backfill=True, volume=5)
    core.clock(2000)
    core.feed(builders.trade(BTC, 100, NOON + 3000, backfill=True))

    core.clock(MINUTE_MS + GRACE_MS)

    assert core.seen[-1] == ("bar", (100, 100, 100, 100, 8), 0)


# Signals


def rising(settings: dict[str, str] | None = None) -> Core:
    """Trades every five seconds rise from 100 to 102 in 15 minutes; the strategy is long."""
    core = Core(settings)
    bought = [
        signal
        for number in range(181)
        for signal in core.trade(100 + Decimal(number) / 90, number * 5 * SECOND_MS)
    ]
    assert [(signal.direction, signal.reduce_only) for signal in bought] == [(Side.BUY, False)]
    return core


def test_one_bad_print_makes_no_exit() -> None:
    core = rising()

    signals = core.trade(81, 905_000)
    for second in range(906, 910):
        signals += core.clock(second * SECOND_MS)
    signals += core.trade(102, 910_000)

    assert signals == []


def test_a_confirmed_fall_is_an_exit_at_the_price_of_the_print() -> None:
    core = rising()
    assert core.trade(81, 905_000) == []

    confirming = builders.trade(BTC, "80.9", NOON + 910_000)
    (signal,) = core.feed(confirming)

    assert (signal.direction, signal.reduce_only, signal.price) == (Side.SELL, True, 81)
    assert (signal.causation_id, signal.timestamp) == (confirming.event_id, confirming.timestamp)


def test_a_fall_that_stood_is_an_exit_at_the_clock() -> None:
    core = rising()
    core.trade(81, 905_000)
    assert core.clock(905_000 + 14_999) == []

    (signal,) = core.clock(905_000 + 15_000)  # three usual pauses

    assert (signal.reduce_only, signal.price) == (True, 81)
    assert signal.timestamp == NOON + 920_000


def test_one_bad_print_makes_no_entry_and_is_no_reference() -> None:
    core = Core()
    for number in range(181):
        assert core.trade(100, number * 5 * SECOND_MS) == []

    assert core.trade(120, 905_000) == []
    for number in range(182, 363):
        assert core.trade(100, number * 5 * SECOND_MS) == []
    assert core.trade(120, 1_815_000) == []


def test_a_backfilled_trade_that_confirms_a_print_triggers_nothing() -> None:
    core = rising()
    core.trade(81, 905_000)

    assert core.trade("80.9", 906_000, backfill=True) == []
    (signal,) = core.trade("80.9", 907_000)
    assert signal.price == Decimal("80.9")


def test_the_settings_of_the_run_say_what_jumps_and_how_long_it_waits() -> None:
    core = rising({"MAX_PRICE_JUMP_PCT": "0.25", "DATA_STALE_TIMEOUT_SEC": "10"})
    (signal,) = core.trade(81, 905_000)
    assert signal.reduce_only

    core = rising({"DATA_STALE_TIMEOUT_SEC": "10"})
    core.trade(81, 905_000)
    assert core.clock(905_000 + 9_999) == []
    assert len(core.clock(905_000 + 10_000)) == 1


def test_a_print_still_waits_after_a_restart() -> None:
    core, restored = rising(), Core()
    core.trade(81, 905_000)

    restored.stage.restore(core.stage.snapshot())

    assert restored.stage.snapshot() == core.stage.snapshot()
    assert restored.trade("80.9", 910_000)[0].price == 81


def test_strategy_and_account_count_the_same_trades() -> None:
    unconfirmed = 0
    for seed in range(8):
        core, fold = Core(), Portfolio()
        for event in RandomMarket(seed).events(200):
            core.feed(event)
            fold.apply(event)
            if isinstance(event, MarketData | Clock):
                ours = [trade for trade in core.seen if trade[0] == "trade"]
                assert ours == [("trade", t.price, t.timestamp - NOON) for t in fold.counted]
            if isinstance(event, MarketData):
                unconfirmed += fold.unconfirmed_at(event.symbol) is not None
    assert unconfirmed > 0
