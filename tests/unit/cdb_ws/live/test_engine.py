"""The engine beside a venue that does what the test says, in virtual time."""

import asyncio
from itertools import pairwise

import pytest
from msgspec.structs import replace

from services.cdb_ws.live.engine import MOST_WAITING
from services.kernel.events import MarketDataKind
from services.venues.mexc.commands import CHANNELS
from tests.unit.cdb_ws.live.fake_venue import (
    NOW,
    FakeVenue,
    Received,
    Scene,
    keep_speaking,
    play,
    until_subscribed,
)

pytestmark = pytest.mark.unit
SYMBOLS = ("BTC_USDT", "ETH_USDT", "SOL_USDT", "XRP_USDT")


def test_symbols_are_spread_over_sockets_and_every_channel_is_asked_for_at_a_bounded_pace() -> None:
    async def program(scene: Scene) -> None:
        await until_subscribed(scene.venue)

    # Given more symbols than three sockets can take
    venue = FakeVenue(f"S{number}_USDT" for number in range(50))
    play(program, venue)
    # Then there are enough sockets, none with more than a hundred subscriptions
    asked = [one.asked("deal") for one in venue.connections]
    assert len(asked) == 4
    assert max(map(len, asked)) * len(CHANNELS) <= 100
    # And no more than ten commands a second beside the pings
    for connection in venue.connections:
        times = [at for at, command in connection.sent if command["method"] != "ping"]
        assert all(later - first >= 0.99 for first, later in zip(times, times[10:], strict=False))


def test_the_ping_is_sent_at_once_and_at_a_fixed_pace_whatever_else_is_said() -> None:
    async def program(scene: Scene) -> None:
        await until_subscribed(scene.venue)
        await keep_speaking(scene.venue, "BTC_USDT", seconds=60)

    venue = FakeVenue()
    play(program, venue)
    pings = [at for at, command in venue.connections[0].sent if command["method"] == "ping"]
    assert pings[0] - venue.attempts[0] < 0.1
    assert [round(after - before) for before, after in pairwise(pings)] == [15] * (len(pings) - 1)
    assert len(pings) >= 4


def test_two_missed_pongs_end_a_connection_although_it_brings_data() -> None:
    async def program(scene: Scene) -> None:
        await until_subscribed(scene.venue)
        scene.venue.answers_pings = False
        await keep_speaking(scene.venue, "BTC_USDT", seconds=50)

    venue = FakeVenue()
    play(program, venue)
    assert len(venue.connections) == 2


def test_silence_ends_a_connection_although_it_answers_pings() -> None:
    async def program(scene: Scene) -> None:
        await until_subscribed(scene.venue)
        await keep_speaking(scene.venue, "BTC_USDT", seconds=5)
        await asyncio.sleep(35)

    venue = FakeVenue()
    received = play(program, venue)
    assert len(venue.connections) == 2
    assert received.gaps("BTC_USDT")[0].phase.value == "BEGAN"


def test_the_first_retry_is_at_once_and_only_data_resets_the_waits() -> None:
    async def program(scene: Scene) -> None:
        # Given connections that are accepted and cut before they bring anything
        for _ in range(6):
            seen = len(scene.venue.connections)
            while len(scene.venue.connections) == seen:
                await asyncio.sleep(0.01)
            scene.venue.connections[-1].cut()
        # When one brings data and is cut
        await until_subscribed(scene.venue)
        scene.venue.mark("BTC_USDT")
        await asyncio.sleep(0.1)
        scene.venue.connections[-1].cut()
        await asyncio.sleep(0.1)

    venue = FakeVenue()
    play(program, venue)
    waits = [after - before for before, after in pairwise(venue.attempts)]
    assert waits[0] < 0.1
    assert 0.25 <= waits[1] <= 0.6
    assert waits[5] >= 4
    # Then the next attempt is at once again
    assert len(venue.attempts) == 8


