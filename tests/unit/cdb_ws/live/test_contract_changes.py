"""Contract details that change while symbols are listened to, and symbols that leave and return."""

import asyncio
from collections import Counter
from decimal import Decimal

import pytest

from services.kernel.events import Condition, ConditionPhase, Instruments, MarketData
from services.kernel.events import MarketDataKind as Kind
from tests.unit.cdb_ws.live.fake_venue import (
    FakeVenue,
    Received,
    Scene,
    detail,
    keep_speaking,
    play,
    until_subscribed,
)

pytestmark = pytest.mark.unit
HOUR_S = 100
BTC, ETH = "BTC_USDT", "ETH_USDT"


@pytest.fixture(autouse=True)
def short_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.cdb_ws.live.instrument_provider.EVERY_S", HOUR_S)


def push_detail(scene: Scene, **changes: object) -> None:
    symbol = str(changes.pop("symbol", BTC))
    scene.venue.connections[0].push_frame(channel="push.contract", data=detail(symbol) | changes)


async def until_dropped(scene: Scene, symbol: str) -> None:
    async with asyncio.timeout(30):
        while symbol in scene.engine.feeds:
            await asyncio.sleep(0.1)


def announced(received: Received, symbol: str) -> list[Decimal]:
    return [
        one.contract_size
        for event in received.events
        if isinstance(event, Instruments)
        for one in event.instruments
        if one.symbol == symbol
    ]


def open_gaps(received: Received) -> set[str | None]:
    found: set[str | None] = set()
    for event in received.events:
        if isinstance(event, Condition):
            (found.add if event.phase is ConditionPhase.BEGAN else found.discard)(event.symbol)
    return found


def test_a_pushed_contract_is_filtered_by_the_rules_of_the_rest_details() -> None:
    async def program(scene: Scene) -> None:
        await until_subscribed(scene.venue)
        # When the venue pushes that one contract is paused, and another settled in a third coin
        push_detail(scene, state=1)
        push_detail(scene, symbol=ETH, settleCoin="USDC")
        await until_dropped(scene, BTC)
        await until_dropped(scene, ETH)

    received = play(program, FakeVenue([BTC, ETH, "SOL_USDT"]))

    # Then neither may be entered from that moment on
    assert received.universes()[-1] == ("SOL_USDT",)


def test_a_held_contract_that_closes_is_reported() -> None:
    async def program(scene: Scene) -> None:
        await until_subscribed(scene.venue)
        push_detail(scene, state=4)
        await asyncio.sleep(3)
        assert BTC in scene.engine.feeds  # its stream may go on for a while

    received = play(program, FakeVenue([BTC, ETH]), held=lambda: {BTC})

    assert received.alerts("POSITION_UNLISTED") == ["BEGAN"]


@pytest.mark.parametrize("announcement", ["pushed", "asked"])
def test_trades_are_converted_by_the_announced_contract_size_from_then_on(
    announcement: str,
) -> None:
    async def program(scene: Scene) -> None:
        await until_subscribed(scene.venue)
        await keep_speaking(scene.venue, BTC, seconds=5)
        scene.venue.trade(BTC)
        await asyncio.sleep(1)
        scene.venue.details[BTC] = detail(BTC) | {"contractSize": 0.5}
        if announcement == "pushed":
            push_detail(scene, contractSize=0.5)
            await asyncio.sleep(0.5)
        else:
            await keep_speaking(scene.venue, BTC, seconds=HOUR_S + 5)
        scene.venue.trade(BTC)
        await asyncio.sleep(1)

    received = play(program, FakeVenue([BTC]))

    assert announced(received, BTC) == [Decimal("0.1"), Decimal("0.5")]
    assert [trade.volume for trade in received.ticks(Kind.TRADE, BTC)] == [
        Decimal("0.1"),
        Decimal("0.5"),
    ]


def test_a_mover_that_is_delisted_while_the_summaries_are_away_leaves() -> None:
    async def program(scene: Scene) -> None:
        await until_subscribed(scene.venue, BTC, ETH)
        del scene.venue.details[ETH]
        scene.venue.tickers_away = True
        for _ in range(HOUR_S + 20):
            scene.venue.mark(BTC)
            await asyncio.sleep(1)
        assert set(scene.engine.feeds) == {BTC}

    received = play(program, FakeVenue([BTC, ETH]), symbols=(), top_n=2)

    assert received.universes()[-1] == (BTC,)


def test_a_symbol_that_is_dropped_while_rest_is_asked_leaves_no_gap_open() -> None:
    async def program(scene: Scene) -> None:
        await until_subscribed(scene.venue)
        await keep_speaking(scene.venue, BTC, ETH, seconds=5)
        for _ in range(3):
            scene.venue.trade(ETH)
        await asyncio.sleep(1)
        scene.venue.trade(ETH, pushed=False)  # its stream leaves a trade out
        feed = scene.engine.feeds[ETH]
        rows = await scene.engine.rest.trades(ETH)
        scene.engine.drop(ETH)
        # When the answer of a comparison that was under way arrives
        scene.engine.recoveries._answered(feed, rows, 0.0, lambda _: None)
        await asyncio.sleep(30)

    received = play(program, FakeVenue([BTC, ETH]))

    assert ETH not in open_gaps(received)


def test_a_symbol_that_comes_back_repeats_no_event_and_no_trade() -> None:
    async def program(scene: Scene) -> None:
        venue = scene.venue
        await until_subscribed(venue)
        await keep_speaking(venue, BTC, ETH, seconds=3)
        for _ in range(4):
            venue.trade(ETH)
            await asyncio.sleep(20)
            venue.mark(BTC)
        # When it is delisted for a moment, trades, and is listed again
        push_detail(scene, symbol=ETH, state=1)
        await until_dropped(scene, ETH)
        venue.trade(ETH, pushed=False)
        push_detail(scene, symbol=ETH)
        for _ in range(HOUR_S + 30):
            if ETH in scene.engine.feeds:
                break
            venue.mark(BTC)
            await asyncio.sleep(1)
        for _ in range(20):
            await asyncio.sleep(1)
            venue.mark(BTC)
            venue.mark(ETH)
        venue.trade(ETH)
        await asyncio.sleep(5)

    received = play(program, FakeVenue([BTC, ETH]), lookback_minutes=15)

    ids = Counter(event.event_id for event in received.events)
    assert [event_id for event_id, count in ids.items() if count > 1] == []
    trades = [
        tick.price
        for tick in received.events
        if isinstance(tick, MarketData) and tick.kind is Kind.TRADE and tick.source != "mexc:kline"
        if tick.symbol == ETH
    ]
    assert sorted(trades) == [Decimal(10 + number) for number in range(1, 7)]


def test_funding_intervals_that_come_late_are_used_when_they_come() -> None:
    async def program(scene: Scene) -> None:
        await until_subscribed(scene.venue)
        await keep_speaking(scene.venue, BTC, seconds=30)

    # Given more symbols than can be asked about while they wait
    symbols = [BTC, *(f"S{number}_USDT" for number in range(70))]
    received = play(program, FakeVenue(symbols))

    hours: dict[str, int] = {}
    for event in received.events:
        if isinstance(event, Instruments):
            hours |= {one.symbol: one.funding_interval_hours for one in event.instruments}
    assert hours == dict.fromkeys(symbols, 4)
