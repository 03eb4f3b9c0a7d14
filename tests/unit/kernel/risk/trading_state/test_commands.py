"""An operator's command is acted on once and answered as often as it comes."""

import pytest

from services.kernel.events import (
    CommandAnswered,
    CommandRepeated,
    Halt,
    Reset,
    TradingState,
    TradingStateChanged,
    topics,
)
from services.kernel.risk.stage import RiskStage
from services.kernel.risk.trading_state.commands import MOST_COMMANDS
from tests import builders
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]


def halt(desk: Desk, command_id: str | None, reason: str = "look", **fields: object) -> Halt:
    envelope = builders.envelope(topics.RISK, desk.now)
    return Halt(**envelope | fields, reason=reason, command_id=command_id)


def reset(desk: Desk, command_id: str) -> Reset:
    return Reset(**builders.envelope(topics.RISK, desk.now), reason="seen", command_id=command_id)


def repeated(desk: Desk, command_id: str, producer: str = topics.RISK) -> CommandRepeated:
    return CommandRepeated(**builders.envelope(producer, desk.now), command_id=command_id)


def answers(desk: Desk) -> list[CommandAnswered]:
    return [event for event in desk.events if isinstance(event, CommandAnswered)]


def changes(desk: Desk) -> list[TradingStateChanged]:
    return [event for event in desk.events if isinstance(event, TradingStateChanged)]


def test_a_command_is_answered_with_what_it_did() -> None:
    desk = Desk()
    desk.feed(halt(desk, "one"))

    [answer] = answers(desk)
    assert (answer.command_id, answer.command, answer.repeated) == ("one", "halt", False)
    [change] = answer.changes
    assert (change.symbol, change.previous, change.state, change.reason) == (
        None, TradingState.ACTIVE, TradingState.HALTED, "OPERATOR"
    )  # fmt: skip
    assert change.message == changes(desk)[-1].message == "operator: look"


def test_a_command_that_comes_again_gets_the_first_answer_and_does_nothing() -> None:
    desk = Desk()
    desk.feed(halt(desk, "one"))
    desk.feed(reset(desk, "two"))
    before = len(changes(desk))

    desk.feed(repeated(desk, "one"))
    desk.feed(halt(desk, "one", "published twice"))

    assert desk.risk.state.account is TradingState.ACTIVE
    assert len(changes(desk)) == before
    first, _, *again = answers(desk)
    assert [answer.repeated for answer in again] == [True, True]
    assert all(answer.changes == first.changes for answer in again)
    assert len({answer.event_id for answer in answers(desk)}) == 4


def test_the_values_of_a_reset_are_part_of_its_answer() -> None:
    desk = Desk()
    desk.feed(halt(desk, "one"))
    desk.feed(reset(desk, "two"))
    assert answers(desk)[-1].changes[0].values["equity"] == 100_000


def test_an_unknown_repetition_and_a_command_without_id_have_no_answer() -> None:
    desk = Desk()
    desk.feed(repeated(desk, "never seen"))
    desk.feed(halt(desk, None))
    desk.feed(halt(desk, "forged", producer=topics.CORE))
    desk.feed(halt(desk, "one"))
    count = len(answers(desk))
    desk.feed(repeated(desk, "one", producer=topics.CORE))
    assert len(answers(desk)) == count == 1
    assert desk.risk.state.account is TradingState.HALTED


def test_outcomes_are_kept_across_a_restart_and_across_runs() -> None:
    desk = Desk()
    desk.feed(halt(desk, "one"))
    again = RiskStage()
    again.restore(desk.risk.snapshot())
    assert again.knows_command("one")
    assert not again.knows_command("two")
    [answer] = again.handle(repeated(desk, "one"))
    assert isinstance(answer, CommandAnswered)
    assert answer.changes == answers(desk)[0].changes

    desk.feed(builders.run_started(at=desk.now))
    assert desk.risk.knows_command("one")


def test_the_oldest_outcome_is_forgotten_first() -> None:
    desk = Desk()
    for number in range(MOST_COMMANDS + 1):
        desk.feed(halt(desk, str(number)))
    assert not desk.risk.knows_command("0")
    assert desk.risk.knows_command("1")
    assert desk.risk.knows_command(str(MOST_COMMANDS))