def test_a_flapping_connection_is_tried_twenty_times_and_then_once_a_minute() -> None:
    async def program(scene: Scene) -> None:
        async with asyncio.timeout(400):
            while len(scene.venue.attempts) < 24:
                await asyncio.sleep(0.2)
                for one in scene.venue.connections:
                    if not one.closed and "BTC_USDT" in one.asked("deal"):
                        one.push("fair.price", "BTC_USDT", {"price": 10})
                        await asyncio.sleep(0.01)
                        one.cut()

    venue = FakeVenue()
    received = play(program, venue)
    waits = [after - before for before, after in pairwise(venue.attempts)]
    assert max(waits[:19]) < 2
    assert all(59 < wait < 62 for wait in waits[20:])
    assert received.alerts("RECONNECTS_SPENT")[0] == "BEGAN"


def test_one_sockets_loss_is_a_hole_of_its_symbols_only_filled_in_order() -> None:
    async def program(scene: Scene) -> None:
        await until_subscribed(scene.venue)
        for symbol in SYMBOLS[:3]:
            scene.venue.mark(symbol)
            scene.venue.trade(symbol)
        await asyncio.sleep(2)
        # When the connection of one of them breaks, and trades are made meanwhile
        scene.venue.connection_of("BTC_USDT").cut()
        await asyncio.sleep(0.005)
        scene.venue.trade("BTC_USDT", pushed=False)
        scene.venue.trade("BTC_USDT", pushed=False)
        await until_subscribed(scene.venue)
        scene.venue.trade("BTC_USDT")
        await asyncio.sleep(5)
        assert scene.engine.troubles() == []

    received = play(program, FakeVenue(SYMBOLS[:3]))
    # Then its trades are there once, in order, those from REST marked
    assert received.prices() == [(1, "mexc"), (4, "mexc:rest"), (5, "mexc:rest"), (6, "mexc")]
    backfilled = [trade.backfill for trade in received.ticks(MarketDataKind.TRADE)]
    assert backfilled == [False, True, True, False]
    gaps = received.gaps()
    assert [(gap.symbol, gap.phase.value) for gap in gaps] == [
        ("BTC_USDT", "BEGAN"), ("BTC_USDT", "CLEARED"),
    ]  # fmt: skip
    assert (gaps[1].lost_from, gaps[1].lost_to) == (None, None)
    assert received.alerts("DATA_GAP") == ["BEGAN", "CLEARED"]


def test_a_hole_longer_than_a_window_has_its_bounds_on_the_record() -> None:
    async def program(scene: Scene) -> None:
        await until_subscribed(scene.venue)
        scene.venue.trade("BTC_USDT")
        await asyncio.sleep(2)
        scene.venue.refuses = scene.venue.rest_away = True
        scene.venue.connection_of("BTC_USDT").cut()
        for _ in range(150):
            await asyncio.sleep(0.005)
            scene.venue.trade("BTC_USDT", pushed=False)
        scene.venue.refuses = scene.venue.rest_away = False
        await until_subscribed(scene.venue)
        scene.venue.trade("BTC_USDT")
        await asyncio.sleep(5)

    venue = FakeVenue()
    received = play(program, venue)
    lost = [(gap.lost_from, gap.lost_to) for gap in received.gaps("BTC_USDT") if gap.lost_from]
    trades = received.ticks(MarketDataKind.TRADE)
    # Then the one span reaches from the last trade before to the oldest that REST still reported
    assert lost == [(trades[0].timestamp, trades[1].timestamp)]
    numbers = [number for number, _ in received.prices()]
    assert numbers == [1, *range(numbers[1], 153)]
    assert 52 <= numbers[1] <= 53


def test_without_rest_held_trades_wait_ten_seconds_and_the_hole_is_named() -> None:
    async def program(scene: Scene) -> None:
        await until_subscribed(scene.venue)
        scene.venue.trade("BTC_USDT")
        await asyncio.sleep(1)
        scene.venue.rest_away = True
        scene.venue.connection_of("BTC_USDT").cut()
        await asyncio.sleep(0.005)
        scene.venue.trade("BTC_USDT", pushed=False)
        await until_subscribed(scene.venue)
        scene.venue.trade("BTC_USDT")
        await keep_speaking(scene.venue, "BTC_USDT", seconds=9)
        assert [number for number, _ in scene.received.prices()] == [1]
        await keep_speaking(scene.venue, "BTC_USDT", seconds=3)

    venue = FakeVenue()
    received = play(program, venue)
    assert received.prices() == [(1, "mexc"), (3, "mexc")]
    cleared = received.gaps("BTC_USDT")[-1]
    trades = venue.trades["BTC_USDT"]
    assert (cleared.lost_from, cleared.lost_to) == (trades[0]["t"], trades[2]["t"])


