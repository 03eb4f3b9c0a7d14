"""Who may do what on the bus: a service keeps to its topics and its journal, people to reading."""

import pytest
import redis

from tests.deadline import wait_until
from tests.e2e.market import Market
from tests.e2e.stack import SERVICES, Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

RIGHT_WITHIN_S = 120.0
FEW_EVENTS = 10_000
"""More than are published while a counter is put right."""
OTHERS_TOPICS = {
    "cdb_ws": ("signals", "orders", "order_results", "risk_decisions", "portfolio_snapshots"),
    "cdb_core": ("market_data", "orders", "order_results", "risk_decisions", "clock"),
    "cdb_risk": ("market_data", "signals", "order_results", "clock", "portfolio_snapshots"),
    "cdb_execution": ("market_data", "signals", "orders", "risk_decisions", "clock"),
    "cdb_db_writer": ("market_data", "signals", "orders", "order_results", "risk_decisions"),
    "cdb_paper_runner": ("market_data", "signals", "orders", "order_results", "risk_decisions"),
}


def refused(client: "redis.Redis", *command: object) -> None:
    with pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*command)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_cannot_publish_outside_its_topics(external: Stack, service: str) -> None:
    with external.bus(service) as client:
        for topic in OTHERS_TOPICS[service]:
            refused(client, "PUBLISH", topic, "{}")


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_cannot_touch_what_is_another_services(external: Stack, service: str) -> None:
    with external.bus(service) as client:
        for other in set(SERVICES) - {service}:
            refused(client, "XADD", f"cdb:journal:{other}", "*", "e", "{}")
            refused(client, "XTRIM", f"cdb:journal:{other}", "MAXLEN", "0")
            refused(client, "HSET", f"cdb:cursor:{other}", "seq", "1")
            refused(client, "HSET", f"cdb:snapshot:{other}", "state", "x")


@pytest.mark.parametrize("user", ["operator", *SERVICES])
def test_nobody_runs_code_on_the_bus(external: Stack, user: str) -> None:
    """S9: `EVAL 'while true do end'` kept Redis busy for ever."""
    loops = "while true do end"
    with external.bus(user) as client:
        refused(client, "EVAL", loops, 0)
        refused(client, "EVAL_RO", loops, 0)
        refused(client, "EVALSHA", "0" * 40, 0)
        refused(client, "SCRIPT", "LOAD", loops)
        refused(client, "SCRIPT", "FLUSH")
        refused(client, "FUNCTION", "LOAD", f"#!lua name=looping\n{loops}")
        refused(client, "FUNCTION", "DELETE", "cdb")


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("counter", ["seq", "topic_seq:market_data"])
def test_counters_that_a_service_sets_are_put_right(
    external: Stack, service: str, counter: str
) -> None:
    """S9: 9.2e18 stayed there, and nothing was published any more."""
    market = Market(external, "ETH_USDT")
    restarts = [external.inspect(name)["RestartCount"] for name in SERVICES]
    market.publish(3_000)
    with external.bus(service) as client:
        before = int(client.hget("cdb:counters", counter) or 0)
        client.hset("cdb:counters", counter, 9_200_000_000_000_000_000)

        def is_right() -> bool:
            return before <= int(client.hget("cdb:counters", counter) or 0) < before + FEW_EVENTS

        wait_until(is_right, "the counter is put right", RIGHT_WITHIN_S)
    market.publish(3_001)
    wait_until(lambda: market.rows() == 2, "trades before and after are rows", RIGHT_WITHIN_S)
    for name in SERVICES:
        wait_until(lambda n=name: external.health(n)[0] == 200, f"{name} is green", RIGHT_WITHIN_S)
    assert [external.inspect(name)["RestartCount"] for name in SERVICES] == restarts


def test_changed_counters_are_alerted(external: Stack) -> None:
    wait_until(
        lambda: external.one(
            "SELECT count(*) FROM alerts WHERE code = 'COUNTERS_CHANGED' AND level = 'CRITICAL'"
        ),
        "the alert is a row",
        RIGHT_WITHIN_S,
    )


@pytest.mark.parametrize("user", ["operator", *SERVICES])
def test_nobody_administers_the_bus(external: Stack, user: str) -> None:
    with external.bus(user) as client:
        refused(client, "CONFIG", "GET", "*")
        refused(client, "FLUSHALL")
        refused(client, "ACL", "LIST")
        refused(client, "SHUTDOWN")
        refused(client, "KEYS", "*")


def test_the_operator_reads_but_writes_no_journal(external: Stack) -> None:
    with external.bus() as client:
        assert client.xlen("cdb:journal:cdb_ws") > 0
        for service in SERVICES:
            refused(client, "XADD", f"cdb:journal:{service}", "*", "e", "{}")
            refused(client, "HSET", f"cdb:cursor:{service}", "seq", "1")
        refused(client, "HINCRBY", "cdb:counters", "seq", "1")


def test_without_a_password_nobody_gets_in(external: Stack) -> None:
    with (
        redis.Redis(host="127.0.0.1", port=external.port("cdb_redis")) as client,
        pytest.raises(redis.exceptions.AuthenticationError),
    ):
        client.ping()
