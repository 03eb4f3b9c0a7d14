"""What the engine makes of the times that the venue sends."""

import asyncio

import pytest
from msgspec.structs import replace

from services.kernel.events import ConditionName, ConditionPhase, MarketDataKind
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
BTC = "BTC_USDT"
TRADE, MARK = MarketDataKind.TRADE, MarketDataKind.MARK


def offsets(received: Received, symbol: str | None = BTC) -> list[str]:
    return [
        gap.phase.value
        for gap in received.gaps(symbol)
        if gap.name is ConditionName.CLOCK_OFFSET and gap.symbol == symbol
    ]


def push(scene: Scene, shift_ms: int = 0) -> int:
    """A trade whose time is wrong by so much."""
    venue = scene.venue
    venue._ids += 1
    trade = {"p": 10 + venue._ids, "v": 1, "T": 1, "O": 1, "M": 1, "t": venue.now_ms() + shift_ms}
    venue.trades.setdefault(BTC, []).append(trade)
    venue.connection_of(BTC).push("deal", BTC, [trade | {"i": str(venue._ids)}])
    return venue._ids


def fair_price(scene: Scene, shift_ms: int) -> None:
    scene.venue.connection_of(BTC).push_frame(
        symbol=BTC, data={"symbol": BTC, "price": 10}, channel="push.fair.price",
        ts=scene.venue.now_ms() + shift_ms,
    )  # fmt: skip


async def spoken(scene: Scene, shift_ms: int = 0) -> None:
    await until_subscribed(scene.venue)
    push(scene, shift_ms)
    await keep_speaking(scene.venue, BTC, seconds=5)


def test_one_trade_50_s_ahead_is_refused_and_all_that_follow_are_live() -> None:
    """F1: it passed, and 39 of the next 40 became backfill."""

    async def program(scene: Scene) -> None:
        await spoken(scene)
        push(scene, 50_000)
        for _ in range(40):
            push(scene)
            await asyncio.sleep(0.1)
        assert scene.engine.refused["wrong_time"] == 1

    received = play(program, FakeVenue())
    trades = received.ticks(TRADE)[1:]
    assert [int(one.price or 0) - 10 for one in trades] == list(range(3, 43))
    assert not any(one.backfill for one in trades)
    assert offsets(received) == []


def test_a_trade_older_than_the_stale_timeout_is_backfill() -> None:
    async def program(scene: Scene) -> None:
        await spoken(scene)
        await keep_speaking(scene.venue, BTC, seconds=70)
        push(scene, -60_500)
        await asyncio.sleep(0.1)
        push(scene)
        await asyncio.sleep(0.1)

    trades = play(program, FakeVenue()).ticks(TRADE)
    assert [one.backfill for one in trades[-2:]] == [True, False]


def test_rest_trades_that_are_ahead_are_refused_too() -> None:
    async def program(scene: Scene) -> None:
        await spoken(scene)
        scene.venue.trades[BTC].append(
            {"p": 99, "v": 1, "T": 1, "O": 1, "M": 1, "t": scene.venue.now_ms() + 60_000}
        )
        for _ in range(30):
            scene.venue.trade(BTC)
            await asyncio.sleep(1)

    trades = play(program, FakeVenue()).ticks(TRADE)
    assert len(trades) == 31
    assert not any(one.price == 99 or one.backfill for one in trades)


@pytest.mark.parametrize("shift_ms", [50_000, -100_000])
def test_trades_whose_times_are_all_wrong_take_their_time_of_receipt(shift_ms: int) -> None:
    async def program(scene: Scene) -> None:
        await spoken(scene)
        for _ in range(30):
            push(scene, shift_ms)
            await asyncio.sleep(0.1)
        assert any("far from the venue's clock" in why for why in scene.engine.troubles())
        # When the times are right again
        for _ in range(20):
            push(scene)
            await asyncio.sleep(0.1)
        assert scene.engine.troubles() == []

    received = play(program, FakeVenue())
    # Then entries waited in between
    assert offsets(received) == ["BEGAN", "CLEARED"]
    assert received.alerts("CLOCK_OFFSET") == ["BEGAN", "CLEARED"]
    # And after the first few nothing was backfill, so stops went on working
    trades = received.ticks(TRADE)
    assert not any(one.backfill for one in trades[4:])
    assert all(abs(one.timestamp - NOW - 10_000) < 10_000 for one in trades if not one.backfill)


