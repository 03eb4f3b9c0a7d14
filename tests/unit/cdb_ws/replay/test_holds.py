"""The market holds at given times until the operator's command is on the record."""

import pytest

from services.cdb_ws.replay.holds import PATIENCE_S, Holds
from services.kernel.events import SCHEMA_VERSION, Reset
from services.kernel.market.run_watch import RunWatch

pytestmark = pytest.mark.unit


class Stages:
    """Whether they have done with everything, and what time it is."""

    def __init__(self) -> None:
        self.idle = True
        self.now = 0.0


@pytest.fixture
def stages() -> Stages:
    return Stages()


@pytest.fixture
def watch() -> RunWatch:
    return RunWatch()


def holds_at(times: tuple[int, ...], watch: RunWatch, stages: Stages) -> Holds:
    return Holds(times, watch, lambda: stages.idle, lambda: stages.now)


def command(watch: RunWatch) -> None:
    watch.handle(
        Reset(
            event_id="reset",
            run_id="run",
            producer="cdb_risk",
            schema_version=SCHEMA_VERSION,
            timestamp=0,
            causation_id=None,
            correlation_id=None,
            reason="a new day",
        )
    )


def test_without_times_nothing_holds(watch: RunWatch, stages: Stages) -> None:
    assert not holds_at((), watch, stages).holds(10**15)


def test_the_market_holds_from_the_clock_that_reaches_the_time(
    watch: RunWatch, stages: Stages
) -> None:
    holds = holds_at((1000,), watch, stages)

    assert not holds.holds(999)
    assert holds.holds(1000)
    command(watch)
    assert not holds.holds(1000)


def test_it_goes_on_only_when_the_stages_have_done_with_the_command(
    watch: RunWatch, stages: Stages
) -> None:
    holds = holds_at((1000,), watch, stages)
    assert holds.holds(1000)
    stages.idle = False

    command(watch)

    assert holds.holds(1000)
    stages.idle = True
    assert not holds.holds(1000)


def test_two_commands_at_one_time_are_both_unconfirmed(watch: RunWatch, stages: Stages) -> None:
    holds = holds_at((1000, 1000), watch, stages)

    command(watch)
    assert holds.holds(1000)
    command(watch)
    assert not holds.holds(1000)


def test_a_command_that_never_comes_is_given_up(watch: RunWatch, stages: Stages) -> None:
    holds = holds_at((1000, 5000), watch, stages)
    assert holds.holds(1000)

    stages.now = PATIENCE_S + 1

    assert not holds.holds(1000)
    assert not holds.holds(4000)
    assert holds.holds(5000)
