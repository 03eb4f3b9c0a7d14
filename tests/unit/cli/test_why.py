"""The funnel as people read it: one line a step."""

from collections import Counter

import pytest

from services.cli.look.explanation import show_funnel
from services.explain.answered import Answered
from tests.unit.explain.test_remedies import funnel

pytestmark = pytest.mark.unit


def test_the_exits_without_a_position_have_a_line_of_their_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_funnel(funnel(on_exits=Answered(approved=1, rejected=Counter(NOTHING_TO_REDUCE=5, X=2))))

    lines = {line[:11].strip(): line[11:].split(maxsplit=1) for line in printed(capsys)}
    assert lines["on exits"] == ["3", "approved 1, trimmed 0, rejected 2 (X 2)"]
    assert lines["no position"][0] == "5"


def test_without_such_exits_the_line_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    show_funnel(funnel(on_exits=Answered(approved=1)))

    assert not any(line.startswith("no position") for line in printed(capsys))


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().out.splitlines() if "  " in line]
