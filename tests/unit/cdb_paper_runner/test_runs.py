from collections.abc import Sequence
from decimal import Decimal
from typing import Any, cast

import pytest
from msgspec.structs import replace

from services.cdb_paper_runner.orchestration import Orchestration
from services.cdb_paper_runner.runs import Runs, market_of
from services.kernel.events import Alert, Event, RunEnded, RunStarted, TradingState, topics
from services.runtime.bus.bus import Claim, Cursor, Published
from services.runtime.settings import model
from services.runtime.settings.model import Settings
from tests import builders as a

pytestmark = pytest.mark.unit

NOW = 1_800_000_000_000


class FakeBus:
    """Says how far the other services are."""

    def __init__(self) -> None:
        self.cursors = dict.fromkeys(topics.STAGE_ORDER, 1_000_000)

    def own_claim(self) -> Claim:
        return Claim("epoch", 1, 0, None, None)

    def cursor_of(self, service: str) -> Cursor:
        return Cursor(seq=self.cursors[service], commit=None, position=None, epoch="epoch")


class FakeLoop:
    """Puts what is published into the stage at once, as the bus would."""

    def __init__(self, stage: Orchestration) -> None:
        self.stage = stage
        self.bus = FakeBus()
        self.lag = 0
        self.caught_up = True
        self.published: list[Event] = []

    def publish(self, events: Sequence[Event], *, shell_id: str | None = None) -> Published:
        assert shell_id
        self.published += events
        self.feed(*events)
        return Published(1, len(events), len(events))

    def feed(self, *events: Event) -> None:
        for event in events:
            self.stage.handle(replace(event, seq=self.stage.last_seq + 1))


def wanted(**variables: str) -> Settings:
    return model.load(environ={"CDB_SOURCE": "synthetic", **variables}, env_file=None)


class Desk:
    """A record, and the orchestrator that comes to it with some settings."""

    def __init__(self) -> None:
        self.stage = Orchestration()
        self.loop = FakeLoop(self.stage)

    def come(self, asked: Settings) -> Runs:
        return Runs(self.stage, cast("Any", self.loop), asked, now_ms=lambda: NOW)

    def taken(self) -> list[Event]:
        published, self.loop.published = self.loop.published, []
        return published


@pytest.fixture
def desk() -> Desk:
    return Desk()


def started(desk: Desk, asked: Settings) -> RunStarted:
    """The run that these settings start."""
    desk.come(asked).look()
    (event,) = a.of_type(desk.taken(), RunStarted)
    return event


def test_an_empty_record_gets_a_run_with_a_fresh_account(desk: Desk):
    run = started(desk, wanted(ACCOUNT_EQUITY="5000", CDB_SEED="9", CDB_SPEED="max"))
    assert run.account.cash == run.account.peak_equity == Decimal(5000)
    assert run.account.halted is None
    assert (run.source, run.seed, run.timestamp) == ("synthetic", 9, NOW)
    assert run.settings["CDB_SPEED"] == "max"
    assert run.settings["MAX_LEVERAGE"] == "3"
    assert "kernel." in run.code_version


def test_nothing_is_decided_before_the_whole_record_was_read(desk: Desk):
    desk.loop.lag = 12
    runs = desk.come(wanted())
    runs.look()
    assert desk.taken() == []
    assert runs.waiting_for == "reading the record, 12 events to go"


def test_an_open_run_goes_on_while_nothing_changed(desk: Desk):
    started(desk, wanted())
    runs = desk.come(wanted())
    runs.look()
    runs.look()
    assert desk.taken() == []
    assert runs.waiting_for is None


def test_an_open_run_goes_on_as_soon_as_it_is_known_however_busy_the_market(desk: Desk):
    # Given an open run, and a market that is always some events ahead
    started(desk, wanted())
    desk.loop.lag, desk.loop.caught_up = 12, False
    runs = desk.come(wanted())
    # When what was there at the start is not read yet, then it waits
    runs.look()
    runs.notice()
    assert runs.waiting_for == "reading the record, 12 events to go"
    # And goes on once it is
    desk.loop.caught_up = True
    runs.notice()
    assert runs.waiting_for is None
    assert desk.taken() == []


