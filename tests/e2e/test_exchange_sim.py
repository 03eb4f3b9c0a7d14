"""The stack on a fake exchange, as somebody without a network runs it; then the exchange dies."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.deadline import wait_until
from tests.e2e.listening import Listener, Message, listening
from tests.e2e.stack import SERVICES, SIM, Stack

pytestmark = [pytest.mark.e2e, pytest.mark.chaos, pytest.mark.timeout(900)]

STALE_AFTER_S = 60.0
"""The default of DATA_STALE_TIMEOUT_SEC."""

CHECK_S = 5.0
"""What a look at /health and its route may take on a busy machine."""

TRADES_WITHIN_S = 180.0
RECOVERS_WITHIN_S = 90.0
TOPICS = (
    "market_data", "control", "alerts", "signals", "risk_decisions", "orders", "order_results",
)  # fmt: skip


def is_entry(event: Message) -> bool:
    return event["topic"] == "orders" and not event.get("reduce_only")


def is_filled_entry(event: Message) -> bool:
    return (
        event["topic"] == "order_results"
        and event["status"] == "FILLED"
        and not event.get("reduce_only")
    )


def is_gap(event: Message, phase: str) -> bool:
    return event.get("name") == "DATA_GAP" and event["phase"] == phase


def is_live_trade(event: Message) -> bool:
    return (
        event["topic"] == "market_data" and event["kind"] == "trade" and not event.get("backfill")
    )


def post_signal(stack: Stack, symbol: str, price: str) -> None:
    """Somebody else's strategy wants to buy."""
    signal = {"symbol": symbol, "direction": "BUY", "strength": "1", "price": price}
    with stack.bus() as client:
        client.publish("signals", json.dumps(signal | {"timestamp": int(time.time() * 1000)}))


def exchange_says(stack: Stack, path: str) -> Any:
    status, body = stack.get(SIM, path)
    return json.loads(body) if status == 200 else None


@pytest.fixture(autouse=True)
def all_is_well_before_and_after(sim: Stack) -> Iterator[None]:
    _wait_until_healthy(sim)
    yield
    sim.start(SIM)  # whatever a failed test left stopped
    wait_until(lambda: exchange_says(sim, "/sim/faults/clear"), "the exchange answers")
    _wait_until_healthy(sim)


def _wait_until_healthy(sim: Stack) -> None:
    wait_until(
        lambda: all(sim.health(name)[0] == 200 for name in SERVICES),
        "all are healthy",
        RECOVERS_WITHIN_S,
    )


def test_it_trades_against_the_fake_exchange(sim: Stack) -> None:
    entries = "SELECT count(*) FROM orders WHERE status = 'FILLED' AND NOT reduce_only"

    wait_until(lambda: sim.one(entries) > 0, "an entry is filled", TRADES_WITHIN_S)

    with listening(sim, *TOPICS) as listener:
        trade = listener.wait_for("a live trade", is_live_trade)
    assert trade["source"] == "mexc"
    assert trade["trade_id"]
    figures = exchange_says(sim, "/sim/status")
    assert figures["open"] >= 1
    assert figures["most_subscriptions_on_a_socket"] <= 100
    assert figures["rest_limited"] == {}


def test_a_killed_exchange_is_noticed_blocks_entries_and_is_backfilled(sim: Stack) -> None:
    with listening(sim, *TOPICS) as listener:
        last = listener.wait_for("a live trade", is_live_trade)
        sim.compose("kill", SIM)
        killed = time.monotonic()

        _is_noticed(sim, listener)
        noticed_s = time.monotonic() - killed
        _blocks_entries(sim, listener, last["symbol"], last["price"])
        sim.start(SIM)
        _recovers(sim, listener)

        back = listener.received[-1]["seq"]
        listener.wait_for(
            "trading goes on",
            lambda event: is_filled_entry(event) and event["seq"] > back,
            TRADES_WITHIN_S,
        )

    assert noticed_s <= STALE_AFTER_S + CHECK_S
    assert sim.inspect("cdb_ws")["RestartCount"] == 0


def test_a_connected_but_silent_exchange_is_noticed_within_the_timeout(sim: Stack) -> None:
    with listening(sim, *TOPICS) as listener:
        listener.wait_for("a live trade", is_live_trade)
        assert exchange_says(sim, "/sim/faults/begin?kind=silence")

        _is_noticed(sim, listener)
        assert exchange_says(sim, "/sim/faults/clear")
        _recovers(sim, listener)


def _is_noticed(sim: Stack, listener: Listener) -> None:
    wait_until(
        lambda: sim.health("cdb_ws")[0] == 503, "cdb_ws is red", STALE_AFTER_S + CHECK_S, every=0.1
    )
    assert json.loads(sim.health("cdb_ws")[1])["reason"]
    listener.wait_for("the gap is on the record", lambda event: is_gap(event, "BEGAN"))
    listener.wait_for(
        "people are notified",
        lambda event: event["topic"] == "alerts" and event["code"] == "DATA_GAP",
    )


def _blocks_entries(sim: Stack, listener: Listener, symbol: str, price: str) -> None:
    listener.drain(0.5)
    before = listener.received[-1]["seq"]

    post_signal(sim, symbol, price)

    decision = listener.wait_for(
        "the entry is decided",
        lambda event: (
            event["topic"] == "risk_decisions"
            and event.get("symbol") == symbol
            and event.get("layers")
            and event["seq"] > before
        ),
    )
    assert decision["verdict"] == "REJECTED", decision
    assert decision["reason"] in {"CONDITION_OPEN", "DATA_STALE", "NO_MARKET_DATA"}
    assert [e for e in listener.of("orders") if is_entry(e) and e["seq"] > before] == []


def _recovers(sim: Stack, listener: Listener) -> None:
    away = listener.received[-1]["seq"]
    wait_until(
        lambda: sim.health("cdb_ws")[0] == 200, "cdb_ws is green", RECOVERS_WITHIN_S, every=0.5
    )
    listener.wait_for(
        "the hole is filled",
        lambda event: (
            event["topic"] == "market_data"
            and event["kind"] == "trade"
            and event.get("backfill")
            and event["seq"] > away
        ),
    )
    listener.wait_for("the gap is over", lambda event: is_gap(event, "CLEARED"))
    listener.wait_for(
        "trades come live again",
        lambda event: is_live_trade(event) and event["seq"] > away,
    )
