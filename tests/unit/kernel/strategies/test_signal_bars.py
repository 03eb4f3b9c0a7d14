"""Bars on their way to a strategy: the signal stage builds them, and says which may trigger."""

import csv
import gzip
import os
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from services.kernel.events import ConditionName, ConditionPhase, Event, MarketData, Side, Signal
from services.kernel.market.bars import GRACE_MS, Bar
from services.kernel.settings.model import TradingSettings
from services.kernel.strategies import Intent, Momentum
from services.kernel.strategies.stage import SignalStage
from tests import builders
from tests.builders import BTC, ETH, MINUTE_MS, NOON

pytestmark = [pytest.mark.unit, pytest.mark.signal]

DATA = os.environ.get("CDB_TEST_DATA")


class BarWatcher:
    """A strategy that wants to buy at every bar, and notes what it was given."""

    strategy_id = "bar-watcher"

    def __init__(self, _: TradingSettings) -> None:
        self.seen: list[Bar | MarketData] = []

    def on_tick(self, tick: MarketData) -> Intent | None:
        self.seen.append(tick)
        return None

    def on_bar(self, bar: Bar) -> Intent | None:
        self.seen.append(bar)
        return Intent(
            direction=Side.BUY,
            strength=Decimal(1),
            price=bar.close,
            reason="a bar",
            indicators={},
            reduce_only=False,
        )

    def snapshot(self) -> bytes:
        return b"{}"

    def restore(self, snapshot: bytes) -> None:
        pass

    def status(self) -> dict[str, object]:
        return {}

    @property
    def bars(self) -> list[Bar]:
        return [seen for seen in self.seen if isinstance(seen, Bar)]


class Core:
    """The signal stage with a `BarWatcher`."""

    def __init__(self, settings: dict[str, str] | None = None) -> None:
        self.stage = SignalStage(self._watch)
        self.feed(builders.run_started(settings))

    def _watch(self, settings: TradingSettings) -> BarWatcher:
        self.watcher = BarWatcher(settings)
        return self.watcher

    def feed(self, *events: Event) -> list[Signal]:
        outputs = [output for event in events for output in self.stage.handle(event)]
        return builders.of_type(outputs, Signal)


def gap(phase: ConditionPhase, symbol: str | None = BTC, **lost: int) -> Event:
    condition = builders.condition(ConditionName.DATA_GAP, phase, symbol=symbol)
    return msgspec.structs.replace(condition, **lost)


def test_a_live_trade_beyond_the_grace_closes_the_bar_before_the_strategy_sees_the_trade() -> None:
    core = Core()
    later = builders.trade(BTC, 101, NOON + MINUTE_MS + GRACE_MS)

    signals = core.feed(builders.trade(BTC, 100, NOON), later)

    assert [type(seen) for seen in core.watcher.seen] == [MarketData, Bar, MarketData]
    (signal,) = signals
    assert signal.price == 100
    assert (signal.symbol, signal.timestamp) == (BTC, later.timestamp)


def test_the_clock_closes_the_bar_of_a_symbol_that_is_silent() -> None:
    core = Core()
    core.feed(builders.trade(BTC, 100, NOON), builders.trade(ETH, 10, NOON))

    signals = core.feed(builders.clock(NOON + MINUTE_MS + GRACE_MS))

    assert [signal.symbol for signal in signals] == [BTC, ETH]
    assert core.stage.status()["bars"] == {
        "length_ms": MINUTE_MS, "closed": 2, "revised": 0, "too_late": 0,
    }  # fmt: skip


def test_the_length_of_the_bars_is_the_run_s_interval() -> None:
    core = Core({"INTERVAL": "5m"})
    core.feed(*(builders.trade(BTC, 100 + m, NOON + m * MINUTE_MS) for m in range(6)))

    core.feed(builders.clock(NOON + 5 * MINUTE_MS + GRACE_MS))

    (bar,) = core.watcher.bars
    assert (bar.length_ms, bar.trades) == (5 * MINUTE_MS, 5)
    assert [bar.open, bar.close] == [100, 104]


def test_a_backfilled_trade_feeds_bars_and_proves_nothing() -> None:
    core = Core()
    core.feed(
        builders.trade(BTC, 100, NOON, backfill=True),
        builders.trade(BTC, 100, NOON + 5 * MINUTE_MS, backfill=True),
    )
    assert core.watcher.bars == []

    signals = core.feed(builders.clock(NOON + MINUTE_MS + GRACE_MS))

    assert len(core.watcher.bars) == 1
    assert signals == []  # a bar with backfilled trades triggers nothing