def test_a_change_is_never_acted_on_before_everything_is_read(desk: Desk):
    started(desk, wanted())
    desk.loop.lag = 12
    runs = desk.come(wanted(MAX_LEVERAGE="2"))
    runs.notice()
    runs.look()
    assert desk.taken() == []
    assert runs.waiting_for == "reading the record, 12 events to go"


@pytest.mark.parametrize(
    "change", [{"MAX_LEVERAGE": "2"}, {"CDB_SOURCE": "external"}, {"CDB_SEED": "2"}]
)
def test_a_change_ends_the_open_run_and_starts_another(desk: Desk, change: dict[str, str]):
    first = started(desk, wanted())

    runs = desk.come(wanted(**change))
    runs.look()
    (ended,) = a.of_type(desk.taken(), RunEnded)
    runs.look()
    (second,) = a.of_type(desk.taken(), RunStarted)

    assert ended.run_id == first.run_id
    assert ended.reason.startswith("SUPERSEDED: changed")
    assert second.run_id != first.run_id


def test_a_change_of_code_starts_another_run(desk: Desk):
    first = started(desk, wanted())
    desk.stage.book.run = replace(first, code_version="0.0.9+kernel.0123")
    runs = desk.come(wanted())
    runs.look()
    (ended,) = a.of_type(desk.taken(), RunEnded)
    assert "code version" in ended.reason


def test_the_next_run_waits_until_every_stage_has_ended_the_last(desk: Desk):
    started(desk, wanted())
    desk.loop.bus.cursors[topics.EXECUTION] = 0
    runs = desk.come(wanted(MAX_LEVERAGE="2"))
    runs.look()
    desk.taken()

    runs.look()
    assert desk.taken() == []
    assert runs.waiting_for == "cdb_execution has not come to the end of the last run yet"

    desk.loop.bus.cursors[topics.EXECUTION] = 1_000_000
    runs.look()
    assert a.of_type(desk.taken(), RunStarted)


@pytest.mark.risk
def test_a_halt_and_the_losses_stay_in_the_next_run(desk: Desk):
    started(desk, wanted())
    run = desk.stage.book.run
    assert run is not None
    desk.loop.feed(a.clock(), a.trading_state(TradingState.HALTED), a.result(fees=1000))
    runs = desk.come(wanted(MAX_LEVERAGE="2"))
    runs.look()
    desk.taken()
    runs.look()

    (second,) = a.of_type(desk.taken(), RunStarted)

    assert second.account.halted == "OPERATOR: test"
    assert second.account.peak_equity == Decimal(100_000)
    assert second.account.cash == Decimal(99_000)
    assert len(second.account.positions) == 1


@pytest.mark.risk
@pytest.mark.parametrize(
    ("before", "after", "fresh"),
    [
        ({}, {"MAX_LEVERAGE": "2"}, False),
        ({}, {"CDB_SOURCE": "external"}, True),
        ({}, {"CDB_SEED": "2"}, True),
        ({"CDB_SOURCE": "external"}, {"CDB_SOURCE": "external", "CDB_SEED": "2"}, False),
        ({"CDB_SOURCE": "external"}, {"CDB_SOURCE": "mexc"}, True),
    ],
)
def test_only_a_run_on_the_same_market_goes_on_with_what_is_held(
    desk: Desk, before: dict[str, str], after: dict[str, str], fresh: bool
):
    started(desk, wanted(**before))
    entry = a.signal()
    desk.loop.feed(a.clock(), entry, a.decision(replace(a.order(), signal_id=entry.signal_id)))
    desk.loop.feed(a.result(quantity=2, fees=1000))
    runs = desk.come(wanted(ACCOUNT_EQUITY="5000", **after))
    runs.look()
    desk.taken()

    runs.look()

    published = desk.taken()
    (second,) = a.of_type(published, RunStarted)
    account = second.account
    if not fresh:
        assert (account.cash, len(account.positions)) == (99_000, 1)
        assert (len(account.entries_ms), len(account.stances)) == (1, 1)
        assert a.of_type(published, Alert) == []
        return
    assert account == a.account(5_000)
    (alert,) = a.of_type(published, Alert)
    assert alert.code == "MARKET_CHANGED"
    assert "equity 99000 and 2 BTC_USDT of the run before are not carried over" in alert.message
    assert desk.stage.fold.portfolio.equity == 5_000