@pytest.mark.parametrize(
    ("shift_ms", "expected"),
    [(5_001, []), (5_000, [False]), (-60_001, [True]), (-2 * 86_400_000, [True]),
     (-2 * 86_400_000 - 1, [])],
)  # fmt: skip
def test_prices_beside_the_trades_are_judged_by_the_same_rule(
    shift_ms: int, expected: list[bool]
) -> None:
    async def program(scene: Scene) -> None:
        await spoken(scene)
        await keep_speaking(scene.venue, BTC, seconds=3)
        before = len(scene.received.ticks(MARK))
        fair_price(scene, shift_ms)
        await asyncio.sleep(0.1)
        assert [one.backfill for one in scene.received.ticks(MARK)[before:]] == expected

    play(program, FakeVenue())


def test_trades_refused_before_a_stream_was_found_wrong_return_as_backfill() -> None:
    """Four of ten were missing until REST had them, and the gap about them opened too late."""

    async def program(scene: Scene) -> None:
        await spoken(scene)
        for _ in range(9):
            push(scene)
            await asyncio.sleep(0.1)
        for _ in range(10):
            push(scene, 35_000)
            await asyncio.sleep(0.1)

    received = play(program, FakeVenue())
    trades = received.ticks(TRADE)
    assert [int(one.price or 0) - 10 for one in trades] == list(range(1, 21))
    assert [one.backfill for one in trades] == [False] * 10 + [True] * 4 + [False] * 6
    times = [one.timestamp for one in trades]
    assert times == sorted(times)
    assert times[-1] - times[10] == pytest.approx(900, abs=20)


def test_a_trade_that_stood_alone_with_its_time_does_not_return() -> None:
    async def program(scene: Scene) -> None:
        await spoken(scene)
        push(scene, 36_000)
        for _ in range(9):
            push(scene)
            await asyncio.sleep(0.1)
        push(scene, 60_000)
        for _ in range(10):
            push(scene, 35_000)
            await asyncio.sleep(0.1)

    trades = play(program, FakeVenue()).ticks(TRADE)
    refused = {2, 12}
    assert [int(one.price or 0) - 10 for one in trades] == [
        number for number in range(1, 23) if number not in refused
    ]


def test_a_trade_overtaken_while_the_venues_clock_is_behind_is_not_live() -> None:
    """It was published as live, because the newest trade was ahead of the venue's clock, too."""
    venue = FakeVenue()
    venue.ahead_ms = -17_000

    async def program(scene: Scene) -> None:
        await spoken(scene)
        for _ in range(10):
            push(scene)
            await asyncio.sleep(0.1)
        push(scene, -300)
        await asyncio.sleep(0.1)

    overtaken = play(program, venue).ticks(TRADE)[-1]
    assert (overtaken.source, overtaken.backfill) == ("mexc:late", True)


@pytest.mark.parametrize("shift_ms", [50_000, -75_000, 3 * 86_400_000])
def test_trades_are_live_again_as_soon_as_their_times_are_right_again(shift_ms: int) -> None:
    """Judged by the stream's wrong clock alone, the first right ones were refused."""

    async def program(scene: Scene) -> None:
        await spoken(scene)
        for _ in range(10):
            push(scene, shift_ms)
            await asyncio.sleep(0.1)
        before = len(scene.received.ticks(TRADE))
        for _ in range(10):
            push(scene)
            await asyncio.sleep(0.1)
        after = scene.received.ticks(TRADE)[before:]
        assert [one.backfill for one in after] == [False] * 10
        assert scene.engine.refused["wrong_time"] == (1 if shift_ms > 0 else 0)

    play(program, FakeVenue())


