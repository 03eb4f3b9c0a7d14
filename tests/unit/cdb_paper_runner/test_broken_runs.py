"""Runs that cannot go on: a person's reset begins another with the account carried over."""

from typing import Any, cast

import pytest
from msgspec.structs import replace

from services.cdb_paper_runner.orchestration import Orchestration
from services.cdb_paper_runner.runs import Runs
from services.kernel.events import (
    RUN_BREAKING,
    Condition,
    ConditionName,
    Event,
    RunEnded,
    RunStarted,
    TradingState,
)
from tests import builders as a
from tests.unit.cdb_paper_runner.test_runs import NOW, FakeLoop, wanted

pytestmark = pytest.mark.unit
MISMATCH, BROKEN = ConditionName.CHECKSUM_MISMATCH, ConditionName.RECORD_BROKEN


class Loop(FakeLoop):
    """As the bus, but what is published may be read later; and the state can be made again."""

    def __init__(self, stage: Orchestration) -> None:
        super().__init__(stage)
        self.reads_at_once = True
        self.forgotten = 0

    def feed(self, *events: Event) -> None:
        if self.reads_at_once:
            super().feed(*events)

    def forget(self) -> None:
        self.forgotten += 1


class Scene:
    """An open run, its orchestrator, and what it published since."""

    def __init__(self) -> None:
        self.stage = Orchestration()
        self.loop = Loop(self.stage)
        self.runs = Runs(self.stage, cast("Any", self.loop), wanted(), now_ms=lambda: NOW)
        self.runs.look()
        (self.first,) = a.of_type(self.loop.published, RunStarted)
        self.loop.feed(a.clock(run_id=self.first.run_id), a.result(fees=1000))
        self.loop.published = []

    def breaks(self, name: ConditionName, *, run_id: str | None = None) -> None:
        self.loop.feed(a.condition(name, run_id=run_id or self.first.run_id))
        self.halts(name)

    def halts(self, reason: str, previous: TradingState = TradingState.ACTIVE) -> None:
        change = a.trading_state(TradingState.HALTED, previous)
        self.loop.feed(replace(change, reason=reason))

    def resets(self) -> None:
        change = a.trading_state(TradingState.REDUCE_ONLY, TradingState.HALTED, equity=99_000)
        self.loop.feed(change)

    def look(self, times: int = 3) -> list[Event]:
        """What is published when the orchestrator looks some times."""
        for _ in range(times):
            self.runs.look()
        published, self.loop.published = self.loop.published, []
        return published


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize("name", sorted(RUN_BREAKING))
def test_a_reset_of_a_broken_run_begins_another_with_the_account(
    scene: Scene, name: ConditionName
) -> None:
    scene.breaks(name)
    assert scene.look() == []
    assert scene.runs.waiting_for is None, "it goes on, halted, until a person has looked"

    scene.resets()
    ended, second = scene.look()

    assert isinstance(ended, RunEnded)
    assert ended.run_id == scene.first.run_id
    assert ended.reason == f"SUPERSEDED: a person released it after {name}: not reachable"
    assert isinstance(second, RunStarted)
    assert second.run_id != scene.first.run_id
    assert second.settings == scene.first.settings
    assert second.account.halted is None
    assert second.account.cash == scene.first.account.cash - 1000
    assert len(second.account.positions) == 1
    assert scene.look() == []
    assert scene.stage.book.broken is None


def test_a_reset_of_a_run_that_is_whole_begins_no_other(scene: Scene) -> None:
    scene.halts("OPERATOR")
    scene.resets()
    assert scene.look() == []


def test_a_condition_of_another_run_does_not_break_this_one(scene: Scene) -> None:
    scene.breaks(BROKEN, run_id="the run before")
    scene.resets()
    assert scene.look() == []


def test_a_halt_of_before_is_released_by_the_same_reset(scene: Scene) -> None:
    scene.halts("DAILY_DRAWDOWN")
    scene.loop.feed(a.condition(BROKEN, run_id=scene.first.run_id))
    scene.halts(BROKEN, TradingState.HALTED)
    scene.resets()
    assert [type(event) for event in scene.look()] == [RunEnded, RunStarted]


