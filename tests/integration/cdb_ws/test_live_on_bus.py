"""Live markets on the real bus: the wall's clock, a venue that breaks, messages by hand."""

import json
import time
from collections.abc import Iterator

import pytest

from services.kernel.events import (
    AnyEvent,
    Clock,
    Condition,
    ConditionName,
    ConditionPhase,
    Instruments,
    MarketData,
    MarketDataKind,
)
from tests.integration.cdb_ws.conftest import WsOnBus
from tests.integration.cdb_ws.fake_mexc import FakeMexc

pytestmark = pytest.mark.integration
CHANNELS = {"deal", "depth.full", "ticker", "funding.rate", "fair.price"}


@pytest.fixture
def exchange() -> Iterator[FakeMexc]:
    made = FakeMexc()
    yield made
    made.close()


def trades(events: list[AnyEvent]) -> list[MarketData]:
    return [
        event
        for event in events
        if isinstance(event, MarketData) and event.kind is MarketDataKind.TRADE
    ]


def live(events: list[AnyEvent]) -> list[str | None]:
    return [trade.trade_id for trade in trades(events) if not trade.backfill]


def gaps(events: list[AnyEvent]) -> list[ConditionPhase]:
    conditions = [event for event in events if isinstance(event, Condition)]
    return [c.phase for c in conditions if c.name is ConditionName.DATA_GAP]


def start(ws: WsOnBus, exchange: FakeMexc) -> None:
    ws.start(CDB_SOURCE="mexc", MEXC_WS_URL=exchange.ws_url, MEXC_REST_URL=exchange.rest_url)
    ws.begin_run("mexc", SYMBOL_WHITELIST="BTC_USDT,NOPE_USDT", LOOKBACK_MINUTES="5")


def test_details_and_history_then_live_ticks_in_base_units(ws: WsOnBus, exchange: FakeMexc) -> None:
    # Given a venue with one of the two wanted contracts
    start(ws, exchange)
    ws.wait_for(lambda _: exchange.subscribed() == CHANNELS)
    # When it speaks
    exchange.deal(7)
    exchange.push("depth.full", {"asks": [[84001, 5, 1]], "bids": [[84000, 3, 1]], "version": 1})
    exchange.push("fair.price", {"price": 84000.5})
    exchange.push("deal", "nonsense")
    exchange.deal(7)
    exchange.deal(8)
    events = ws.wait_for(lambda events: "8" in live(events))
    # Then details come first, history next, and each deal once
    details = next(event for event in events if isinstance(event, Instruments))
    assert [(c.symbol, c.funding_interval_hours) for c in details.instruments] == [("BTC_USDT", 4)]
    history = [trade for trade in trades(events) if trade.backfill]
    assert len({trade.timestamp for trade in history}) == len(history) >= 4 * 4
    assert live(events) == ["7", "8"]
    assert str(trades(events)[-1].volume) == "0.001"
    assert {event.kind for event in events if isinstance(event, MarketData)} == {
        MarketDataKind.TRADE, MarketDataKind.DEPTH, MarketDataKind.MARK,
    }  # fmt: skip


@pytest.mark.chaos
def test_a_broken_connection_is_a_gap_until_the_venue_speaks_again(
    ws: WsOnBus, exchange: FakeMexc
) -> None:
    # Given a venue that speaks
    start(ws, exchange)
    ws.wait_for(lambda _: exchange.subscribed() == CHANNELS)
    exchange.deal(1)
    ws.wait_for(lambda events: live(events) == ["1"])
    # When the connection breaks
    exchange.commands.clear()
    exchange.drop()
    ws.wait_for(lambda events: gaps(events) == [ConditionPhase.BEGAN])
    ws.wait_for(lambda _: exchange.subscribed() == CHANNELS)
    assert len(exchange.connections) == 2
    exchange.deal(1)
    exchange.deal(2)
    # Then it is a gap until the first data, and nothing comes twice
    events = ws.wait_for(lambda events: live(events) == ["1", "2"])
    assert gaps(events) == [ConditionPhase.BEGAN, ConditionPhase.CLEARED]


def test_the_clock_goes_on_while_the_venue_is_away(ws: WsOnBus, exchange: FakeMexc) -> None:
    exchange.rest_away = True
    start(ws, exchange)

    def clocks(events: list[AnyEvent]) -> list[int]:
        return [event.timestamp for event in events if isinstance(event, Clock)]

    seconds = clocks(ws.wait_for(lambda events: len(clocks(events)) >= 3))
    assert seconds == list(range(seconds[0], seconds[-1] + 1, 1000))
    # And it is reached as soon as it answers
    exchange.rest_away = False
    ws.wait_for(lambda _: exchange.subscribed() == CHANNELS)


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
    operator.publish("market_data", json.dumps(
        {"symbol": "BTC_USDT", "price": "6", "volume": "1", "timestamp": now, "backfill": True}
    ))  # fmt: skip
    # Then what can be understood is on the bus, with its contract before it
    events = ws.wait_for(lambda events: len(trades(events)) == 2)
    assert [(t.symbol, str(t.price), t.external, t.backfill) for t in trades(events)] == [
        ("BTC_USDT", "5.5", True, False), ("BTC_USDT", "6", True, True),
    ]  # fmt: skip
    kinds = [type(event) for event in events]
    assert kinds.index(Instruments) < kinds.index(MarketData)
    with ws.server.admin() as admin:
        assert admin.xlen("cdb:dead:cdb_ws") == 1
