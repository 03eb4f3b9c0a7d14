"""Market data from outside becomes signals, decisions, orders, results and rows.

The tests publish trades, and once an order by hand; everything that they check was made by the
services.
"""

import json
import time
from collections.abc import Iterator

import pytest

from tests.deadline import Deadline, wait_until
from tests.e2e.listening import Listener, Message, listening
from tests.e2e.market import Market
from tests.e2e.stack import SERVICES, Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

FILLED_WITHIN_S = 30.0


def is_filled(event: Message) -> bool:
    return event["topic"] == "order_results" and event["status"] == "FILLED"


def trade_until_filled(market: Market, listener: Listener, price: float) -> Message:
    """Keep the market moving at a price until an order of this symbol is filled."""
    filled = [event for event in listener.received if is_filled(event)]
    deadline = Deadline(FILLED_WITHIN_S)
    while True:
        deadline.require(
            lambda: f"an order of {market.symbol} is filled; received: {listener.last()}"
        )
        market.publish(price)
        listener.drain(0.3)
        for event in listener.received:
            if is_filled(event) and event["symbol"] == market.symbol and event not in filled:
                return event


@pytest.fixture(scope="module")
def round_trip(external: Stack) -> Iterator[tuple[Market, Listener, Message, Message]]:
    """A flat past, a rise that is bought, a fall that is sold."""
    market = Market(external, "BTC_USDT")
    with listening(
        external, "market_data", "signals", "risk_decisions", "orders", "order_results"
    ) as listener:
        market.backfill(60_000, minutes=8)
        for price in (60_000, 60_200, 60_400):
            market.publish(price)
            listener.drain(0.2)
        entry = trade_until_filled(market, listener, 60_700)
        exit_ = trade_until_filled(market, listener, 59_300)
        yield market, listener, entry, exit_


def test_backfill_alone_makes_no_signal(external: Stack) -> None:
    market = Market(external, "ETH_USDT")

    with listening(external, "market_data", "signals") as listener:
        now = int(time.time() * 1000)
        past = [(3_000 + step, now - 480_000 + step * 1_000) for step in range(400)]
        market.publish_many(past, backfill=True)
        listener.wait_for(
            "the last trade is published",
            lambda event: event.get("trade_id") == market.trade_ids[-1],
        )
        listener.drain(2)

    assert listener.of("signals") == []


def test_a_rise_is_bought_with_an_approval_on_the_record(
    round_trip: tuple[Market, Listener, Message, Message],
) -> None:
    _market, listener, entry, _exit = round_trip

    (order,) = [o for o in listener.of("orders") if o["order_id"] == entry["order_id"]]
    (signal,) = [s for s in listener.of("signals") if s["signal_id"] == order["signal_id"]]
    (decision,) = [
        d for d in listener.of("risk_decisions") if d.get("order_id") == order["order_id"]
    ]
    assert (signal["direction"], signal["reduce_only"]) == ("BUY", False)
    assert decision["verdict"] in ("APPROVED", "TRIMMED")
    assert len(decision["layers"]) == 7
    assert (order["side"], order["producer"]) == ("BUY", "cdb_risk")
    assert signal["seq"] < decision["seq"]
    assert {decision["seq"], order["seq"]} <= set(range(signal["seq"], entry["seq"]))
    assert entry["side"] == "BUY"
    assert float(entry["filled_price"]) >= 60_700


def test_a_fall_is_sold_by_an_exit(
    round_trip: tuple[Market, Listener, Message, Message],
) -> None:
    _market, _listener, entry, exit_ = round_trip

    assert (exit_["side"], exit_["reduce_only"]) == ("SELL", True)
    assert exit_["filled_quantity"] == entry["filled_quantity"]


def test_the_events_are_dense_and_in_order(
    round_trip: tuple[Market, Listener, Message, Message],
) -> None:
    listener = round_trip[1]

    assert [e["seq"] for e in listener.received] == sorted({e["seq"] for e in listener.received})
    for topic in ("market_data", "signals", "orders", "order_results"):
        heard = [event["topic_seq"] for event in listener.of(topic)]
        assert heard == list(range(heard[0], heard[0] + len(heard)))