def test_while_a_socket_is_down_marks_and_trades_are_asked_of_rest() -> None:
    async def program(scene: Scene) -> None:
        await until_subscribed(scene.venue)
        scene.venue.trade("BTC_USDT")
        await asyncio.sleep(1)
        scene.venue.refuses = True
        scene.venue.connection_of("BTC_USDT").cut()
        await asyncio.sleep(1)
        scene.venue.trade("BTC_USDT", pushed=False)
        await asyncio.sleep(9)
        assert scene.engine.troubles()

    venue = FakeVenue()
    received = play(program, venue)
    marks = [mark for mark in received.ticks(MarketDataKind.MARK) if mark.source == "mexc:rest"]
    assert 4 <= len(marks) <= 6
    assert {(str(mark.mark_price), mark.backfill) for mark in marks} == {("11", False)}
    assert received.prices() == [(1, "mexc"), (2, "mexc:rest")]
    # And REST is asked for trades at no more than half of its limit
    asked = [at for at, path in venue.asked if path.startswith("deals/")]
    assert all(later - first >= 1.99 for first, later in zip(asked, asked[10:], strict=False))
    assert received.alerts("VENUE_AWAY") == ["BEGAN"]


def test_a_subscription_without_data_is_asked_for_again_then_reported_and_moved() -> None:
    async def program(scene: Scene) -> None:
        await until_subscribed(scene.venue)
        others = ("ETH_USDT", "SOL_USDT", "XRP_USDT")
        await keep_speaking(scene.venue, *others, seconds=70)
        assert scene.engine.troubles() == ["no data although subscribed: BTC_USDT"]
        assert len(scene.venue.connection_of("BTC_USDT").asked("deal")) >= 1
        scene.venue.mark("BTC_USDT")
        await keep_speaking(scene.venue, *others, seconds=3)
        assert scene.engine.troubles() == []

    # Given a symbol that shares its socket with one that speaks
    venue = FakeVenue(SYMBOLS)
    received = play(program, venue)
    asked = [one for one in venue.connections if "BTC_USDT" in one.asked("deal")]
    assert asked[0].asked("depth.full").count("BTC_USDT") == 3
    assert received.alerts("SYMBOL_SILENT") == ["BEGAN", "CLEARED"]
    assert len(asked) == 2, "it was not given another socket"


def test_old_and_crossed_books_are_left_out_and_a_crossed_one_subscribed_again() -> None:
    def book(venue: FakeVenue, version: int, *, bid: int = 9, ask: int = 11) -> None:
        data = {"bids": [[bid, 5, 1]], "asks": [[ask, 5, 1]], "version": version}
        venue.connection_of("BTC_USDT").push("depth.full", "BTC_USDT", data)

    async def program(scene: Scene) -> None:
        await until_subscribed(scene.venue)
        book(scene.venue, 7)
        book(scene.venue, 6)
        book(scene.venue, 7)
        for _ in range(5):
            book(scene.venue, 8, bid=12)
        await asyncio.sleep(1)
        assert scene.engine.refused == {"old_book": 2, "crossed_book": 5}
        assert scene.venue.connections[0].asked("depth.full").count("BTC_USDT") == 2
        # A new connection counts from wherever it likes
        scene.venue.connection_of("BTC_USDT").cut()
        await asyncio.sleep(0.1)
        await until_subscribed(scene.venue)
        book(scene.venue, 1)
        await asyncio.sleep(0.1)

    received = play(program, FakeVenue())
    books = received.ticks(MarketDataKind.DEPTH)
    assert [(str(one.bid), str(one.bid_size)) for one in books] == [("9", "0.5"), ("9", "0.5")]


def test_a_venue_that_is_away_at_the_start_is_said_and_found_later() -> None:
    async def program(scene: Scene) -> None:
        await asyncio.sleep(20)
        assert "MEXC REST detail: http://venue: no route" in scene.engine.troubles()[0]
        scene.venue.rest_away = False
        await until_subscribed(scene.venue)

    venue = FakeVenue(["X_USDT"])
    venue.rest_away = True
    received = play(program, venue)
    # X_USDT is not among the shipped contracts, so nothing was traded before the venue answered
    assert received.instruments() == [["X_USDT"]]
    assert received.alerts("VENUE_AWAY") == ["BEGAN"]
    assert received.alerts("CONTRACTS_STALE") == ["BEGAN", "CLEARED"]