def test_what_is_reported_again_of_the_broken_run_does_not_halt_the_next(scene: Scene) -> None:
    scene.breaks(MISMATCH)
    scene.resets()
    scene.halts(MISMATCH, TradingState.REDUCE_ONLY)
    _, second = scene.look()
    assert isinstance(second, RunStarted)
    assert second.account.halted is None


def test_a_halt_of_another_cause_after_the_reset_stays(scene: Scene) -> None:
    scene.breaks(MISMATCH)
    scene.resets()
    scene.halts("OPERATOR", TradingState.REDUCE_ONLY)
    _, second = scene.look()
    assert isinstance(second, RunStarted)
    assert second.account.halted == "OPERATOR: test"


def test_in_a_busy_market_the_run_is_ended_once(scene: Scene) -> None:
    scene.breaks(BROKEN)
    scene.resets()
    # Given a market that is always a few events ahead, the end of the run among them
    scene.loop.lag, scene.loop.reads_at_once = 3, False
    (ended,) = scene.look()
    # When it is read
    scene.loop.lag, scene.loop.reads_at_once = 0, True
    scene.loop.feed(ended)
    (second,) = scene.look()
    assert isinstance(second, RunStarted)


def test_nothing_is_ended_before_the_record_was_read(scene: Scene) -> None:
    scene.breaks(BROKEN)
    scene.resets()
    scene.loop.lag, scene.loop.caught_up = 3, False
    assert scene.look() == []


def test_where_folds_differed_the_account_is_made_again_from_the_record(scene: Scene) -> None:
    scene.breaks(MISMATCH)
    scene.resets()
    scene.runs.look()
    assert scene.loop.forgotten == 0
    scene.runs.look()
    assert scene.loop.forgotten == 1
    assert not a.of_type(scene.loop.published, RunStarted)
    scene.runs.look()
    assert scene.loop.forgotten == 1
    assert len(a.of_type(scene.loop.published, RunStarted)) == 1


@pytest.mark.parametrize("conditions", [[BROKEN], [MISMATCH, BROKEN], [BROKEN, MISMATCH]])
def test_a_record_that_lacks_an_event_makes_no_account(
    scene: Scene, conditions: list[ConditionName]
) -> None:
    for name in conditions:
        scene.breaks(name)
    scene.resets()
    assert a.of_type(scene.look(), RunStarted)
    assert scene.loop.forgotten == 0


def test_a_broken_run_survives_a_restart_of_the_orchestrator(scene: Scene) -> None:
    scene.breaks(BROKEN)
    scene.resets()
    restarted = Orchestration()
    restarted.restore(scene.stage.snapshot())
    loop = Loop(restarted)
    runs = Runs(restarted, cast("Any", loop), wanted(), now_ms=lambda: NOW)
    runs.notice()
    assert runs.waiting_for is not None, "a run that is to end does not go on"
    for _ in range(3):
        runs.look()
    assert [type(event) for event in loop.published] == [RunEnded, RunStarted]


def test_a_change_of_settings_ends_a_broken_run_too_and_keeps_its_halt(scene: Scene) -> None:
    scene.breaks(BROKEN)
    scene.runs = Runs(
        scene.stage, cast("Any", scene.loop), wanted(MAX_LEVERAGE="2"), now_ms=lambda: NOW
    )
    ended, second = scene.look()
    assert isinstance(ended, RunEnded)
    assert isinstance(second, RunStarted)
    assert ended.reason == "SUPERSEDED: changed MAX_LEVERAGE"
    assert second.account.halted == "RECORD_BROKEN: test"


def test_conditions_that_clear_break_no_run(scene: Scene) -> None:
    lag = a.condition(ConditionName.LAG, run_id=scene.first.run_id)
    assert isinstance(lag, Condition)
    scene.loop.feed(lag)
    scene.halts("OPERATOR")
    scene.resets()
    assert scene.look() == []
