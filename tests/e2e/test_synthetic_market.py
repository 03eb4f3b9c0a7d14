"""The stack as a newcomer starts it: the generated market, a minute a second, no hands."""

import json

import pytest

from tests.deadline import wait_until
from tests.e2e.listening import listening
from tests.e2e.stack import SERVICES, Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

TRADES_WITHIN_S = 120.0


def test_it_trades_by_itself(synthetic: Stack) -> None:
    with listening(
        synthetic, "market_data", "signals", "risk_decisions", "orders", "order_results"
    ) as listener:
        listener.wait_for(
            "an order is filled",
            lambda e: e["topic"] == "order_results" and e["status"] == "FILLED",
            TRADES_WITHIN_S,
        )


@pytest.mark.parametrize(
    "table",
    [
        "market_data", "events", "signals", "risk_decisions", "orders", "trades", "positions",
        "portfolio_snapshots", "state_snapshots", "runs",
    ],
)  # fmt: skip
def test_a_table_fills(synthetic: Stack, table: str) -> None:
    rows = f"SELECT count(*) FROM {table}"  # noqa: S608 - see above
    wait_until(lambda: synthetic.one(rows) > 0, f"{table} has rows", TRADES_WITHIN_S)


def test_redis_cli_shows_json_on_the_canonical_topics(synthetic: Stack) -> None:
    command = (
        'REDISCLI_AUTH="$(cat /run/secrets/redis_password)" timeout 5'
        " redis-cli SUBSCRIBE market_data signals orders order_results alerts || true"
    )

    lines = synthetic.run_in("cdb_redis", "sh", "-c", command).splitlines()

    events = [json.loads(line) for line in lines if line.startswith("{")]
    assert len(events) > 10
    assert {event["type"] for event in events} >= {"market_data"}
    assert all(event["seq"] > 0 and event["run_id"] for event in events)


def test_it_stays_healthy(synthetic: Stack) -> None:
    for service in SERVICES:
        status, body = synthetic.health(service)
        assert status == 200, body


def test_the_command_in_the_image_explains_itself(synthetic: Stack) -> None:
    assert "run-paper" in synthetic.run_in("cdb_core", "claire", "--help")


def test_down_and_up_again_keeps_the_record(synthetic: Stack) -> None:
    rows = synthetic.one("SELECT max(seq) FROM events")
    run = synthetic.one("SELECT count(*) FROM runs")

    synthetic.compose("down", "--timeout", "15")
    synthetic.up()

    wait_until(lambda: synthetic.one("SELECT max(seq) FROM events") > rows, "it goes on", 60)
    assert synthetic.one("SELECT count(*) FROM runs") == run, "unchanged settings: the same run"
