"""Live markets on the real bus: a venue that breaks, a service that is killed, messages by hand."""

import json
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from services.kernel.events import (
    AnyEvent,
    Clock,
    Condition,
    ConditionName,
    Instruments,
    MarketData,
    MarketDataKind,
    Side,
    topics,
)
from services.runtime.bus.bus import Bus
from tests.builders import result
from tests.deadline import DEADLINE_S, wait_until
from tests.integration.cdb_ws.conftest import WsOnBus

pytestmark = pytest.mark.integration


class Exchange:
    """``claire exchange-sim`` as a process of its own."""

    def __init__(self, *options: str) -> None:
        command = ("exchange-sim", "--port", "0", "--json", "--control", "--rate", "10", *options)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "services.cli.main", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self._process.communicate(timeout=DEADLINE_S)[1]
        found = json.loads(line)
        self.ws_url: str = found["MEXC_WS_URL"]
        self.rest_url: str = found["MEXC_REST_URL"]

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.rest_url + path, timeout=10) as answer:  # noqa: S310
            return json.load(answer)

    def begin(self, kind: str) -> None:
        """Begin a fault now."""
        self.get(f"/sim/faults/begin?kind={kind}")

    def clear(self) -> None:
        """End all faults."""
        self.get("/sim/faults/clear")

    def trades(self, symbol: str) -> Counter[tuple[int, Decimal, Side]]:
        """The newest trades as REST has them."""
        path = f"/api/v1/contract/deals/{symbol}?limit=100"
        # Not often: the exchange counts this test's questions with those of the service.
        rows = wait_until(lambda: self.get(path).get("data"), f"trades of {symbol}", every=0.2)
        return Counter(
            (row["t"], Decimal(str(row["p"])), Side.BUY if row["T"] == 1 else Side.SELL)
            for row in rows
        )

    def close(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=DEADLINE_S)


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    made = Exchange("--symbols", "BTC_USDT,ETH_USDT")
    yield made
    made.close()


def trades(events: list[AnyEvent], symbol: str | None = None) -> list[MarketData]:
    return [
        event
        for event in events
        if isinstance(event, MarketData)
        and event.kind is MarketDataKind.TRADE
        and symbol in {None, event.symbol}
    ]


def traded(events: list[AnyEvent], symbol: str) -> Counter[tuple[int, Decimal, Side]]:
    """The published trades, without those made of minute bars."""
    return Counter(
        (trade.timestamp, trade.price, trade.side)
        for trade in trades(events, symbol)
        if trade.price is not None and trade.side is not None
    )


def gaps(events: list[AnyEvent], symbol: str | None) -> list[tuple[str, int | None]]:
    return [
        (event.phase.value, event.lost_from)
        for event in events
        if isinstance(event, Condition)
        and event.name is ConditionName.DATA_GAP
        and event.symbol == symbol
    ]


def live_since(events: list[AnyEvent], count: int, symbol: str = "BTC_USDT") -> int:
    """Live trades of a symbol behind the first ``count`` events."""
    return sum(not trade.backfill for trade in trades(events[count:], symbol))


def start(ws: WsOnBus, exchange: Exchange) -> "subprocess.Popen[str]":
    return ws.start(CDB_SOURCE="mexc", MEXC_WS_URL=exchange.ws_url, MEXC_REST_URL=exchange.rest_url)


def begin(ws: WsOnBus, exchange: Exchange, symbols: str = "BTC_USDT,ETH_USDT") -> None:
    start(ws, exchange)
    ws.begin_run("mexc", SYMBOL_WHITELIST=symbols, LOOKBACK_MINUTES="5")


def assert_whole(events: list[AnyEvent], exchange: Exchange, symbol: str) -> None:
    """Every trade since the first published that REST still knows was published once."""
    published, known = traded(events, symbol), exchange.trades(symbol)
    oldest, newest = max(min(published)[0], min(known)[0]), max(published)[0]

    def between(
        trades: Counter[tuple[int, Decimal, Side]],
    ) -> Counter[tuple[int, Decimal, Side]]:
        return Counter({trade: n for trade, n in trades.items() if oldest < trade[0] < newest})

    assert between(published) == between(known)
    assert len(between(known)) > 10