class WrongClock(FakeVenue):
    """Beside a machine whose clock is ahead of the true time."""

    def __init__(self, error_ms: int) -> None:
        super().__init__()
        self.error_ms, self.ahead_ms = error_ms, -error_ms

    def now_ms(self) -> int:
        return super().now_ms() + self.error_ms

    def set_clock(self) -> None:
        self.error_ms = self.ahead_ms = 0


@pytest.mark.parametrize("error_ms", [30_000, -30_000, 86_400_000, -86_400_000])
def test_where_this_machines_clock_is_wrong_entries_wait_and_ticks_take_their_receipt(
    error_ms: int,
) -> None:
    venue = WrongClock(error_ms)

    async def program(scene: Scene) -> None:
        await spoken(scene, -error_ms)
        for _ in range(20):
            push(scene, -error_ms)
            await asyncio.sleep(0.1)
        wrong = scene.received.ticks(TRADE)
        assert all(0 <= one.timestamp - error_ms - NOW < 60_000 for one in wrong)
        venue.set_clock()
        await keep_speaking(venue, BTC, seconds=20)
        for _ in range(20):
            push(scene)
            await asyncio.sleep(0.1)

    received = play(program, venue)
    assert offsets(received, None) == ["BEGAN", "CLEARED"]
    trades = received.ticks(TRADE)
    assert len(trades) == 41
    assert not any(one.backfill for one in trades)
    assert all(0 <= one.timestamp - NOW < 60_000 for one in trades[21:])


def test_a_slow_pong_is_no_clock_offset() -> None:
    async def program(scene: Scene) -> None:
        await spoken(scene)
        now = scene.venue.now_ms()
        scene.engine.clock.pong(now - 40_000, now - 40_000, now)
        assert abs(scene.engine.clock.offset_ms or 0) < 50
        # But one that cannot be explained by its way is
        scene.engine.clock.pong(now - 40_000, now - 70_000, now)
        assert scene.engine.clock.offset_ms == -30_000

    play(program, FakeVenue())


def test_what_an_earlier_process_reported_is_cleared_at_the_start() -> None:
    async def program(scene: Scene) -> None:
        await spoken(scene)

    received = play(program, FakeVenue(), clock_offsets=(None, BTC))
    cleared = [gap for gap in received.gaps() if gap.name is ConditionName.CLOCK_OFFSET]
    assert [(gap.symbol, gap.phase) for gap in cleared] == [
        (None, ConditionPhase.CLEARED),
        (BTC, ConditionPhase.CLEARED),
    ]


def test_a_restart_repeats_no_trade_that_was_published_with_its_time_of_receipt() -> None:
    """The next process took REST's trades for others: their times were those of the venue."""

    async def first(scene: Scene) -> None:
        await spoken(scene, 30_000)
        for _ in range(20):
            push(scene, 30_000)
            await asyncio.sleep(0.1)

    before = WrongClock(-30_000)
    past = play(first, before).ticks(TRADE)
    assert len(past) == 21
    assert all(one.venue_time == one.timestamp + 30_000 for one in past)

    async def second(scene: Scene) -> None:
        await spoken(scene, 30_000)
        await keep_speaking(scene.venue, BTC, seconds=3)

    after = WrongClock(-30_000)
    after.goes_on(before, 20_000)
    aged = [
        replace(one, timestamp=one.timestamp - 20_000, venue_time=(one.venue_time or 0) - 20_000)
        for one in past
    ]
    received = play(second, after, past=aged, last_clock_ms=NOW - 30_000)
    assert [int(one.price or 0) - 10 for one in received.ticks(TRADE)] == [22]
