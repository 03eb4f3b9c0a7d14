"""Who may do what on the bus: a service keeps to its topics and its journal, people to reading."""

import pytest
import redis

from tests.e2e.stack import SERVICES, Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

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


@pytest.mark.parametrize("service", SERVICES)
def test_a_script_gains_a_service_nothing(external: Stack, service: str) -> None:
    topic = OTHERS_TOPICS[service][0]
    with external.bus(service) as client, pytest.raises(redis.exceptions.ResponseError):
        client.eval(f"return redis.call('PUBLISH', '{topic}', '{{}}')", 0)


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