def test_details_and_history_then_the_live_market_in_base_units(
    ws: WsOnBus, exchange: Exchange
) -> None:
    # Given a venue with one of the two wanted contracts
    begin(ws, exchange, "BTC_USDT,NOPE_USDT")
    events = ws.wait_for(lambda events: live_since(events, 0) > 5)
    # Then details come first, and history before what is live
    details = next(event for event in events if isinstance(event, Instruments))
    assert [contract.symbol for contract in details.instruments] == ["BTC_USDT"]
    history = [trade for trade in trades(events) if trade.source.endswith(":synthetic")]
    assert len({trade.timestamp for trade in history}) == len(history) >= 4 * 4
    assert all(trade.backfill for trade in history)
    first_live = next(trade for trade in trades(events) if not trade.backfill)
    assert events.index(details) < events.index(history[-1]) < events.index(first_live)
    # And a trade's volume is its contracts times the contract's size
    assert first_live.volume is not None
    lots = first_live.volume / details.instruments[0].contract_size
    assert lots == lots.to_integral_value() > 0
    kinds = {MarketDataKind.TRADE, MarketDataKind.DEPTH, MarketDataKind.MARK}
    ws.wait_for(
        lambda events: kinds <= {event.kind for event in events if isinstance(event, MarketData)}
    )


@pytest.mark.chaos
def test_broken_connections_are_holes_that_are_filled(ws: WsOnBus, exchange: Exchange) -> None:
    # Given a venue that speaks
    begin(ws, exchange)
    ws.wait_for(lambda events: live_since(events, 0) > 5 and gaps(events, "BTC_USDT") == [])
    # When all connections break
    exchange.begin("drop")
    # Then both symbols are uncertain until every trade is there
    recovered = [("BEGAN", None), ("CLEARED", None)]
    events = ws.wait_for(
        lambda events: gaps(events, "BTC_USDT") == gaps(events, "ETH_USDT") == recovered
    )
    seen = len(events)
    events = ws.wait_for(lambda events: live_since(events, seen) > 5)
    assert_whole(events, exchange, "BTC_USDT")


@pytest.mark.chaos
def test_a_killed_service_goes_on_behind_its_journal(ws: WsOnBus, exchange: Exchange) -> None:
    # Given a service that publishes
    process = start(ws, exchange)
    ws.begin_run("mexc", SYMBOL_WHITELIST="BTC_USDT,ETH_USDT", LOOKBACK_MINUTES="0")
    ws.wait_for(lambda events: live_since(events, 0) > 20)
    # When it is killed, trades are made, and another takes its place
    process.kill()
    process.wait(10)
    seen = len(ws.published())
    before = exchange.trades("BTC_USDT")
    wait_until(lambda: exchange.trades("BTC_USDT") != before, "more trades", every=0.2)
    start(ws, exchange)
    events = ws.wait_for(lambda events: live_since(events, seen) > 5)
    # Then the hole was on the record, and nothing is missing and nothing there twice
    assert gaps(events, "BTC_USDT") == [("BEGAN", None), ("CLEARED", None)]
    assert any(trade.source == "mexc:rest" for trade in trades(events[seen:], "BTC_USDT"))
    assert_whole(events, exchange, "BTC_USDT")


@pytest.mark.chaos
@pytest.mark.parametrize("written", [False, True], ids=["nobody wrote it down", "half written"])
def test_trades_that_redis_lost_are_asked_for_again(
    ws: WsOnBus, exchange: Exchange, written: bool
) -> None:
    # Given a live market, of whose last trades Redis has lost all and PostgreSQL has some or none
    start(ws, exchange)
    ws.begin_run("mexc", SYMBOL_WHITELIST="BTC_USDT,ETH_USDT", LOOKBACK_MINUTES="0")
    ws.wait_for(lambda events: live_since(events, 0) > 20)
    restart_state, known = ws.memory(), ws.known()
    count = len(ws.published())
    ws.wait_for(lambda events: live_since(events, count) > 5)
    if written:
        known = ws.known()
        count = len(ws.published())
        ws.wait_for(lambda events: live_since(events, count) > 5)
    # When Redis comes back with what it had kept
    ws.go_back_to(restart_state, known)
    seen, symbols = len(ws.published()), ("BTC_USDT", "ETH_USDT")
    events = ws.wait_for(
        lambda events: all(
            live_since(events, seen, symbol) > 5
            and gaps(events, symbol)[-1:] == [("CLEARED", None)]
            for symbol in symbols
        )
    )
    # Then each symbol was uncertain, and nothing is missing and nothing there twice
    for symbol in symbols:
        assert gaps(events, symbol) == [("BEGAN", None), ("CLEARED", None)]
        assert_whole(events, exchange, symbol)


