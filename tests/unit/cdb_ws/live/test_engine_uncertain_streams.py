"""Running streams that are not trusted: uncertain until REST confirms them, reported once."""

import asyncio

import pytest
from msgspec.structs import replace

from services.cdb_ws.integrity.uncertain_streams import QUIET_S
from services.cdb_ws.trades.minute_volumes import MINUTE_MS, SETTLED_MS
from services.kernel.events import MarketData, MarketDataKind
from services.venues.mexc.messages import Trade
from services.venues.mexc.rest import VenueAwayError
from tests.unit.cdb_ws.live.fake_venue import (
    NOW,
    FakeVenue,
    Received,
    Scene,
    play,
    until_subscribed,
)

pytestmark = pytest.mark.unit
BTC = "BTC_USDT"


async def subscribed(venue: FakeVenue) -> None:
    """Wait until the trades are subscribed, and speak."""
    async with asyncio.timeout(30):
        while not any(BTC in one.asked("depth.full") for one in venue.connections):
            await asyncio.sleep(0.05)
    venue.mark(BTC)
    venue.trade(BTC)
    await asyncio.sleep(2)


async def trade(
    venue: FakeVenue, seconds: float, *, left_out: int = 0, frame_lost: int = 0
) -> None:
    """Make a trade every half second; every so many is left out, or cut short on the way."""
    for number in range(int(seconds * 2)):
        pushed = not (left_out and number % left_out == 0)
        if frame_lost and number % frame_lost == 0:
            venue.trade(BTC, pushed=False)
            venue.connection_of(BTC).push_text('{"symbol":"BTC_')
        else:
            venue.trade(BTC, pushed=pushed)
        venue.mark(BTC)
        await asyncio.sleep(0.5)


def phases(received: Received) -> list[str]:
    return [gap.phase.value for gap in received.gaps(BTC) if gap.lost_from is None]


def test_a_stream_that_leaves_trades_out_is_uncertain_until_rest_shows_it_whole() -> None:
    states: list[list[str]] = []

    async def program(scene: Scene) -> None:
        await subscribed(scene.venue)
        await trade(scene.venue, 40, left_out=4)
        states.append(phases(scene.received))
        # When it is whole again, that must be seen for a while
        await trade(scene.venue, QUIET_S - 1)
        states.append(phases(scene.received))
        await trade(scene.venue, 15)

    venue = FakeVenue()
    received = play(program, venue)
    assert states == [["BEGAN"], ["BEGAN"]]
    assert phases(received) == ["BEGAN", "CLEARED"]
    assert received.alerts("DATA_GAP") == ["BEGAN", "CLEARED"]
    # Then it was subscribed again, its trades went on as news, and REST reported the others
    assert venue.connections[0].asked("deal").count(BTC) > 1
    numbers = [number for number, _ in received.prices()]
    assert sorted(numbers) == list(range(1, len(venue.trades[BTC]) + 1))
    sources = dict(received.prices())
    assert {sources[2], sources[6]} == {"mexc:rest"}
    assert {sources[3], sources[4], sources[5]} == {"mexc"}


def test_a_symbol_that_nobody_trades_is_not_uncertain_for_ever() -> None:
    async def program(scene: Scene) -> None:
        await subscribed(scene.venue)
        await trade(scene.venue, 3, left_out=3)
        for _ in range(100):
            scene.venue.mark(BTC)
            await asyncio.sleep(1)

    assert phases(play(program, FakeVenue())) == ["BEGAN", "CLEARED"]


@pytest.mark.parametrize("rest_away", [False, True])
def test_many_unreadable_frames_are_one_gap(rest_away: bool) -> None:
    async def program(scene: Scene) -> None:
        await subscribed(scene.venue)
        scene.venue.rest_away = rest_away
        await trade(scene.venue, 40, frame_lost=3)
        assert phases(scene.received) == ["BEGAN"]
        scene.venue.rest_away = False
        await trade(scene.venue, QUIET_S + 5)

    venue = FakeVenue()
    received = play(program, venue)
    assert phases(received) == ["BEGAN", "CLEARED"]
    assert received.alerts("DATA_GAP") == ["BEGAN", "CLEARED"]
    # Then each trade was published once, or lies between bounds that were reported
    numbers = {number for number, _ in received.prices()}
    assert len(numbers) == len(received.prices())
    spans = [(gap.lost_from, gap.lost_to) for gap in received.gaps(BTC) if gap.lost_from]
    for number, row in enumerate(venue.trades[BTC], 1):
        assert number in numbers or any(a <= row["t"] <= (b or 0) for a, b in spans if a), number
    assert bool(spans) == rest_away


