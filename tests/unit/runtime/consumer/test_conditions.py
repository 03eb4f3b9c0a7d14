from collections.abc import Sequence
from typing import Any, cast

import pytest

from services.kernel.events import Condition, ConditionName, ConditionPhase, Event, topics
from services.runtime.bus.bus import Claim
from services.runtime.consumer.conditions import LAG_BEGINS, LagWatch, OwnConditions

pytestmark = [pytest.mark.unit, pytest.mark.risk]

AWAY = ConditionName.DATABASE_AWAY


class FakeContext:
    run_id: str | None = "run-1"
    run_ended = False


class FakeLoop:
    """What conditions need of a loop; keeps what was published."""

    def __init__(self, predecessors_cursor: int = 0) -> None:
        self.context = FakeContext()
        self.last_clock_ms: int | None = 1000
        self.cursor = 7
        self.lag = 0
        self.in_step = False
        self.bus = self
        self.service = topics.RISK
        self.published: list[Condition] = []
        self._claim = Claim("epoch", 3, predecessors_cursor, None, None)

    def own_claim(self) -> Claim:
        return self._claim

    def publish(self, events: Sequence[Event], *, shell_id: str) -> None:
        assert shell_id == events[0].event_id
        self.published += cast("Sequence[Condition]", events)

    def phases(self) -> list[ConditionPhase]:
        return [event.phase for event in self.published]


def conditions(loop: FakeLoop) -> OwnConditions:
    return OwnConditions(cast("Any", loop))


def test_only_changes_are_published():
    loop = FakeLoop()
    own = conditions(loop)
    for holds in (False, False, True, True, False, False):
        own.report(AWAY, holds, "why")
    assert loop.phases() == [ConditionPhase.BEGAN, ConditionPhase.CLEARED]
    began = loop.published[0]
    assert (began.run_id, began.timestamp, began.producer) == ("run-1", 1000, topics.RISK)
    assert len({event.event_id for event in loop.published}) == 2


def test_after_a_restart_a_condition_that_does_not_hold_is_cleared_once():
    loop = FakeLoop(predecessors_cursor=5)
    own = conditions(loop)
    own.report(AWAY, False, "")
    own.report(AWAY, False, "")
    assert loop.phases() == [ConditionPhase.CLEARED]


def test_a_new_run_is_told_what_holds_and_nothing_else():
    loop = FakeLoop()
    own = conditions(loop)
    own.report(AWAY, True, "why")
    own.report(ConditionName.LAG, False, "")

    loop.context.run_id = "run-2"
    own.report(AWAY, True, "why")
    own.report(ConditionName.LAG, False, "")

    assert [(event.run_id, event.name) for event in loop.published] == [
        ("run-1", AWAY),
        ("run-2", AWAY),
    ]


@pytest.mark.parametrize("change", ["no run", "run over", "no clock"])
def test_nothing_is_published_outside_a_run(change: str):
    loop = FakeLoop()
    if change == "no run":
        loop.context.run_id = None
    elif change == "run over":
        loop.context.run_ended = True
    else:
        loop.last_clock_ms = None
    conditions(loop).report(AWAY, True, "why")
    assert loop.published == []


def look(watch: LagWatch, monkeypatch: pytest.MonkeyPatch, at: float) -> None:
    monkeypatch.setattr("services.runtime.consumer.conditions.time.monotonic", lambda: at)
    watch.look()


def test_lag_begins_when_it_lasts_and_clears_when_it_is_caught_up(
    monkeypatch: pytest.MonkeyPatch,
):
    loop = FakeLoop()
    watch = LagWatch(cast("Any", loop), conditions(loop))
    for at, lag in ((0, LAG_BEGINS), (1, 0), (2, LAG_BEGINS), (4, LAG_BEGINS)):
        loop.lag = lag
        look(watch, monkeypatch, at)
    assert loop.phases() == []

    look(watch, monkeypatch, 5)
    assert loop.phases() == [ConditionPhase.BEGAN]

    loop.lag = 200
    look(watch, monkeypatch, 6)
    loop.lag = 50
    look(watch, monkeypatch, 7)
    assert loop.phases() == [ConditionPhase.BEGAN, ConditionPhase.CLEARED]


def test_in_lock_step_lag_is_no_condition(monkeypatch: pytest.MonkeyPatch):
    loop = FakeLoop()
    loop.in_step, loop.lag = True, 10 * LAG_BEGINS
    watch = LagWatch(cast("Any", loop), conditions(loop))
    for at in range(10):
        look(watch, monkeypatch, at)
    assert loop.phases() == []