@pytest.mark.chaos
def test_a_filled_symbol_is_listened_to_beside_the_whitelist_also_after_a_kill(
    ws: WsOnBus, exchange: Exchange
) -> None:
    # Given a market of one symbol
    process = start(ws, exchange)
    run = ws.begin_run("mexc", SYMBOL_WHITELIST="BTC_USDT", LOOKBACK_MINUTES="0")
    events = ws.wait_for(lambda events: live_since(events, 0) > 3)
    assert trades(events, "ETH_USDT") == []
    # When a position is opened in another one
    execution = Bus(ws.server.address(topics.EXECUTION), topics.EXECUTION)
    try:
        execution.claim()
        execution.publish([replace(result("ETH_USDT"), run_id=run.run_id)])
    finally:
        execution.close()
    # Then its prices come, and go on coming after a kill
    ws.wait_for(lambda events: live_since(events, 0, "ETH_USDT") > 3)
    process.kill()
    process.communicate(timeout=DEADLINE_S)
    seen = len(ws.published())
    start(ws, exchange)
    ws.wait_for(lambda events: live_since(events, seen, "ETH_USDT") > 3)


def test_the_clock_goes_on_while_the_venue_is_away(ws: WsOnBus, exchange: Exchange) -> None:
    exchange.begin("http_5xx")
    exchange.begin("refuse")
    begin(ws, exchange, "ETH_USDT")

    def clocks(events: list[AnyEvent]) -> list[int]:
        return [event.timestamp for event in events if isinstance(event, Clock)]

    seconds = clocks(ws.wait_for(lambda events: len(clocks(events)) >= 3))
    assert seconds == list(range(seconds[0], seconds[-1] + 1, 1000))
    # And it is found as soon as it answers
    exchange.clear()
    ws.wait_for(lambda events: live_since(events, 0, "ETH_USDT") > 0)


def price_by_hand(ws: WsOnBus, price: str) -> None:
    """Send a price from outside, and wait until it is published."""
    ws.operator().publish(
        "market_data", json.dumps({"symbol": "BTC_USDT", "price": price, "volume": 1})
    )
    ws.wait_for(lambda events: any(str(trade.price) == price for trade in trades(events)))


@pytest.mark.chaos
@pytest.mark.parametrize("dies", [False, True], ids=["alive", "killed too"])
def test_ticks_by_hand_that_redis_lost_are_a_gap_with_its_bounds(ws: WsOnBus, dies: bool) -> None:
    # Given prices by hand: the first was kept by Redis, the second written down, the third neither
    process = ws.start(CDB_SOURCE="external")
    ws.begin_run("external")
    ws.wait_for(lambda events: any(isinstance(event, Clock) for event in events))
    price_by_hand(ws, "5")
    restart_state, known = ws.memory(), ws.known()
    price_by_hand(ws, "6")
    if dies:
        known = ws.known()  # the writer was faster than the disk of Redis
    price_by_hand(ws, "6.5")
    lost = trades(ws.published())[-1]
    # When Redis comes back with what it had kept
    if dies:
        process.kill()
        process.wait(10)
    ws.go_back_to(restart_state, known)
    if dies:
        ws.start(CDB_SOURCE="external")
    # Then the hole is on the record once: from the last clock that is left to beyond the lost price
    ws.wait_for(lambda events: len(gaps(events, None)) == 2)
    price_by_hand(ws, "7")
    events = ws.published()
    began, cleared = (event for event in events if isinstance(event, Condition))
    left = [event for event in events[: events.index(began)] if isinstance(event, Clock)]
    assert cleared.lost_from == left[-1].timestamp
    assert cleared.lost_to is not None
    assert cleared.lost_from <= lost.timestamp <= cleared.lost_to <= trades(events)[-1].timestamp
    # And nothing is reported again
    assert [str(trade.price) for trade in trades(events)] == ["5", *(["6"] if dies else []), "7"]


def test_market_data_by_hand_is_published_and_malformed_messages_are_put_aside(ws: WsOnBus) -> None:
    # Given
    ws.start(CDB_SOURCE="external")
    ws.begin_run("external")
    ws.wait_for(lambda events: any(isinstance(event, Clock) for event in events))
    operator = ws.operator()
    # When people publish
    now = time.time()
    operator.publish("market_data", json.dumps({"symbol": "btcusdt", "price": 5.5, "volume": 2}))
    operator.publish("market_data", "{nonsense")
    operator.publish("order_results", json.dumps({"symbol": "BTC_USDT", "side": "BUY"}))
    operator.publish("market_data", json.dumps(
        {"symbol": "BTC_USDT", "price": "6", "volume": "1", "timestamp": now, "backfill": True}
    ))  # fmt: skip
    # Then what can be understood is on the bus, with its contract before it; execution answers for
    # results by hand
    events = ws.wait_for(lambda events: len(trades(events)) == 2)
    assert [(t.symbol, str(t.price), t.external, t.backfill) for t in trades(events)] == [
        ("BTC_USDT", "5.5", True, False), ("BTC_USDT", "6", True, True),
    ]  # fmt: skip
    kinds = [type(event) for event in events]
    assert kinds.index(Instruments) < kinds.index(MarketData)
    with ws.server.admin() as admin:
        assert admin.xlen("cdb:dead:cdb_ws") == 1