def test_a_revised_bar_is_handed_over_again_and_triggers_nothing() -> None:
    core = Core()
    core.feed(builders.trade(BTC, 100, NOON), builders.clock(NOON + MINUTE_MS + GRACE_MS))

    signals = core.feed(
        builders.trade(BTC, 99, NOON + 1, backfill=True), builders.clock(NOON + 2 * MINUTE_MS)
    )

    assert [bar.revision for bar in core.watcher.bars] == [0, 1]
    assert [bar.low for bar in core.watcher.bars] == [100, 99]
    assert signals == []


def test_bars_wait_for_the_end_of_a_gap_and_say_what_was_lost() -> None:
    core = Core()
    core.feed(
        builders.trade(BTC, 100, NOON),
        builders.trade(ETH, 10, NOON),
        gap(ConditionPhase.BEGAN),
        builders.clock(NOON + MINUTE_MS + GRACE_MS),
    )
    assert [bar.symbol for bar in core.watcher.bars] == [ETH]

    signals = core.feed(
        gap(ConditionPhase.CLEARED, lost_from=NOON, lost_to=NOON + 5),
        builders.clock(NOON + 3 * MINUTE_MS),
    )

    assert [(bar.symbol, bar.complete) for bar in core.watcher.bars[1:]] == [(BTC, False)]
    assert signals == []  # it is news no longer


def test_a_gap_that_names_what_is_lost_and_goes_on_still_holds_the_bars() -> None:
    core = Core()
    core.feed(
        builders.trade(BTC, 100, NOON),
        gap(ConditionPhase.BEGAN),
        gap(ConditionPhase.BEGAN, lost_from=NOON, lost_to=NOON + 5),
        builders.clock(NOON + MINUTE_MS + GRACE_MS),
    )
    assert core.watcher.bars == []

    core.feed(gap(ConditionPhase.CLEARED), builders.clock(NOON + 3 * MINUTE_MS))

    assert [bar.complete for bar in core.watcher.bars] == [False]


def test_a_gap_of_the_whole_market_holds_every_symbol() -> None:
    core = Core()
    core.feed(
        builders.trade(BTC, 100, NOON),
        gap(ConditionPhase.BEGAN, None),
        builders.clock(NOON + MINUTE_MS + GRACE_MS),
    )

    assert core.watcher.bars == []


def test_other_conditions_do_not_hold_bars() -> None:
    core = Core()
    core.feed(
        builders.trade(BTC, 100, NOON),
        builders.condition(ConditionName.LAG),
        builders.clock(NOON + MINUTE_MS + GRACE_MS),
    )

    assert len(core.watcher.bars) == 1


def test_before_a_run_nothing_is_built() -> None:
    stage = SignalStage()

    assert stage.handle(builders.clock()) == []
    assert stage.handle(gap(ConditionPhase.BEGAN)) == []
    assert stage.status() == {"strategy": None}


def test_a_trade_without_price_or_volume_is_in_no_bar() -> None:
    core = Core()
    core.feed(builders.trade(BTC, 0, NOON), builders.clock(NOON + 2 * MINUTE_MS))

    assert core.watcher.bars == []


def test_bars_go_on_after_a_restart() -> None:
    stage, restored = SignalStage(), SignalStage()
    stage.handle(builders.run_started({"INTERVAL": "2m"}))
    stage.handle(builders.trade(BTC, 100, NOON))

    restored.restore(stage.snapshot())

    restored.handle(builders.clock(NOON + 2 * MINUTE_MS + GRACE_MS))
    assert restored.status()["bars"] == {
        "length_ms": 2 * MINUTE_MS, "closed": 1, "revised": 0, "too_late": 0,
    }  # fmt: skip


def test_momentum_looks_at_ticks_only() -> None:
    stage = SignalStage(Momentum)
    stage.handle(builders.run_started())
    stage.handle(builders.trade(BTC, 100, NOON))

    assert stage.handle(builders.clock(NOON + MINUTE_MS + GRACE_MS)) == []


def read(name: str) -> list[dict[str, str]]:
    with gzip.open(Path(DATA or "") / name, "rt") as file:
        return list(csv.DictReader(file))


@pytest.mark.skipif(not DATA, reason="CDB_TEST_DATA does not name a folder of recorded data")
def test_bars_of_recorded_trades_equal_the_exchange_s_bars() -> None:
    core = Core()
    trades = read("binance-spot_XRPETH_trades.csv.gz")
    now = 0
    for row in trades:
        now = int(row["ts_ms"])
        core.feed(builders.trade("XRP_ETH", row["price"], now, row["qty"]))
    core.feed(builders.clock(now + MINUTE_MS + GRACE_MS))

    names = ("open", "high", "low", "close", "volume")
    ours = [(bar.start, *(getattr(bar, name) for name in names)) for bar in core.watcher.bars]
    theirs = [
        (int(row["ts_ms"]), *(Decimal(row[name]) for name in names))
        for row in read("binance-spot_XRPETH_klines_1m.csv.gz")
    ]
    assert len(ours) == 2469
    assert ours == theirs
