"""Alerts mark changes: when it begins, a count at most once a minute, when it clears."""

import pytest

from services.kernel.alerts import Alarm, AlertBook
from services.kernel.emitter import Emitter
from services.kernel.events import Alert, AlertLevel, AlertPhase
from tests import builders
from tests.builders import BTC, ETH, NOON
from tests.unit.kernel.desk import Desk

pytestmark = pytest.mark.unit


class Watch:
    """An alarm and a clock."""

    def __init__(self) -> None:
        self.emitter = Emitter("cdb_risk")
        self.alarm = Alarm(self.emitter, AlertBook())

    def see(self, at_second: int, symbol: str | None = BTC, layer: int | None = 3) -> list[Alert]:
        self.emitter.begin(builders.clock(NOON + at_second * 1000))
        self.alarm.see(
            AlertLevel.WARNING, "DATA_STALE", "silent", symbol=symbol, layer=layer, age=61
        )
        return builders.of_type(self.emitter.outputs(), Alert)

    def clear(self, at_second: int, symbol: str | None = BTC) -> list[Alert]:
        self.emitter.begin(builders.clock(NOON + at_second * 1000))
        self.alarm.clear("DATA_STALE", symbol=symbol, layer=3)
        return builders.of_type(self.emitter.outputs(), Alert)


def test_an_alert_is_told_once_when_its_condition_begins() -> None:
    watch = Watch()

    (began,) = watch.see(0)

    assert (began.phase, began.count, began.level) == (AlertPhase.BEGAN, 1, AlertLevel.WARNING)
    assert (began.code, began.symbol, began.layer, began.message) == (
        *("DATA_STALE", BTC, 3, "silent"),
    )
    assert began.context == {"age": "61"}
    assert [watch.see(second) for second in (0, 1, 30, 59)] == [[], [], [], []]


def test_while_it_goes_on_a_count_is_told_at_most_every_minute() -> None:
    watch = Watch()
    for second in range(60):
        watch.see(second)

    (counted,) = watch.see(60)
    nothing = watch.see(119)
    (later,) = watch.see(120)

    assert (counted.phase, counted.count) == (AlertPhase.ONGOING, 61)
    assert nothing == []
    assert later.count == 63


def test_it_is_told_once_when_it_clears() -> None:
    watch = Watch()
    watch.see(0)
    watch.see(1)

    (cleared,) = watch.clear(2)

    assert (cleared.phase, cleared.level, cleared.count) == (
        *(AlertPhase.CLEARED, AlertLevel.INFO, 2),
    )
    assert cleared.message == "DATA_STALE cleared for BTC_USDT"
    assert watch.clear(3) == []
    assert watch.see(4)[0].phase is AlertPhase.BEGAN


def test_symbols_and_layers_are_told_apart() -> None:
    watch = Watch()

    assert all(
        watch.see(0, symbol, layer) for symbol, layer in ((BTC, 3), (ETH, 3), (None, 3), (BTC, 5))
    )
    assert watch.clear(1, ETH)
    assert watch.see(2, BTC) == []


def test_a_book_knows_what_is_open_for_the_account() -> None:
    book = AlertBook()
    book.see("RISK_LIMIT", None, 1, AlertLevel.CRITICAL, NOON)
    book.see("RISK_LIMIT", BTC, 1, AlertLevel.CRITICAL, NOON)
    book.see("OPERATOR_HALT", None, None, AlertLevel.CRITICAL, NOON)
    book.see("SLOW", None, None, AlertLevel.WARNING, NOON)

    assert book.open_for_account(AlertLevel.CRITICAL) == [
        *(("RISK_LIMIT", 1), ("OPERATOR_HALT", None)),
    ]
    assert book.is_open("SLOW", None, None)
    assert not book.is_open("SLOW", BTC, None)


@pytest.mark.parametrize(
    ("settings", "layer", "level"),
    [
        ({"MAX_TRADES_PER_HOUR": "1", "LOSS_COOLDOWN_SEC": "0"}, 7, AlertLevel.INFO),
        ({"MAX_POSITION_PCT": "0.25", "MAX_TOTAL_EXPOSURE_PCT": "0.10"}, 4, AlertLevel.INFO),
        ({"MAX_POSITION_PCT": "0.05"}, 5, AlertLevel.WARNING),
    ],
)
def test_a_limit_that_binds_alerts_once_and_clears_when_it_no_longer_does(
    settings: dict[str, str], layer: int, level: AlertLevel
) -> None:
    desk = Desk(settings)
    desk.enter(100, quantity=100)
    for _ in range(3):
        desk.signal(100)
    limits = [alert for alert in desk.alerts_of("RISK_LIMIT") if alert.layer == layer]
    assert [(alert.phase, alert.level) for alert in limits] == [(AlertPhase.BEGAN, level)]

    desk.exit_signal(100)
    desk.wait(3600, step=30)
    desk.trade(100)
    desk.wait(1)
    desk.trade(100)
    desk.signal(100, quantity=1)

    limits = [alert for alert in desk.alerts_of("RISK_LIMIT") if alert.layer == layer]
    assert limits[-1].phase is AlertPhase.CLEARED


def test_a_trimmed_entry_alerts_for_the_position_limit_but_not_for_exposure() -> None:
    desk = Desk({"MAX_POSITION_PCT": "0.05"})
    desk.trade(100)
    desk.signal(100)
    assert [alert.layer for alert in desk.alerts] == [5]

    desk = Desk({"MAX_POSITION_PCT": "0.25", "MAX_TOTAL_EXPOSURE_PCT": "0.10"})
    desk.enter(100, quantity=40)
    assert desk.signal(100).binding_limit == "4 total_exposure"
    assert desk.alerts == []