def test_the_rows_are_in_the_database(
    external: Stack, round_trip: tuple[Market, Listener, Message, Message]
) -> None:
    market, _listener, entry, exit_ = round_trip
    orders = f"'{entry['order_id']}', '{exit_['order_id']}'"

    def complete() -> bool:
        filled = external.one(
            f"SELECT count(*) FROM orders WHERE order_id IN ({orders}) AND status = 'FILLED'"  # noqa: S608
        )
        return bool(filled == 2)

    wait_until(complete, "both orders are FILLED rows")
    wait_until(lambda: market.rows() == len(market.trade_ids), "every trade is a row")
    assert external.one("SELECT count(*) FROM signals") >= 2
    assert external.one("SELECT count(*) FROM risk_decisions") >= 2
    (closed,) = external.query(
        "SELECT entry_price, exit_price, gross_profit, profit_loss FROM trades"  # noqa: S608
        f" WHERE order_id = '{exit_['order_id']}'"
    )
    assert str(closed[0]).startswith(entry["filled_price"].rstrip("0").rstrip(".")[:7])
    assert closed[1] < closed[0]
    assert closed[3] < closed[2] < 0


def test_an_order_posted_by_hand_is_refused_on_the_record(external: Stack) -> None:
    order = {"symbol": "btc_usdt", "side": "buy", "quantity": 1, "price": 60000}

    with listening(external, "orders", "order_results") as listener:
        with external.bus() as client:
            client.publish("orders", json.dumps(order))
        posted = listener.wait_for(
            "the order is on the record", lambda e: e["topic"] == "orders" and e.get("external")
        )
        result = listener.wait_for(
            "its result",
            lambda e: e["topic"] == "order_results" and e["order_id"] == posted["order_id"],
        )

    assert (posted["symbol"], posted["side"], posted["approved_by"]) == ("BTC_USDT", "BUY", None)
    assert result["status"] == "REJECTED"
    assert result["reason"]
    assert float(result["filled_quantity"]) == 0
    wait_until(
        lambda: (
            external.query(
                "SELECT status FROM orders"  # noqa: S608
                f" WHERE order_id = '{posted['order_id']}'"
            )
            == [("REJECTED",)]
        ),
        "the refused order is a row",
    )


def test_an_exit_posted_by_hand_is_refused_too(external: Stack) -> None:
    order = {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "quantity": "0.01",
        "price": "60000",
        "reduce_only": True,
    }

    with listening(external, "orders", "order_results") as listener:
        with external.bus() as client:
            client.publish("orders", json.dumps(order))
        result = listener.wait_for("its result", lambda e: e["topic"] == "order_results")

    assert (result["symbol"], result["status"]) == ("BTC_USDT", "REJECTED")


@pytest.mark.parametrize(
    ("topic", "keeper"),
    [("market_data", "cdb_ws"), ("signals", "cdb_core"), ("orders", "cdb_risk")],
)
@pytest.mark.parametrize(
    "body",
    [
        b"not JSON",
        b"{}",
        b'{"symbol":',
        b"\xff\xfe\x00",
        b'{"symbol":"BTC_USDT"}',
        b"[1]" * 400_000,
    ],
    ids=["text", "empty", "cut", "binary", "incomplete", "oversized"],
)
def test_what_cannot_be_understood_goes_to_a_dead_letter(
    external: Stack, topic: str, keeper: str, body: bytes
) -> None:
    letters = f"cdb:dead:{keeper}"
    with external.bus(decoded=False) as client:

        def kept() -> int:
            return client.xinfo_stream(letters)["entries-added"] if client.exists(letters) else 0

        before = kept()
        client.publish(topic, body)
        wait_until(lambda: kept() > before, f"{keeper} puts it aside")

    for service in SERVICES:
        assert external.health(service)[0] == 200, service


def test_operator_commands_work_without_the_paper_runner(external: Stack) -> None:
    def state_becomes(listener: Listener, state: str) -> Message:
        return listener.wait_for(
            f"trading is {state}",
            lambda e: e["type"] == "trading_state" and e["symbol"] is None and e["state"] == state,
        )

    external.stop("cdb_paper_runner")
    try:
        with listening(external, "risk_decisions") as listener, external.bus() as client:
            client.publish("operator", json.dumps({"type": "halt", "reason": "an e2e test"}))
            halted = state_becomes(listener, "HALTED")
            client.publish("operator", json.dumps({"type": "reset", "reason": "test over"}))
            released = state_becomes(listener, "ACTIVE")
    finally:
        external.start("cdb_paper_runner")

    assert "an e2e test" in json.dumps(halted)
    assert "test over" in json.dumps(released)
    wait_until(
        lambda: external.health("cdb_paper_runner")[0] == 200, "the paper runner is back", 60
    )
