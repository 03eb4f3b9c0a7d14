"""What a loop knows of the run: the same from the events as from its own snapshot."""

import pytest

from services.kernel.events import RUN_BREAKING, AnyEvent, ConditionName
from services.kernel.stage import restore_exactly
from services.runtime.consumer.loop_context import LoopContext
from tests import builders as a

pytestmark = pytest.mark.unit


def after(*events: AnyEvent) -> LoopContext:
    context = LoopContext()
    for event in events:
        context.note(event)
    return context


def test_a_run_its_clock_and_its_end_are_known() -> None:
    started = a.run_started({"DATA_STALE_TIMEOUT_SEC": "30"})
    context = after(started, a.clock(), a.run_ended())
    assert (context.run_id, context.clock_ms) == (started.run_id, a.clock().timestamp)
    assert (context.run_ended, context.behind_ms) == (True, 30_000)


@pytest.mark.parametrize("name", sorted(RUN_BREAKING))
def test_a_run_that_is_broken_says_what_to_do_until_the_next_begins(name: ConditionName) -> None:
    broken = (a.run_started(), a.condition(name), a.condition(ConditionName.LAG))
    assert after(*broken).broken == (
        f'{name}: not reachable; claire reset --reason "..." begins a new run with this account'
    )
    assert after(*broken, a.run_started()).broken is None


def test_the_first_cause_is_told_and_conditions_of_other_runs_are_not() -> None:
    mismatch = a.condition(ConditionName.CHECKSUM_MISMATCH)
    broken = a.condition(ConditionName.RECORD_BROKEN)
    assert (
        after(a.run_started(), mismatch, broken).broken == after(a.run_started(), mismatch).broken
    )
    earlier = a.condition(ConditionName.RECORD_BROKEN, run_id="earlier")
    assert after(a.run_started(), earlier).broken is None


def test_a_restart_knows_the_same() -> None:
    context, restarted = after(a.run_started(), a.clock(), a.condition()), LoopContext()
    restore_exactly(restarted, context.snapshot())
    assert restarted == context
