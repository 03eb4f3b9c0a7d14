"""What an operator's command looks like on the bus."""

import json

import pytest

from services.runtime.operator.message import operator_message

pytestmark = pytest.mark.unit


def test_a_command_is_posted_as_an_operator_would_type_it() -> None:
    assert json.loads(operator_message("pause", "quiet", "BTC_USDT", "c-1")) == {
        "type": "pause",
        "command_id": "c-1",
        "reason": "quiet",
        "issued_by": "operator",
        "symbol": "BTC_USDT",
    }


def test_a_command_says_who_gave_it() -> None:
    posted = operator_message("halt", "smoke", None, "c-2", issued_by="console")

    assert json.loads(posted)["issued_by"] == "console"
