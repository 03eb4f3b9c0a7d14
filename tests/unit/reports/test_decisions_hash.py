"""Equal decisions have equal hashes; anything decided otherwise shows."""

import json

import pytest

from services.reports.decisions_hash import decisions_hash

pytestmark = pytest.mark.unit

SIGNAL = {
    "type": "signal",
    "event_id": "a",
    "run_id": "r1",
    "seq": 5,
    "topic_seq": 1,
    "signal_id": "s",
    "causation_id": "t",
    "correlation_id": "s",
    "symbol": "BTC_USDT",
    "price": "61000.5",
}
IDENTITIES = {
    "event_id": "b",
    "run_id": "r2",
    "seq": 900,
    "topic_seq": 2,
    "signal_id": "x",
    "causation_id": None,
    "correlation_id": "x",
}


def of(*signals: dict[str, object]) -> str:
    return decisions_hash({"signals": [json.dumps(signal) for signal in signals]})


def test_ids_run_and_positions_do_not_matter() -> None:
    assert of(SIGNAL) == of(SIGNAL | IDENTITIES)


def test_the_order_of_keys_does_not_matter() -> None:
    assert of(SIGNAL) == of(dict(reversed(SIGNAL.items())))


@pytest.mark.parametrize("change", [{"price": "61000.6"}, {"symbol": "ETH_USDT"}])
def test_what_was_decided_matters(change: dict[str, object]) -> None:
    assert of(SIGNAL) != of(SIGNAL | change)


def test_order_and_topic_matter() -> None:
    other = SIGNAL | {"price": "1"}
    body = json.dumps(SIGNAL)

    assert of(SIGNAL, other) != of(other, SIGNAL)
    assert decisions_hash({"signals": [body]}) != decisions_hash({"orders": [body]})


def test_the_hash_of_no_decisions_is_fixed() -> None:
    assert decisions_hash({}) == decisions_hash({"signals": [], "orders": []})
    assert len(decisions_hash({})) == 64


def test_how_often_a_command_was_answered_does_not_matter() -> None:
    answer = json.dumps({"type": "command_answered", "command_id": "random"})
    assert decisions_hash({"risk_decisions": [answer]}) == decisions_hash({})
