"""The times of one live stream: single bad ones, and a clock that is wrong."""

import pytest

from services.cdb_ws.connections.stream_times import LEAST, WINDOW, StreamTimes
from services.cdb_ws.publishing.ticks import TickMaker
from services.kernel.events import MarketData, MarketDataKind
from services.runtime.intake.event_time import MOST_AHEAD_MS, OLDEST_BACKFILL_MS, Verdict

pytestmark = pytest.mark.unit
NOW = 1_700_000_000_000
BEHIND = 60_000
AHEAD = MOST_AHEAD_MS + 1
MAKER = TickMaker("run", "mexc", "BTC_USDT")


def tick(at: int, *, backfill: bool = False) -> MarketData:
    return MAKER.make(event_id="1", timestamp=at, kind=MarketDataKind.TRADE, backfill=backfill)


def judged(times: StreamTimes, *distances: int) -> list[Verdict]:
    return [times.judge(NOW + distance, NOW) for distance in distances]


def test_a_single_tick_ahead_is_refused_and_changes_nothing_for_the_others() -> None:
    times = StreamTimes(BEHIND)
    assert judged(times, 0, 0, 0, 50_000, 0, 0) == [
        *[Verdict.IN_TIME] * 3, Verdict.AHEAD, *[Verdict.IN_TIME] * 2
    ]  # fmt: skip
    assert (times.wrong, times.shift_ms) == (False, 0)


def test_a_tick_older_than_the_stale_timeout_is_published_as_backfill() -> None:
    times = StreamTimes(BEHIND)
    assert judged(times, -BEHIND, -BEHIND - 1) == [Verdict.IN_TIME, Verdict.BEHIND]
    made = [
        times.published(tick(NOW - age), NOW, NOW, clock_off=False) for age in (BEHIND, BEHIND + 1)
    ]
    assert [(one.backfill, one.timestamp) for one in made] == [
        (False, NOW - BEHIND),
        (True, NOW - BEHIND - 1),
    ]


def test_fewer_ticks_than_a_few_say_nothing_about_the_clock() -> None:
    times = StreamTimes(BEHIND)
    assert judged(times, *[AHEAD] * (LEAST - 1)) == [Verdict.AHEAD] * (LEAST - 1)
    assert not times.wrong
    assert judged(times, AHEAD) == [Verdict.IN_TIME]
    assert times.wrong


@pytest.mark.parametrize("shift", [2 * AHEAD, -BEHIND - 1, 86_400_000])
def test_when_most_ticks_fail_they_are_judged_by_their_usual_distance(shift: int) -> None:
    # Given a stream whose times were right
    times = StreamTimes(BEHIND)
    judged(times, *[0] * WINDOW)
    # When its clock changes
    majority = WINDOW // 2 + 1
    judged(times, *[shift] * (majority - 1))
    assert not times.wrong
    judged(times, shift)
    # Then the ticks are accepted, with their time of receipt
    assert (times.wrong, times.shift_ms) == (True, shift)
    latest, earliest = max(shift, 0) + MOST_AHEAD_MS, min(shift, 0)
    assert judged(times, shift) == [Verdict.IN_TIME]
    assert times.latest(NOW) == NOW + latest
    assert times.earliest(NOW) == NOW + earliest - OLDEST_BACKFILL_MS
    received = NOW + 7
    made = times.published(tick(NOW + shift), received, NOW, clock_off=False)
    assert (made.timestamp, made.backfill) == (received, False)
    # And backfill keeps its distance from the present
    old = times.published(tick(NOW + shift - 90_000), received, NOW, clock_off=False)
    assert (old.timestamp, old.backfill) == (received - 90_000, True)
    fetched = times.published(tick(NOW + shift - 9, backfill=True), received, NOW, clock_off=False)
    assert (fetched.timestamp, fetched.backfill) == (received - 9, True)
    # And so are those that are right again, until the clock is
    assert judged(times, 0, latest, latest + 1) == [Verdict.IN_TIME] * 2 + [Verdict.AHEAD]
    assert judged(times, earliest - BEHIND, earliest - BEHIND - 1) == [
        Verdict.IN_TIME, Verdict.BEHIND
    ]  # fmt: skip
    judged(times, *[0] * WINDOW)
    assert (times.wrong, times.shift_ms) == (False, 0)


def test_while_the_clocks_differ_a_tick_takes_its_time_of_receipt() -> None:
    times = StreamTimes(BEHIND)
    venue = NOW + 30_000
    made = times.published(tick(venue - 5), NOW, venue, clock_off=True)
    assert (made.timestamp, made.backfill) == (NOW, False)
    old = times.published(tick(venue - 5, backfill=True), NOW, venue, clock_off=True)
    assert (old.timestamp, old.backfill) == (NOW - 5, True)
    ahead = times.published(tick(venue + 5, backfill=True), NOW, venue, clock_off=True)
    assert ahead.timestamp == NOW, "never later than it was received"


def test_a_tick_that_is_right_is_published_as_it_is() -> None:
    times = StreamTimes(BEHIND)
    for one in (tick(NOW), tick(NOW - BEHIND - 1, backfill=True)):
        assert times.published(one, NOW, NOW, clock_off=False) is one
