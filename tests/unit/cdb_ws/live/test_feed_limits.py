"""What the feed bounds: requests for silent symbols, refused books, memory, one socket's role."""

import asyncio
from decimal import Decimal

import pytest

from services.cdb_ws.publishing.backpressure import Pressure
from services.cdb_ws.trades.minute_volumes import KEPT, MINUTE_MS, MinuteSums
from services.kernel.events import MarketDataKind as Kind
from services.kernel.market.bar_ticks import Bar
from services.runtime.bus.bus import Unavailable
from services.venues.mexc.field_watch import UNREADABLE, FieldWatch
from tests.unit.cdb_ws.live.fake_venue import (
    FakeVenue,
    Scene,
    keep_speaking,
    play,
    until_subscribed,
)

pytestmark = pytest.mark.unit
BTC = "BTC_USDT"


def asked_for_all(venue: FakeVenue) -> list[float]:
    return [at for at, path in venue.asked if path == "ticker"]


def book(version: int) -> dict[str, object]:
    return {"asks": [[11, 5, 1]], "bids": [[10, 5, 1]], "version": version}


def test_one_silent_symbol_is_requested_alone() -> None:
    async def program(scene: Scene) -> None:
        await until_subscribed(scene.venue)
        await keep_speaking(scene.venue, BTC, seconds=60)

    venue = FakeVenue([BTC, "MUTE_USDT"])
    received = play(program, venue)

    assert asked_for_all(venue) == []
    assert received.ticks(Kind.MARK, "MUTE_USDT") != []


def test_requests_for_all_symbols_have_a_budget() -> None:
    async def program(scene: Scene) -> None:
        await until_subscribed(scene.venue)
        await keep_speaking(scene.venue, BTC, seconds=1200)

    venue = FakeVenue([BTC, *(f"MUTE{number}_USDT" for number in range(8))])
    play(program, venue)

    # A burst of two minutes at the full pace, then one every 20 s.
    asked = asked_for_all(venue)
    assert len([at for at in asked if at > 600]) <= 600 / 20 + 1
    assert len(asked) > 60


def test_a_book_version_that_begins_again_is_subscribed_again_and_reported() -> None:
    async def program(scene: Scene) -> None:
        await until_subscribed(scene.venue)
        stream = scene.venue.connection_of(BTC)
        stream.push("depth.full", BTC, book(1_000_000))
        for version in range(1, 21):
            stream.push("depth.full", BTC, book(version))
            await asyncio.sleep(0.1)

    venue = FakeVenue([BTC])
    received = play(program, venue)

    assert len(received.ticks(Kind.DEPTH, BTC)) == 1 + 20 - 5
    assert sum(one.asked("depth.full").count(BTC) for one in venue.connections) == 2
    assert received.alerts("BOOK_RESTARTED") == ["BEGAN", "CLEARED"]


def test_contract_details_move_to_another_socket_when_theirs_closes() -> None:
    async def program(scene: Scene) -> None:
        await until_subscribed(scene.venue)
        first = min(scene.engine.pool.sockets)
        for feed in scene.engine.pool.members(scene.engine.pool.sockets[first]):
            scene.engine.drop(feed.symbol)
        assert first not in scene.engine.pool.sockets
        await asyncio.sleep(5)

    venue = FakeVenue(f"S{number}_USDT" for number in range(6))
    play(program, venue)

    asked = [
        number
        for number, connection in enumerate(venue.connections)
        for _, command in connection.sent
        if command["method"] == "sub.contract"
    ]
    assert len(asked) == 2
    assert len(set(asked)) == 2


def test_a_summary_that_is_older_than_the_mark_price_does_not_replace_it() -> None:
    async def program(scene: Scene) -> None:
        venue = scene.venue
        await until_subscribed(venue)
        stream = venue.connection_of(BTC)
        summary = {"symbol": BTC, "lastPrice": 10, "fairPrice": 7, "indexPrice": 7}
        stream.push("ticker", BTC, summary | {"timestamp": venue.now_ms()})
        await asyncio.sleep(1)
        venue.mark(BTC)
        stream.push("ticker", BTC, summary | {"timestamp": venue.now_ms() - 5_000})
        await asyncio.sleep(1)

    received = play(program, FakeVenue([BTC]))

    assert [tick.mark_price for tick in received.ticks(Kind.MARK, BTC)] == [Decimal(7), Decimal(10)]


@pytest.mark.parametrize(
    "field", ['"new": 1e999', '"new": "\\ud800"', '"new": ' + "[" * 2000 + "]" * 2000]
)
def test_an_unknown_field_that_cannot_be_read_is_counted(field: str) -> None:
    watch = FieldWatch()

    watch.look('{"channel": "push.fair.price", "data": {"symbol": "A", "price": 1}, ' + field + "}")

    assert watch.unknown[UNREADABLE] + watch.unknown["push.fair.price.new"] == 1


def test_a_frame_with_broken_utf_8_is_counted() -> None:
    watch = FieldWatch()

    watch.look(b'{"channel": "push.fair.price", "data": {"symbol": "A", "x": "\xff"}}')

    assert watch.unknown[UNREADABLE] == 1


def test_minutes_that_never_agree_are_kept_for_a_bounded_time() -> None:
    minutes = MinuteSums()
    minutes.whole_since(0)

    for minute in range(1, 5 * KEPT):
        minutes.add(minute * MINUTE_MS, Decimal(1))
        bar = Bar(Decimal(1), Decimal(1), Decimal(1), Decimal(1), Decimal(2))
        now = (minute + 2) * MINUTE_MS
        minutes.compare([(minute * MINUTE_MS, bar)], now, now)

    assert len(minutes._suspect) == KEPT


def test_a_bus_that_is_away_changes_no_figure_of_the_backpressure() -> None:
    class AwayBus:
        def heads(self) -> None:
            raise Unavailable("away")

    pressure = Pressure(AwayBus())  # type: ignore[arg-type]

    pressure.look()  # a live market goes on: its connections stay open

    assert (pressure.writer_lag, pressure.memory, pressure.high) == (0, 0.0, False)