def test_while_no_frame_can_be_read_rest_reports_the_trades() -> None:
    async def program(scene: Scene) -> None:
        await subscribed(scene.venue)
        for _ in range(300):
            scene.venue.trade(BTC, pushed=False)
            scene.venue.connection_of(BTC).push_text('{"symbol":"BTC_')
            await asyncio.sleep(0.02)
        assert len(scene.received.prices()) > 200
        assert scene.engine.recoveries.counts["given_up"] == 0

    received = play(program, FakeVenue())
    assert {source for _, source in received.prices()[1:]} == {"mexc:rest"}


def test_among_many_symbols_an_uncertain_one_does_not_wait_for_its_turn() -> None:
    async def program(scene: Scene) -> None:
        venue = scene.venue
        await subscribed(venue)
        for symbol in venue.details:
            venue.mark(symbol)
            venue.trade(symbol)
        await asyncio.sleep(60)
        venue.trade(BTC, pushed=False)
        for _ in range(60):
            for symbol in venue.details:
                venue.mark(symbol)
            venue.trade(BTC)
            await asyncio.sleep(1)
        assert phases(scene.received) == ["BEGAN", "CLEARED"]

    play(program, FakeVenue([BTC, *(f"S{number}_USDT" for number in range(60))]))


def test_what_was_given_up_without_rest_stays_uncertain_until_rest_agrees() -> None:
    async def program(scene: Scene) -> None:
        await subscribed(scene.venue)
        scene.venue.rest_away = True
        await trade(scene.venue, 1, frame_lost=2)
        await trade(scene.venue, 30)
        assert phases(scene.received) == ["BEGAN"]
        assert scene.engine.recoveries.counts["given_up"] == 1
        scene.venue.rest_away = False
        await trade(scene.venue, 8)
        assert phases(scene.received) == ["BEGAN", "CLEARED"]

    play(program, FakeVenue())


def test_an_answer_that_comes_when_all_was_given_up_is_compared_with_the_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def program(scene: Scene) -> None:
        venue, rest = scene.venue, scene.engine.rest
        original, answers, asked = rest.trades, asyncio.Event(), list[str]()

        async def trades(symbol: str) -> tuple[Trade, ...]:
            asked.append(symbol)
            if len(asked) > 1:
                raise VenueAwayError("only the first question is answered")
            await answers.wait()
            return await original(symbol)

        await subscribed(venue)
        venue.connection_of(BTC).cut()
        monkeypatch.setattr(rest, "trades", trades)
        await asyncio.sleep(0.5)
        assert asked == [BTC]
        await until_subscribed(venue)
        await trade(venue, 20)
        assert scene.engine.recoveries.counts["given_up"] == 1
        # It misses trades now, as the answer to the request without a stream shows
        await trade(venue, 5, left_out=5)
        answers.set()
        await asyncio.sleep(0.5)

    venue = FakeVenue()
    received = play(program, venue)
    assert len(received.prices()) == len(venue.trades[BTC])
    assert {source for _, source in received.prices()} == {"mexc", "mexc:rest"}


def test_an_answer_that_younger_ones_have_overtaken_is_not_compared_with_the_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def program(scene: Scene) -> None:
        venue, rest, counts = scene.venue, scene.engine.rest, scene.engine.recoveries.counts
        original, late, asked = rest.trades, asyncio.Event(), list[str]()

        async def trades(symbol: str) -> tuple[Trade, ...]:
            asked.append(symbol)
            first, rows = len(asked) == 1, await original(symbol)
            if first:
                await late.wait()
            return rows

        await subscribed(venue)
        venue.connection_of(BTC).cut()
        monkeypatch.setattr(rest, "trades", trades)
        await asyncio.sleep(0.5)
        assert asked == [BTC]
        await until_subscribed(venue)
        await trade(venue, 10)
        compared = counts["audits"]
        assert compared
        late.set()
        await asyncio.sleep(0.01)
        assert counts["audits"] == compared

    play(program, FakeVenue())


def test_without_rest_a_stream_that_lost_a_frame_is_trusted_after_a_minute() -> None:
    async def program(scene: Scene) -> None:
        await subscribed(scene.venue)
        scene.venue.rest_away = True
        await trade(scene.venue, 1, frame_lost=2)
        await trade(scene.venue, 65)
        assert phases(scene.received) == ["BEGAN"]
        await trade(scene.venue, 10)
        assert phases(scene.received) == ["BEGAN", "CLEARED"]

    play(program, FakeVenue())


