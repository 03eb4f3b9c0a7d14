"""Bars: what they hold, what closes them, and what late trades and gaps do to them."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.market.bars import GRACE_MS, KEPT, Bar, BarBuilder, interval_ms
from tests.builders import BTC, MINUTE_MS, NOON, Number

pytestmark = [pytest.mark.unit, pytest.mark.signal]

END = NOON + MINUTE_MS
PROOF = END + GRACE_MS


def builder(**fields: object) -> BarBuilder:
    return BarBuilder(symbol=BTC, length_ms=MINUTE_MS, **fields)  # type: ignore[arg-type]


def add(
    bars: BarBuilder, after_ms: int, price: Number, volume: Number = 1, *, backfill: bool = False
) -> None:
    bars.add(NOON + after_ms, Decimal(price), Decimal(volume), backfill)


def prices(bar: Bar) -> tuple[object, ...]:
    return bar.open, bar.high, bar.low, bar.close


def test_a_bar_holds_the_first_highest_lowest_and_last_price_and_the_volume() -> None:
    bars = builder()
    for after_ms, price, volume in [(0, 100, 1), (9, 103, 2), (30_000, 98, 3), (59_999, 101, 4)]:
        add(bars, after_ms, price, volume)

    (bar,) = bars.close(PROOF)

    assert prices(bar) == (100, 103, 98, 101)
    assert bar.volume == 10
    assert (bar.trades, bar.start, bar.end) == (4, NOON, END)
    assert (bar.revision, bar.complete, bar.backfilled) == (0, True, 0)


@pytest.mark.parametrize(("now", "closed"), [(END, 0), (PROOF - 1, 0), (PROOF, 1)])
def test_a_bar_closes_on_proof_that_its_span_is_over(now: int, closed: int) -> None:
    bars = builder()
    add(bars, 0, 100)

    assert len(bars.close(now)) == closed


def test_a_trade_of_the_next_minute_does_not_close_the_bar_before_the_grace_is_over() -> None:
    bars = builder()
    add(bars, 0, 100)
    add(bars, MINUTE_MS, 110)
    assert bars.close(END) == []

    add(bars, MINUTE_MS - 1, 105)  # out of order, still in time

    assert [prices(bar) for bar in bars.close(PROOF)] == [(100, 105, 100, 105)]


def test_each_bar_is_handed_out_once_and_in_order() -> None:
    bars = builder()
    for minute in range(3):
        add(bars, minute * MINUTE_MS, 100 + minute)

    closed = bars.close(PROOF + MINUTE_MS)

    assert [bar.open for bar in closed] == [100, 101]
    assert bars.close(PROOF + MINUTE_MS) == []
    assert [bar.open for bar in bars.close(PROOF + 2 * MINUTE_MS)] == [102]


def test_a_minute_without_a_trade_has_no_bar() -> None:
    bars = builder()
    add(bars, 0, 100)
    add(bars, 5 * MINUTE_MS, 100)

    closed = bars.close(PROOF + 5 * MINUTE_MS)

    assert [bar.start for bar in closed] == [NOON, NOON + 5 * MINUTE_MS]


def test_the_first_bar_is_incomplete_unless_it_was_seen_from_its_start() -> None:
    bars = builder()
    add(bars, 1, 100)
    add(bars, MINUTE_MS + 30_000, 100)

    assert [bar.complete for bar in bars.close(PROOF + MINUTE_MS)] == [False, True]


def test_a_late_trade_revises_its_bar_which_is_handed_out_again() -> None:
    bars = builder()
    add(bars, 10, 100)
    (first,) = bars.close(PROOF)
    assert bars.revisions() == []

    add(bars, 5, 90, backfill=True)
    add(bars, 59_999, 120, backfill=True)
    (revised,) = bars.revisions()

    assert (first.revision, revised.revision, revised.backfilled) == (0, 1, 2)
    assert prices(revised) == (90, 120, 90, 120)
    assert bars.revisions() == []


def test_of_trades_at_one_time_the_first_opens_and_the_last_closes() -> None:
    bars = builder()
    for price in (100, 101, 99):
        add(bars, 7, price)

    (bar,) = bars.close(PROOF)

    assert prices(bar) == (100, 101, 99, 99)


def test_a_backfilled_trade_may_make_a_bar_that_was_missing() -> None:
    bars = builder()
    add(bars, 0, 100)
    add(bars, 2 * MINUTE_MS, 102)
    bars.close(PROOF + 2 * MINUTE_MS)

    add(bars, MINUTE_MS + 5, 101, backfill=True)

    (bar,) = bars.close(PROOF + 2 * MINUTE_MS + 1)
    assert (bar.start, bar.revision, bar.backfilled) == (NOON + MINUTE_MS, 0, 1)
    assert [bar.start for bar in bars.recent] == [NOON + m * MINUTE_MS for m in range(3)]


def test_while_a_gap_is_open_nothing_is_proven() -> None:
    bars = builder()
    add(bars, 0, 100)
    bars.held = True
    assert bars.close(PROOF + MINUTE_MS) == []

    add(bars, 30_000, 105, backfill=True)
    bars.held = False

    (bar,) = bars.close(PROOF + MINUTE_MS)
    assert bar.high == 105
    assert (bar.revision, bar.complete) == (0, True)


def test_a_revision_waits_for_the_end_of_a_gap_too() -> None:
    bars = builder()
    add(bars, 0, 100)
    bars.close(PROOF)
    bars.held = True
    add(bars, 1, 105, backfill=True)
    assert bars.revisions() == []

    bars.held = False
    assert [bar.revision for bar in bars.revisions()] == [1]


@pytest.mark.parametrize(
    ("lost_from", "lost_to", "complete"),
    [
        (NOON - 2, NOON - 1, [True, True]),
        (NOON - 1, NOON, [False, True]),
        (END - 1, END, [False, False]),
        (END, END + MINUTE_MS, [True, False]),
        (END + MINUTE_MS, END + 2 * MINUTE_MS, [True, True]),
    ],
)
def test_bars_in_which_deals_were_lost_say_so(
    lost_from: int, lost_to: int, complete: list[bool]
) -> None:
    bars = builder()
    add(bars, 0, 100)
    add(bars, MINUTE_MS, 100)

    bars.lose(lost_from, lost_to)

    assert [bar.complete for bar in bars.close(PROOF + MINUTE_MS)] == complete


def test_a_finalised_bar_in_which_deals_were_lost_is_revised() -> None:
    bars = builder()
    add(bars, 0, 100)
    bars.close(PROOF)

    bars.lose(NOON, NOON + 5)

    assert [(bar.revision, bar.complete) for bar in bars.revisions()] == [(1, False)]


def test_in_a_long_gap_the_oldest_bars_are_closed_as_they_are_so_that_memory_stays_bounded() -> (
    None
):
    bars = builder(held=True)
    closed: list[Bar] = []
    for minute in range(200):
        add(bars, minute * MINUTE_MS, 100, backfill=True)
        closed += bars.close(NOON + minute * MINUTE_MS)

    assert len(bars.recent) <= KEPT + 1
    assert [bar.start for bar in closed] == [NOON + m * MINUTE_MS for m in range(len(closed))]
    assert not any(bar.complete for bar in closed)


def test_only_the_last_bars_are_kept_and_older_trades_are_counted() -> None:
    bars = builder()
    for minute in range(KEPT + 9):
        add(bars, minute * MINUTE_MS, 100)
        bars.close(NOON + minute * MINUTE_MS)

    add(bars, 0, 1, backfill=True)

    assert len(bars.recent) <= KEPT + 1
    assert (bars.too_late, bars.revised) == (1, False)


trades = st.lists(
    st.tuples(
        st.integers(0, 10 * MINUTE_MS),
        st.decimals(1, 200, places=2),
        st.decimals("0.1", 9, places=1),
    ),
    min_size=1,
    max_size=60,
    unique_by=lambda trade: trade[0],  # the order of trades at one time is the order they came in
)


@given(trades=trades, data=st.data())
def test_whatever_the_order_in_which_trades_come_the_last_revisions_are_the_same(
    trades: list[tuple[int, Decimal, Decimal]], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(trades))
    in_order, mixed = builder(), builder()
    latest: dict[int, Bar] = {}
    for after_ms, price, volume in sorted(trades):
        add(in_order, after_ms, price, volume)
    for after_ms, price, volume in shuffled:
        add(mixed, after_ms, price, volume, backfill=True)
        handed_out = [*mixed.close(NOON + data.draw(st.integers(0, 12 * MINUTE_MS)))]
        for bar in [*handed_out, *mixed.revisions()]:
            assert bar.start not in latest or bar.revision > latest[bar.start].revision
            latest[bar.start] = bar
    over = NOON + 12 * MINUTE_MS
    latest |= {bar.start: bar for bar in [*mixed.close(over), *mixed.revisions()]}

    expected = in_order.close(over)

    assert [prices(bar) for bar in expected] == [prices(latest[start]) for start in sorted(latest)]
    assert [bar.volume for bar in expected] == [latest[start].volume for start in sorted(latest)]
    assert sum(bar.trades for bar in latest.values()) == len(trades)


@given(trades=trades, cut=st.integers(0, 60))
def test_a_restored_builder_goes_on_as_if_it_had_never_stopped(
    trades: list[tuple[int, Decimal, Decimal]], cut: int
) -> None:
    bars = builder()
    for after_ms, price, volume in trades[:cut]:
        add(bars, after_ms, price, volume)
    bars.close(NOON + 5 * MINUTE_MS)

    restored = msgspec.json.decode(msgspec.json.encode(bars), type=BarBuilder)

    for each in (bars, restored):
        for after_ms, price, volume in trades[cut:]:
            add(each, after_ms, price, volume)
    over = NOON + 12 * MINUTE_MS
    assert restored.close(over) == bars.close(over)
    assert restored.revisions() == bars.revisions()


@pytest.mark.parametrize(
    ("text", "milliseconds"), [("1s", 1000), ("1m", 60_000), ("15m", 900_000), ("2h", 7_200_000)]
)
def test_the_length_of_a_bar_is_a_number_and_a_unit(text: str, milliseconds: int) -> None:
    assert interval_ms(text) == milliseconds


@pytest.mark.parametrize("text", ["", "m", "0m", "1", "1w", "-1m", "1.5m", "\u0661m"])
def test_what_is_no_length_of_a_bar_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(ValueError, match="is no length of a bar; use 1m, 5m, 1h or 1d"):
        interval_ms(text)