def test_a_restarted_feed_goes_on_behind_its_journal() -> None:
    past: list[tuple[FakeVenue, Received]] = []

    async def first(scene: Scene) -> None:
        await until_subscribed(scene.venue)
        scene.venue.trade("BTC_USDT")
        scene.venue.trade("BTC_USDT")
        await asyncio.sleep(1)
        past.append((scene.venue, scene.received))

    async def second(scene: Scene) -> None:
        assert (
            scene.received.gaps("BTC_USDT") == []
            or scene.received.gaps("BTC_USDT")[0].phase.value == "BEGAN"
        )
        scene.venue.trades = past[0][0].trades
        await until_subscribed(scene.venue)
        scene.venue.mark("BTC_USDT")
        await asyncio.sleep(3)

    play(first, FakeVenue())
    venue, earlier = past[0]
    missed = dict(venue.trades["BTC_USDT"][-1], p=13, t=venue.trades["BTC_USDT"][-1]["t"] + 500)
    venue.trades["BTC_USDT"].append(missed)
    trades = [replace(trade) for trade in earlier.ticks(MarketDataKind.TRADE)]
    received = play(second, FakeVenue(), past=trades, last_clock_ms=NOW)
    # Then only what was missed is published, and the symbol was uncertain until then
    assert received.prices() == [(3, "mexc:rest")]
    assert [gap.phase.value for gap in received.gaps("BTC_USDT")] == ["BEGAN", "CLEARED"]


def test_when_too_much_waits_to_be_published_the_sockets_are_left_until_it_is_taken() -> None:
    waiting = [0]

    async def program(scene: Scene) -> None:
        await until_subscribed(scene.venue)
        scene.venue.trade("BTC_USDT")
        await asyncio.sleep(0.1)
        waiting[0] = MOST_WAITING + 1
        for _ in range(250):
            scene.venue.mark("BTC_USDT")
        await asyncio.sleep(10)
        assert all(one.closed for one in scene.venue.connections)
        waiting[0] = 0
        await until_subscribed(scene.venue)

    received = play(program, FakeVenue(), backlog=lambda: waiting[0])
    assert "more waits to be published" in received.gaps("BTC_USDT")[0].detail


def test_a_clock_that_is_off_is_measured_and_reported() -> None:
    async def program(scene: Scene) -> None:
        scene.venue.ahead_ms = -7_000
        await until_subscribed(scene.venue)
        scene.venue.mark("BTC_USDT")
        await asyncio.sleep(2)
        assert scene.engine.clock.offset_ms is not None
        assert abs(scene.engine.clock.offset_ms + 7_000) < 50
        assert "clock" in scene.engine.troubles()[0]

    received = play(program, FakeVenue())
    assert received.alerts("CLOCK_OFFSET") == ["BEGAN"]


def test_movers_are_chosen_again_and_one_stays_until_it_was_out_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.cdb_ws.live.instrument_provider.EVERY_S", 100)

    async def program(scene: Scene) -> None:
        await until_subscribed(scene.venue, "A_USDT", "B_USDT")
        scene.venue.movers = ["C_USDT", "A_USDT", "B_USDT"]
        for symbol in ("A_USDT", "B_USDT"):
            scene.venue.mark(symbol)
        await asyncio.sleep(101)
        assert set(scene.engine.feeds) == {"A_USDT", "B_USDT", "C_USDT"}
        await asyncio.sleep(101)
        assert set(scene.engine.feeds) == {"A_USDT", "C_USDT"}

    venue = FakeVenue(["A_USDT", "B_USDT", "C_USDT"])
    received = play(program, venue, symbols=(), top_n=2)
    assert received.instruments() == [["A_USDT", "B_USDT"], ["C_USDT"], []]
    assert received.universes()[-1] == ("A_USDT", "C_USDT")
    unsubscribed = [
        command["param"]["symbol"]
        for connection in venue.connections
        for _, command in connection.sent
        if command["method"] == "unsub.deal"
    ]
    assert "B_USDT" in unsubscribed
