"""Commands at event times: after their clock, one answer at a time."""

import json

import pytest

from services.cli.run.control_script import ControlScript
from services.cli.run.run_options import ControlEntry
from services.kernel.events import SCHEMA_VERSION, Clock, Halt, Reset

pytestmark = pytest.mark.unit


class Posts:
    """Remembers what was published."""

    def __init__(self) -> None:
        self.commands: list[str] = []

    def __call__(self, topic: str, body: bytes) -> None:
        assert topic == "control"
        self.commands.append(json.loads(body)["type"])


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

    script.on_event(Halt(**envelope("cdb_risk", 1000), reason="somebody else's"))
    assert posts.commands == ["halt"]

    script.on_event(Halt(**envelope("cdb_risk", 1000), reason="first"))
    assert posts.commands == ["halt", "reset"]

    script.on_event(Reset(**envelope("cdb_risk", 1000), reason="second"))
    assert script.left_over() == []


def test_what_was_never_reached_or_answered_is_told() -> None:
    script = ControlScript(
        [ControlEntry(1000, "halt", "why"), ControlEntry(9000, "reset", "late")], Posts()
    )

    script.on_event(clock(1000))

    assert script.left_over() == [
        "halt at 1000: risk did not answer",
        "reset at 9000: the run ended before",
    ]
