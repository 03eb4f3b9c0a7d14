import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from services.kernel.events import Condition, ConditionName, ConditionPhase, Event, topics
from services.runtime.bus.bus import Claim, Unavailable
from services.runtime.consumer.conditions import (
    CALM_FORGOTTEN_S,
    CALM_LONGEST_S,
    LAG_BEGINS,
    LagWatch,
    OwnConditions,
)

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
        self.away = False
        self.bus = self
        self.service = topics.RISK
        self.published: list[Condition] = []
        self._claim = Claim("epoch", 3, predecessors_cursor, None, None)

    def own_claim(self) -> Claim:
        return self._claim

    def publish(self, events: Sequence[Event], *, shell_id: str) -> None:
        assert shell_id == events[0].event_id
        if self.away:
            raise Unavailable("away")
        self.published += cast("Sequence[Condition]", events)

    def phases(self) -> list[ConditionPhase]:
        return [event.phase for event in self.published]


class FakeTime:
    """Seconds that go by only where a test says so."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def conditions(loop: FakeLoop, now: Callable[[], float] = time.monotonic) -> OwnConditions:
    return OwnConditions(cast("Any", loop), now)


def flap(own: OwnConditions, now: FakeTime, *, seconds: float, every: float) -> None:
    """Begin, and end at once, again and again."""
    end = now.now + seconds
    while now.now < end:
        own.report(AWAY, True, "why")
        now.now += every / 2
        own.report(AWAY, False, "")
        now.now += every / 2


def test_only_changes_are_published():
    loop = FakeLoop()
    own = conditions(loop)
    for holds in (False, False, True, True, False, False):
        own.report(AWAY, holds, "why")
    assert loop.phases() == [ConditionPhase.BEGAN, ConditionPhase.CLEARED]
    began = loop.published[0]
    assert (began.run_id, began.timestamp, began.producer) == ("run-1", 1000, topics.RISK)
    assert len({event.event_id for event in loop.published}) == 2


def test_ids_are_unique_though_the_cursor_stands_still():
    loop, now = FakeLoop(), FakeTime()
    own = conditions(loop, now)
    for _ in range(5):
        own.report(AWAY, True, "why")
        now.now += 100
        own.report(AWAY, False, "")
        now.now += 100
        own.report(AWAY, False, "")
        now.now += 100
    assert len(loop.published) == 10
    assert len({event.event_id for event in loop.published}) == 10


def test_ids_differ_from_those_of_another_epoch():
    first, second = FakeLoop(), FakeLoop()
    second._claim = Claim("another epoch", 3, 0, None, None)
    for loop in (first, second):
        conditions(loop).report(AWAY, True, "why")
    assert first.published[0].event_id != second.published[0].event_id


def test_a_flapping_condition_is_damped_and_never_said_to_be_over_while_it_holds():
    loop, now = FakeLoop(), FakeTime()
    own = conditions(loop, now)

    flap(own, now, seconds=50, every=0.25)

    assert len(loop.published) < 10
    assert loop.phases() == [ConditionPhase.BEGAN, ConditionPhase.CLEARED] * (
        len(loop.published) // 2
    ) + [ConditionPhase.BEGAN] * (len(loop.published) % 2)
    now.now += CALM_LONGEST_S
    own.report(AWAY, False, "")
    now.now += CALM_LONGEST_S
    own.report(AWAY, False, "")
    assert loop.phases()[-1] is ConditionPhase.CLEARED


def test_the_first_end_is_published_at_once_and_each_further_one_later():
    loop, now = FakeLoop(), FakeTime()
    own = conditions(loop, now)
    waits = []
    for _ in range(10):
        own.report(AWAY, True, "why")
        own.report(AWAY, False, "")
        waited, began = 0.0, now.now
        while loop.phases()[-1] is ConditionPhase.BEGAN:
            now.now += 0.5
            own.report(AWAY, False, "")
            waited = now.now - began
        waits.append(waited)
    assert waits == [0, 1, 2, 4, 8, 16, *[CALM_LONGEST_S] * 4]


def test_a_condition_that_holds_again_begins_its_calm_again():
    loop, now = FakeLoop(), FakeTime()
    own = conditions(loop, now)
    for _ in range(2):
        own.report(AWAY, True, "why")
        own.report(AWAY, False, "")
    now.now += 0.75
    own.report(AWAY, True, "why")
    own.report(AWAY, False, "")
    now.now += 0.75
    own.report(AWAY, False, "")
    assert loop.phases()[-1] is ConditionPhase.BEGAN
    now.now += 0.25
    own.report(AWAY, False, "")
    assert loop.phases()[-1] is ConditionPhase.CLEARED


def test_after_a_long_calm_an_end_is_published_at_once_again():
    loop, now = FakeLoop(), FakeTime()
    own = conditions(loop, now)
    flap(own, now, seconds=50, every=0.25)
    now.now += CALM_LONGEST_S
    own.report(AWAY, False, "")
    now.now += CALM_FORGOTTEN_S
    for holds in (True, False):
        own.report(AWAY, holds, "")
    assert loop.phases()[-2:] == [ConditionPhase.BEGAN, ConditionPhase.CLEARED]


@pytest.mark.parametrize("holds", [True, False])
def test_what_may_not_have_been_published_is_published_again(holds: bool):
    loop = FakeLoop()
    own = conditions(loop)
    if not holds:
        own.report(AWAY, True, "why")
    loop.away = True
    with pytest.raises(Unavailable):
        own.report(AWAY, holds, "why")
    loop.away, loop.published = False, []

    own.report(AWAY, not holds, "why")  # it changed meanwhile: the bus may have the other phase
    own.report(AWAY, holds, "why")

    first, last = ConditionPhase.CLEARED, ConditionPhase.BEGAN
    assert loop.phases() == ([first, last] if holds else [last, first])
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
    monkeypatch.setattr("services.runtime.consumer.conditions.host.monotonic", lambda: at)
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