def journal(seconds: float, *, until_ms: int) -> tuple[FakeVenue, list[MarketData]]:
    """A process that listened for a while, until so long before ``NOW``: its venue and trades."""

    async def program(scene: Scene) -> None:
        await subscribed(scene.venue)
        await trade(scene.venue, seconds)

    before, venue = FakeVenue(), FakeVenue()
    trades = play(program, before).ticks(MarketDataKind.TRADE)
    later_ms = trades[-1].timestamp + until_ms - NOW
    venue.goes_on(before, later_ms)
    return venue, [replace(tick, timestamp=tick.timestamp - later_ms) for tick in trades]


MINUTE = NOW // MINUTE_MS * MINUTE_MS
"""That of the restart, which happens 20 s after it began."""


def test_what_missed_trades_after_a_restart_without_rest_shows_in_that_minutes_volume() -> None:
    async def program(scene: Scene) -> None:
        venue = scene.venue
        venue.refuses = True
        await asyncio.sleep(8)
        venue.refuses, venue.rest_away = False, True
        await subscribed(venue)
        await trade(venue, 15, left_out=3)
        assert venue.now_ms() < MINUTE + MINUTE_MS
        await trade(venue, 70)
        # When REST answers again it has no missed trade
        venue.rest_away = False
        await trade(venue, 60)

    venue, past = journal(25, until_ms=8_000)
    assert past[0].timestamp < MINUTE < past[-1].timestamp
    received = play(program, venue, past=past, last_clock_ms=NOW)
    # Then the hole is named, and the minute too
    spans = [(gap.lost_from, gap.lost_to) for gap in received.gaps(BTC) if gap.lost_from]
    assert len(spans) == 2
    assert spans[1] == (MINUTE, MINUTE + MINUTE_MS - 1)


@pytest.mark.parametrize("reported_whole", [True, False])
def test_a_restart_alone_makes_no_minute_short(reported_whole: bool) -> None:
    async def program(scene: Scene) -> None:
        await subscribed(scene.venue)
        await trade(scene.venue, 120)
        minutes = scene.engine.feeds[BTC].minutes
        assert (minutes.agreed, minutes.short) == (2 if reported_whole else 1, 0)

    venue, past = journal(25, until_ms=8_000)
    if not reported_whole:  # the oldest live one that is left of its minute's is not the first
        rest = replace(past[0], backfill=True, source="mexc:rest")
        past = [rest, *(tick for tick in past[1:] if tick.timestamp > MINUTE + 5_000)]
    assert phases(play(program, venue, past=past, last_clock_ms=NOW)) == ["BEGAN", "CLEARED"]


@pytest.mark.parametrize("uncertain_symbols", [(BTC,), ()])
def test_missed_trades_before_a_restart_is_over_if_its_gap_had_cleared(
    uncertain_symbols: tuple[str, ...],
) -> None:
    async def program(scene: Scene) -> None:
        for _ in range(100):  # more than REST reports
            scene.venue.trade(BTC, pushed=False)
        await subscribed(scene.venue)

    venue, past = journal(25, until_ms=8_000)
    missed = replace(past[-4], backfill=True, source="mexc:rest", trade_id=None)
    past = [*past[:-4], *past[-3:-1], missed, past[-1]]
    received = play(
        program, venue, past=past, last_clock_ms=NOW, uncertain_symbols=uncertain_symbols
    )
    begins = next(gap.lost_from for gap in received.gaps(BTC) if gap.lost_from)
    assert begins == (missed if uncertain_symbols else past[-1]).timestamp


def test_while_rest_does_not_report_trades_a_minute_is_not_named_that_it_fills_later() -> None:
    async def program(scene: Scene) -> None:
        venue = scene.venue
        await subscribed(venue)
        await trade(venue, (MINUTE + 2.8 * MINUTE_MS - venue.now_ms()) / 1000)
        minutes = scene.engine.feeds[BTC].minutes
        assert minutes.agreed == 1
        # The end of minute 2 misses trades, and its bar is reported before its trades are
        venue.trades_away = True
        await trade(venue, 10, left_out=3)
        await trade(venue, (MINUTE + 3 * MINUTE_MS + SETTLED_MS - venue.now_ms()) / 1000 + 3)
        assert minutes.agreed == 1
        venue.trades_away = False
        await trade(venue, 15)
        assert (minutes.agreed, minutes.short) == (2, 0)

    received = play(program, FakeVenue())
    assert not any(gap.lost_from for gap in received.gaps(BTC))
