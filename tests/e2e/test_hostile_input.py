"""Messages by hand that are not acted on: too deep, of another time, posted twice, forbidden."""

import json
import time

import pytest
import redis

from services.kernel.events import topics
from tests.deadline import wait_until
from tests.e2e.commands import claire, figures
from tests.e2e.listening import listening
from tests.e2e.market import Market
from tests.e2e.stack import SERVICES, Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
POSTED = 5
SIGNAL = {"symbol": "BTC_USDT", "direction": "BUY", "price": 60_000}


def letters_of(stack: Stack, service: str) -> int:
    with stack.bus(decoded=False) as client:
        key = f"cdb:dead:{service}"
        return int(client.xinfo_stream(key)["entries-added"]) if client.exists(key) else 0


def started_at(stack: Stack) -> list[str]:
    return [stack.inspect(service)["State"]["StartedAt"] for service in SERVICES]


@pytest.mark.parametrize("channel", [*topics.TOPICS, topics.OPERATOR])
def test_deep_nesting_on_any_channel_restarts_no_service(external: Stack, channel: str) -> None:
    """S3: 2.2 kB with 1,100 nested lists crashed all six services."""
    before = started_at(external)
    with external.bus() as client:
        client.publish(channel, "[" * 1_100 + "]" * 1_100)
        client.publish(channel, '{"symbol":' + '{"a":' * 1_100 + "1" + "}" * 1_101)
    Market(external, "BTC_USDT").publish(60_000)
    for service in SERVICES:
        wait_until(lambda s=service: external.health(s)[0] == 200, f"{service} is healthy")
    assert started_at(external) == before


@pytest.mark.parametrize("when", ["9999-12-31T23:59:59Z", "1970-01-02T00:00:00Z"])
@pytest.mark.parametrize(
    ("channel", "keeper", "body"),
    [
        ("market_data", "cdb_ws", {"symbol": "BTC_USDT", "price": 60_000, "volume": 1}),
        ("signals", "cdb_core", SIGNAL),
        ("orders", "cdb_risk", {"symbol": "BTC_USDT", "side": "BUY", "quantity": 1}),
        ("alerts", "cdb_paper_runner", {"message": "look"}),
        ("operator", "cdb_risk", {"type": "halt", "reason": "another time"}),
    ],
)
def test_a_message_of_another_time_is_a_dead_letter(
    external: Stack, when: str, channel: str, keeper: str, body: dict[str, object]
) -> None:
    """S4: it was published and could not be stored."""
    before = letters_of(external, keeper)
    with external.bus() as client:
        client.publish(channel, json.dumps(body | {"timestamp": when}))
    wait_until(lambda: letters_of(external, keeper) > before, "it is put aside")
    assert external.one(
        "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'market\\_data\\_%1970%'"
        " OR tablename LIKE 'market\\_data\\_%9999%'"
    ) == 0  # fmt: skip


def test_a_signal_posted_four_times_is_ordered_at_most_once(external: Stack) -> None:
    """S7: it was traded four times."""
    market = Market(external, "BTC_USDT")
    signal = SIGNAL | {"signal_id": f"posted-{time.time_ns()}"}
    with (
        listening(external, "risk_decisions", "orders") as listener,
        external.bus() as client,
    ):
        market.publish(60_000)
        for _ in range(4):
            client.publish("signals", json.dumps(signal))

        def decided() -> list[dict[str, object]]:
            listener.drain(0.2)
            mine = listener.of("risk_decisions")
            return [one for one in mine if one.get("signal_id") == signal["signal_id"]]

        decisions = wait_until(
            lambda: found if len(found := decided()) == 4 else None, "four decisions"
        )
    assert [one["reason"] for one in decisions[1:]] == ["DUPLICATE_SIGNAL"] * 3
    orders = [one for one in listener.of("orders") if one["signal_id"] == signal["signal_id"]]
    assert len(orders) <= 1


def test_signals_by_hand_beside_halts_are_all_recorded(external: Stack) -> None:
    """S1: both got one id, and the second of them was never recorded."""
    Market(external, "BTC_USDT").publish(60_000)
    names = [f"beside-a-halt-{number}-{time.time_ns()}" for number in range(POSTED)]
    with external.bus() as client:
        for name in names:
            client.publish("operator", json.dumps({"type": "halt", "reason": name}))
            client.publish("signals", json.dumps(SIGNAL | {"signal_id": name}))
    done = claire(external, "reset", "--reason", "looked at it", "--on", "compose")
    assert done.returncode == 0, done.stderr

    listed = ",".join(f"'{name}'" for name in names)
    for what in (
        f"SELECT count(*) FROM signals WHERE signal_id IN ({listed})",  # noqa: S608
        f"SELECT count(*) FROM events WHERE type = 'halt' AND body->>'reason' IN ({listed})",  # noqa: S608
    ):
        wait_until(lambda q=what: external.one(q) == POSTED, what)
    assert figures(external, "validate", "--run", "last")["findings"] == 0
    assert figures(external, "verify", "--run", "last")["missing"] == 0


def test_a_services_password_neither_commands_nor_releases(external: Stack) -> None:
    """S8: any service could publish a reset on `control`."""
    command = json.dumps({"type": "reset", "reason": "not a person"})
    for service in SERVICES:
        with external.bus(service) as client, pytest.raises(redis.exceptions.NoPermissionError):
            client.publish(topics.OPERATOR, command)
    before = letters_of(external, "cdb_risk")
    with listening(external, "risk_decisions") as listener:
        with external.bus("cdb_core") as client:
            client.publish(topics.CONTROL, command)
        wait_until(lambda: letters_of(external, "cdb_risk") > before, "it is put aside")
        listener.drain(1)
    assert not [one for one in listener.of("risk_decisions") if one["type"] == "trading_state"]