@pytest.mark.risk
def test_a_halt_and_what_is_paused_stay_on_another_market(desk: Desk):
    started(desk, wanted())
    desk.loop.feed(
        a.clock(),
        a.trading_state(TradingState.HALTED),
        a.trading_state(TradingState.HALTED, symbol=a.SOL),
        a.pause(),
        a.pause(a.ETH),
    )
    runs = desk.come(wanted(CDB_SOURCE="external"))
    runs.look()
    runs.look()

    account = a.of_type(desk.taken(), RunStarted)[-1].account

    assert account.halted == "OPERATOR: test"
    assert (account.quarantined, account.paused_symbols) == ((a.SOL,), (a.ETH,))
    assert account.paused


@pytest.mark.parametrize(
    ("settings", "market"),
    [
        ({"CDB_SOURCE": "mexc", "CDB_SEED": "1", "CDB_DATA": "x.csv"}, ("mexc",)),
        ({"CDB_SOURCE": "replay", "CDB_SEED": "1", "CDB_DATA": "x.csv"}, ("replay", "x.csv")),
        ({"CDB_SOURCE": "synthetic", "CDB_SEED": "7"}, ("synthetic", "7")),
        ({}, ("",)),
    ],
)
def test_a_market_is_its_source_and_what_that_plays(
    settings: dict[str, str], market: tuple[str, ...]
):
    assert market_of(settings) == market


def ended(desk: Desk, reason: str = "DATA_OVER: 10 ticks") -> None:
    run = desk.stage.book.run
    assert run is not None
    desk.loop.feed(replace(a.run_ended(), run_id=run.run_id, reason=reason))


def test_a_recorded_market_is_not_played_twice(desk: Desk):
    started(desk, wanted())
    ended(desk)
    for runs in (desk.come(wanted()), desk.come(wanted())):
        runs.look()
        assert desk.taken() == []
        assert runs.waiting_for is None


def test_a_live_market_whose_duration_is_over_begins_again_with_the_next_start(desk: Desk):
    asked = wanted(CDB_SOURCE="external", CDB_DURATION="1h")
    runs = desk.come(asked)
    runs.look()
    runs.look()
    desk.taken()
    ended(desk)

    runs.look()
    assert desk.taken() == []

    assert started(desk, asked).source == "external"


def test_an_end_of_the_data_while_the_run_is_superseded_is_an_event_of_its_own(desk: Desk):
    started(desk, wanted())
    run = desk.stage.book.run
    assert run is not None
    before_its_end = Orchestration()
    before_its_end.restore(desk.stage.snapshot())
    desk.come(wanted(MAX_LEVERAGE="2")).look()
    (superseded,) = a.of_type(desk.taken(), RunEnded)
    over = a.condition(a.ConditionName.SOURCE_ENDED, producer="cdb_ws")
    (data_over,) = a.of_type(before_its_end.handle(replace(over, run_id=run.run_id)), RunEnded)

    assert superseded.event_id != data_over.event_id


def test_a_superseded_run_is_no_end_even_if_the_settings_come_back(desk: Desk):
    started(desk, wanted())
    ended(desk, "SUPERSEDED: changed MAX_LEVERAGE")
    assert started(desk, wanted())


def test_values_out_of_range_raise_an_alert_with_the_run(desk: Desk):
    desk.come(wanted(MAX_POSITION_PCT="0.9")).look()
    published = desk.taken()
    assert isinstance(published[0], RunStarted)
    (alert,) = a.of_type(published, Alert)
    assert alert.code == "SETTING_OUT_OF_RANGE"
    assert alert.context == {"name": "MAX_POSITION_PCT", "given": "0.9", "used": "0.10"}


def test_settings_that_only_trim_raise_an_alert_with_the_run(desk: Desk):
    desk.come(wanted(RISK_PER_TRADE_PCT="0.02")).look()
    (alert,) = a.of_type(desk.taken(), Alert)
    assert alert.code == "SETTINGS_CONTRADICT"
    assert "every entry is trimmed" in alert.message
    assert alert.context == {"name": "RISK_PER_TRADE_PCT, STOP_LOSS_PCT, MAX_POSITION_PCT"}
