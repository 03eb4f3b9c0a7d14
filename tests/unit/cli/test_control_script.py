"""Commands at event times: after their clock, one answer at a time."""

import json

import pytest

from services.cli.run.control_script import REPEAT_S, ControlScript
from services.cli.run.run_options import ControlEntry
from services.kernel.events import SCHEMA_VERSION, Clock, CommandAnswered, Halt

pytestmark = pytest.mark.unit


class Posts:
    """Remembers what was published."""

    def __init__(self) -> None:
        self.commands: list[str] = []
        self.ids: list[str] = []

    def __call__(self, topic: str, body: bytes) -> None:
        assert topic == "operator"
        message = json.loads(body)
        self.commands.append(message["type"])
        self.ids.append(message["command_id"])


def envelope(producer: str, timestamp: int) -> dict[str, object]:
    return {
        "event_id": f"{producer}{timestamp}",
        "run_id": "run",
        "producer": producer,
        "schema_version": SCHEMA_VERSION,
        "timestamp": timestamp,
        "causation_id": None,
        "correlation_id": None,
        "seq": 1,
    }


def clock(timestamp: int) -> Clock:
    return Clock(**envelope("cdb_ws", timestamp))


def answered(command_id: str) -> CommandAnswered:
    return CommandAnswered(
        **envelope("cdb_risk", 1000), command_id=command_id, command="halt", changes=()
    )


def test_a_command_waits_for_the_clock_that_reaches_it() -> None:
    posts = Posts()
    script = ControlScript([ControlEntry(2000, "halt", "why")], posts)

    script.on_event(clock(1999))
    assert posts.commands == []

    script.on_event(clock(2500))
    assert posts.commands == ["halt"]


def test_the_next_command_waits_for_the_answer_to_the_one_before() -> None:
    posts = Posts()
    entries = [ControlEntry(1000, "halt", "first"), ControlEntry(1000, "reset", "second")]
    script = ControlScript(entries, posts)

    script.on_event(clock(1000))
    script.on_event(clock(2000))
    assert posts.commands == ["halt"]

    script.on_event(answered("somebody else's"))
    script.on_event(Halt(**envelope("cdb_risk", 1000), reason="first", command_id=posts.ids[0]))
    assert posts.commands == ["halt"], "it is published, and not answered"

    script.on_event(answered(posts.ids[0]))
    assert posts.commands == ["halt", "reset"]

    script.on_event(answered(posts.ids[1]))
    assert script.left_over() == []
    assert len(set(posts.ids)) == 2


def test_a_command_without_answer_is_posted_again_with_the_same_id() -> None:
    posts = Posts()
    script = ControlScript([ControlEntry(1000, "halt", "why")], posts)
    script.look(0.0)
    script.on_event(clock(1000))

    script.look(100.0)
    script.look(100.0 + REPEAT_S - 0.1)
    assert posts.commands == ["halt"]
    script.look(100.0 + REPEAT_S)
    assert posts.commands == ["halt", "halt"]
    assert len(set(posts.ids)) == 1

    script.on_event(answered(posts.ids[0]))
    script.look(1_000.0)
    assert posts.commands == ["halt", "halt"]


def test_what_was_never_reached_or_answered_is_reported() -> None:
    script = ControlScript(
        [ControlEntry(1000, "halt", "why"), ControlEntry(9000, "reset", "late")], Posts()
    )

    script.on_event(clock(1000))

    assert script.left_over() == [
        "halt at 1000: risk did not answer",
        "reset at 9000: the run ended before",
    ]
