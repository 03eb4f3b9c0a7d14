"""S1: an event that the record cannot take halts trading; a reset leads back to it."""

import json
import time

import pytest
from msgspec.structs import replace

from services.kernel.events import topics
from services.kernel.events.ids import make_id
from services.runtime.bus.bus import Bus
from services.runtime.bus.redis.address import RedisAddress
from tests import builders as a
from tests.deadline import wait_until
from tests.e2e.commands import claire, figures
from tests.e2e.listening import listening
from tests.e2e.market import Market
from tests.e2e.stack import SERVICES, Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
WITHIN_S = 180.0
PRICE = 150
SYMBOL = "SOL_USDT"
"""No other test trades it: a symbol rests after a loss, in the next run too."""
SIGNAL = {"symbol": SYMBOL, "direction": "BUY", "price": PRICE, "quantity": "2"}


def wait_green(stack: Stack) -> None:
    for service in SERVICES:
        wait_until(lambda s=service: stack.health(s)[0] == 200, f"{service} is green", WITHIN_S)


def publish_twice(stack: Stack) -> tuple[str, str]:
    """Publish one event of ``cdb_ws`` twice, as a defect would: its run and its id."""
    password = stack.env["REDIS_PASSWORD_CDB_WS"]
    address = RedisAddress("127.0.0.1", stack.port("cdb_redis"), topics.WS, password)
    run_id = str(stack.one("SELECT run_id FROM runs ORDER BY seq DESC LIMIT 1"))
    event_id = make_id(run_id, "test", time.time_ns())
    contracts = a.instruments(a.instrument("BTC_USDT"), at=int(time.time() * 1000))
    event = replace(contracts, run_id=run_id, event_id=event_id)
    bus = Bus(address, topics.WS)
    try:
        bus.claim()
        bus.publish([event, event])
    finally:
        bus.close()
    return run_id, event_id


def trade_until_filled(stack: Stack) -> None:
    """An entry by hand is approved and filled."""
    market = Market(stack, SYMBOL)
    market.backfill(PRICE, minutes=6)
    market.publish(PRICE)
    signal_id = f"after-the-reset-{time.time_ns()}"
    with listening(stack, "order_results", "risk_decisions") as listener, stack.bus() as client:
        client.publish("signals", json.dumps(SIGNAL | {"signal_id": signal_id}))

        def is_filled() -> bool:
            market.publish(PRICE)
            listener.drain(0.3)
            return any(result["status"] == "FILLED" for result in listener.of("order_results"))

        def why_not() -> object:
            return (
                "the entry is filled",
                listener.of("risk_decisions"),
                listener.of("order_results"),
            )

        wait_until(is_filled, why_not)


def test_an_event_that_cannot_be_recorded_halts_and_a_reset_leads_back(external: Stack) -> None:
    wait_green(external)

    broken_run, event_id = publish_twice(external)

    for service in SERVICES:  # cdb_ws was fenced off, and reads the condition after its restart
        wait_until(
            lambda s=service: f"{event_id} of cdb_ws" in external.health(s)[1],
            f"{service} names what is broken",
            WITHIN_S,
        )
        status, body = external.health(service)
        assert status == 503, service
        assert "RECORD_BROKEN" in body, service
        assert 'claire reset --reason "..." begins a new run' in json.loads(body)["reason"], service
    seen = figures(external, "status", exit_code=1)
    assert seen["trading"]["state"] == "HALTED"
    assert "RECORD_BROKEN" in seen["trading"]["halt_reason"]
    assert figures(external, "verify", "--run", broken_run, exit_code=1)["missing"] == 1
    assert figures(external, "validate", "--run", broken_run, exit_code=1)["findings"] > 0

    done = claire(external, "reset", "--reason", "looked at it", "--on", "compose")

    assert done.returncode == 0, done.stderr
    newest = "SELECT run_id FROM runs ORDER BY seq DESC LIMIT 1"
    wait_until(lambda: external.one(newest) != broken_run, "another run begins", WITHIN_S)
    wait_green(external)
    trade_until_filled(external)
    # The writer's health there is the engine's, which looks only now and then.
    wait_until(
        lambda: claire(external, "status", "--on", "compose").returncode == 0, "status is green"
    )
    assert figures(external, "status")["trading"]["halt_reason"] is None
    assert figures(external, "verify", "--run", "last")["missing"] == 0
    assert figures(external, "validate", "--run", "last")["findings"] == 0
    assert figures(external, "verify", "--run", broken_run, exit_code=1)["missing"] == 1
