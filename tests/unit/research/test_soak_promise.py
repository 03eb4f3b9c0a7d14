"""The checker of the feed's promise: what it lets pass, and every way in which it turns red."""

from decimal import Decimal

import pytest

from services.kernel.events import ConditionName, ConditionPhase, Event, Side
from services.research.soak_leaks import ON_ITS_WAY_MS, OWED_MS, PROOF_MS
from services.research.soak_promise import (
    DOUBT_MS,
    NOTICE_MS,
    RETURN_MS,
    STALE_MS,
    TOLD_MS,
    check,
)
from services.research.soak_record import Findings, Loss, Made, Published, Record, Told
from tests.builders import BTC, ETH, NOON, condition, quote, trade

pytestmark = pytest.mark.unit

BEGAN, CLEARED = ConditionPhase.BEGAN, ConditionPhase.CLEARED


class Run:
    """A run as it goes: deals are made at seconds after noon, events published after them."""

    def __init__(self) -> None:
        self.made: list[Made] = []
        self.published: list[Published] = []
        self.losses: list[Loss] = []
        self.restarts: list[int] = []
        self.rest_away: list[tuple[int, int]] = []
        self.left_out: list[Made] = []
        self.told: list[Told] = []

    def make(self, *seconds: float, symbol: str = BTC, price: int = 100) -> None:
        for second in seconds:
            at = NOON + int(second * 1000)
            self.made.append(Made(symbol, at, Decimal(price), Decimal(2), Side.BUY))

    def leave_out(self, *seconds: float) -> None:
        times = {ms(second) for second in seconds}
        self.left_out += [made for made in self.made if made.timestamp in times]

    def rest_tells(self, oldest: float, newest: float, at: float) -> None:
        self.told.append(Told(BTC, ms(at), ms(at), ms(oldest), ms(newest)))

    def live(self, *seconds: float, late: float = 0.1, **fields: object) -> None:
        self.publish(*(deal(second, **fields) for second in seconds), at=seconds[-1] + late)

    def backfill(self, *seconds: float, at: float, source: str = "mexc:rest") -> None:
        self.publish(*(deal(second, source=source, backfill=True) for second in seconds), at=at)

    def publish(self, *events: Event, at: float) -> None:
        now = NOON + int(at * 1000)
        self.published += [Published(now, event) for event in events]

    def begin_gap(self, at: float, symbol: str | None = BTC) -> None:
        self.publish(gap(BEGAN, symbol=symbol), at=at)

    def clear_gap(self, at: float, *held: float, lost: tuple[float, float] | None = None) -> None:
        self.publish(*(deal(second) for second in held), gap(CLEARED, lost), at=at)

    def lose(self, at: float, symbol: str = BTC) -> None:
        self.losses.append(Loss(NOON + int(at * 1000), symbol))

    def findings(self) -> Findings:
        return check(
            Record(
                made=self.made,
                published=self.published,
                losses=self.losses,
                restarts=self.restarts,
                rest_away=self.rest_away,
                left_out=self.left_out,
                told=self.told,
            )
        )

    def faults(self) -> str:
        return "\n".join(self.findings().faults)


def deal(second: float, **fields: object) -> Event:
    fields = {"source": "mexc", "price": 100, "volume": 2, "side": Side.BUY} | fields
    return trade(at=NOON + int(second * 1000), **fields)  # type: ignore[arg-type]


def gap(
    phase: ConditionPhase, lost: tuple[float, float] | None = None, symbol: str | None = BTC
) -> Event:
    name = ConditionName.DATA_GAP
    bounds = {} if lost is None else dict(zip(("lost_from", "lost_to"), map(ms, lost), strict=True))
    return condition(name, phase, symbol=symbol, at=NOON, producer="cdb_ws", **bounds)


def ms(second: float) -> int:
    return NOON + int(second * 1000)


def a_run_with_a_hole() -> Run:
    """Deals 1 to 6; connection lost after 2, 3 and 4 are lost, 5 came by REST, 6 was held."""
    run = Run()
    run.make(1, 2, 3, 4, 5, 6)
    run.live(1)
    run.live(2)
    run.lose(2.5)
    run.begin_gap(2.5)
    run.backfill(5, at=6.5)
    run.clear_gap(6.5, 6, lost=(2, 5))
    return run


def test_every_deal_once_and_in_order_is_a_promise_held() -> None:
    run = Run()
    run.make(1, 2, 2, 3)
    run.live(1, 2, 2, 3)
    assert run.findings() == Findings(sent=4, received=4)


def test_what_lies_in_a_lost_span_is_counted_there() -> None:
    assert a_run_with_a_hole().findings() == Findings(
        sent=6, received=4, in_gaps=2, backfilled=1, gaps=1
    )


def test_the_promise_begins_with_the_first_deal_received() -> None:
    run = Run()
    run.make(1, 2, 3)
    run.live(2, 3)
    assert run.findings() == Findings(sent=2, received=2)


def test_a_symbol_that_was_never_heard_owes_nothing() -> None:
    run = Run()
    run.make(1, 2, symbol=ETH)
    assert run.findings() == Findings()


def test_a_missing_deal_is_a_fault() -> None:
    run = Run()
    run.make(1, 2, 3)
    run.live(1, 3)
    assert "missing without a gap" in run.faults()


def test_a_deal_twice_is_a_fault_and_two_equal_deals_are_none() -> None:
    run = Run()
    run.make(1, 2, 2)
    run.live(1, 2, 2)
    assert not run.faults()
    run.backfill(2, at=3)
    assert "doubled" in run.faults()
    assert run.findings().doubled == 1


@pytest.mark.parametrize("fields", [{"price": 101}, {"volume": 3}, {"side": Side.SELL}])
def test_a_deal_that_was_never_made_is_a_fault(fields: dict[str, object]) -> None:
    run = Run()
    run.make(1, 2)
    run.live(1, 2)
    run.live(2, **fields)
    assert "never made" in run.faults()


@pytest.mark.parametrize("lost", [(2, 3), (3.5, 4), (4, 5), None])
def test_a_span_that_does_not_cover_what_is_missing_is_a_fault(
    lost: tuple[float, float] | None,
) -> None:
    run = a_run_with_a_hole()
    run.published[-1] = replaced(run.published[-1], gap(CLEARED, lost))
    assert "missing without a gap" in run.faults()


@pytest.mark.parametrize("lost", [(0.5, 5), (1, 5), (2, 6), (2, 66)])
def test_a_span_around_a_received_deal_is_a_fault(lost: tuple[float, float]) -> None:
    run = a_run_with_a_hole()
    run.published[-1] = replaced(run.published[-1], gap(CLEARED, lost))
    assert "too wide" in run.faults()


def test_a_span_around_received_deals_in_which_nothing_is_missing_is_a_fault() -> None:
    run = Run()
    run.make(1, 2, 3)
    run.live(1, 2, 3)
    run.begin_gap(4)
    run.clear_gap(5, lost=(1, 3))
    assert "too wide" in run.faults()


def a_leak() -> Run:
    """Deals 1 to 7; 3 and 5 are left out, REST agreed until 2, and told of 7 on."""
    run = Run()
    run.make(1, 2, 3, 4, 5, 6, 7)
    run.leave_out(3, 5)
    run.live(1, 2)
    run.rest_tells(1, 2, at=2.2)
    for second in (4, 6, 7):
        run.live(second)
    run.rest_tells(7, 7, at=8)
    run.begin_gap(8)
    run.clear_gap(8, lost=(2, 7))
    return run


def test_a_leak_lies_between_two_comparisons() -> None:
    assert a_leak().findings() == Findings(sent=7, received=5, in_gaps=2, gaps=1)


def test_a_leak_that_begins_before_rest_had_shown_the_stream_whole_is_a_fault() -> None:
    run = a_leak()
    run.published[-1] = replaced(run.published[-1], gap(CLEARED, (1, 7)))
    assert "nothing was missing" in run.faults()


def test_a_leak_that_ends_after_rest_had_told_all_is_a_fault() -> None:
    run = a_leak()
    run.told[-1] = Told(BTC, ms(8), ms(8), ms(5), ms(7))
    assert "REST had told all" in run.faults()


def test_a_leak_where_the_exchange_left_nothing_out_is_a_fault() -> None:
    run = a_leak()
    run.left_out.clear()
    assert "its stream owed nothing" in run.faults()
    # But a stream that is so far behind REST is as good as one that leaks.
    run.published[-1] = Published(ms(3) + OWED_MS + 1, run.published[-1].event)
    assert not run.faults()


def test_a_whole_minute_is_lost_only_if_something_of_it_is_missing() -> None:
    run = Run()
    run.make(1, 2, 3, 61)
    run.live(1, 3)
    run.live(61)
    run.begin_gap(80)
    run.clear_gap(80, lost=(0, 59.999))
    assert run.findings() == Findings(sent=4, received=3, in_gaps=1, gaps=1)
    run.backfill(2, at=81)
    assert "nothing of this minute" in run.faults()


def test_a_span_that_ends_before_it_begins_is_a_fault() -> None:
    run = a_run_with_a_hole()
    run.published[-1] = replaced(run.published[-1], gap(CLEARED, (5, 2)))
    assert "no span" in run.faults()


def test_a_gap_that_never_clears_is_a_fault() -> None:
    run = a_run_with_a_hole()
    run.begin_gap(8)
    assert "never cleared" in run.faults()


def test_a_gap_that_begins_twice_is_a_fault_and_after_a_restart_is_none() -> None:
    run = a_run_with_a_hole()
    run.begin_gap(7)
    run.begin_gap(8)
    run.clear_gap(9)
    assert "inside another" in run.faults()
    run.restarts.append(ms(7.5))
    assert not run.faults()


def test_a_gap_that_clears_without_having_begun_is_a_fault() -> None:
    run = Run()
    run.clear_gap(1)
    run.make(1)
    assert "had not begun" in run.faults()


def test_a_gap_of_the_whole_market_is_one_of_each_symbol() -> None:
    run = Run()
    run.make(1, symbol=BTC)
    run.make(1, symbol=ETH)
    run.begin_gap(2, symbol=None)
    run.publish(gap(CLEARED, symbol=None), at=3)
    assert run.findings().gaps == 2


def test_live_deals_that_go_back_are_a_fault_and_late_ones_that_are_marked_none() -> None:
    run = Run()
    run.make(1, 2, 3)
    run.live(1, 3)
    run.backfill(2, at=3.5, source="mexc:late")
    assert not run.faults()
    unmarked = Run()
    unmarked.make(1, 2, 3)
    unmarked.live(1, 3)
    unmarked.live(2, late=2)
    assert "not marked" in unmarked.faults()


def test_ids_order_live_deals_of_one_millisecond() -> None:
    run = Run()
    run.make(1, 1)
    run.publish(deal(1, trade_id="8"), deal(1, trade_id="7"), at=2)
    assert "not marked" in run.faults()


@pytest.mark.parametrize(("source", "backfill"), [("mexc", True), ("mexc:rest", False)])
def test_a_source_and_a_mark_that_disagree_are_a_fault(source: str, backfill: bool) -> None:
    run = Run()
    run.make(1)
    run.live(1, source=source, backfill=backfill)
    assert f"from {source}" in run.faults()


def test_a_live_deal_that_is_stale_must_be_marked() -> None:
    run = Run()
    run.make(1)
    run.live(1, late=STALE_MS / 1000 + 1)
    assert "ms old" in run.faults()


def test_a_live_deal_before_the_hole_behind_it_was_filled_or_named_is_a_fault() -> None:
    run = a_run_with_a_hole()
    run.make(8, 9)
    run.begin_gap(7)
    run.live(9, late=0.2)
    run.backfill(8, at=9.4)
    run.clear_gap(10)
    assert not run.faults(), "REST was quicker than a frame that was overtaken"
    run = a_run_with_a_hole()
    run.make(8, 9)
    run.begin_gap(7)
    run.live(9)
    run.backfill(8, at=10)
    run.clear_gap(10)
    assert "before what the open gap is about" in run.faults()


@pytest.mark.parametrize("how", ["named", "left out", "overtaken"])
def test_a_stream_that_is_in_doubt_goes_on_behind_what_is_known(how: str) -> None:
    run = a_run_with_a_hole()
    run.make(8, 9)
    run.begin_gap(7)
    if how == "named":
        run.publish(gap(BEGAN, (6, 9)), at=9)
    if how == "left out":
        run.leave_out(8)
    run.live(9)
    if how != "named":
        run.backfill(8, at=10, source="mexc:late" if how == "overtaken" else "mexc:rest")
    run.clear_gap(30)
    assert not run.faults()


@pytest.mark.parametrize("younger", [0, 1])
def test_a_gap_that_clears_although_rest_told_of_a_deal_left_out_is_a_fault(younger: int) -> None:
    run = Run()
    run.make(1, 2, 3)
    run.leave_out(2)
    run.live(1, 3)
    run.begin_gap(4)
    # The youngest that REST tells may still be on their way.
    run.rest_tells(1, 2 + ON_ITS_WAY_MS / 1000 - younger, at=6)
    run.clear_gap(7)
    run.backfill(2, at=8)
    assert ("that its stream left out" in run.faults()) == (not younger)


@pytest.mark.parametrize(("asked", "cleared"), [(None, 20), (3 + PROOF_MS / 1000, 20)])
def test_after_a_leak_rest_must_be_asked_again_before_the_gap_clears(
    asked: float | None, cleared: float
) -> None:
    run = Run()
    run.make(1, 2, 4)
    run.leave_out(2)
    run.live(1, 4, late=-1)
    run.begin_gap(3)
    run.rest_tells(1, 4, at=3)
    run.backfill(2, at=3)
    if asked is not None:
        run.rest_tells(1, 4, at=asked)
    run.clear_gap(cleared)
    assert ("was not asked" in run.faults()) == (asked is None)
    # A new process subscribes anew, and fills the hole itself.
    run.restarts.append(ms(10))
    assert not run.faults()


def test_a_deal_found_late_without_a_gap_is_a_fault() -> None:
    run = Run()
    run.make(1, 2, 3)
    run.live(1, 3)
    run.backfill(2, at=2 + DOUBT_MS / 1000 + 1)
    assert "in doubt" in run.faults()


def test_while_rest_does_not_answer_nothing_can_be_found() -> None:
    run = Run()
    run.make(1, 2, 3)
    run.live(1, 3)
    run.backfill(2, at=2 + DOUBT_MS / 1000 + 1)
    run.rest_away = [(ms(0), ms(30))]
    assert not run.faults()
    run.rest_away = [(ms(0), ms(1))]
    assert "in doubt" in run.faults()
    # What it had told before must be found soon after it answers again
    run.rest_tells(1, 3, at=3.5)
    run.rest_away = [(ms(4), ms((DOUBT_MS - RETURN_MS) / 1000))]
    assert "in doubt" in run.faults()
    run.rest_away = [(ms(4), ms((DOUBT_MS - RETURN_MS) / 1000 + 4))]
    assert not run.faults()


def test_what_rest_told_must_be_noticed_soon() -> None:
    run = Run()
    run.make(1, 2, 3)
    run.live(1, 3)
    run.backfill(2, at=5 + TOLD_MS / 1000 + 1)
    assert not run.faults()
    run.rest_tells(1, 3, at=5)
    assert "in doubt" in run.faults()


def test_a_deal_found_soon_needs_no_gap() -> None:
    run = Run()
    run.make(1, 2, 3)
    run.live(1, 3)
    run.backfill(2, at=DOUBT_MS / 1000)
    assert not run.faults()


def test_a_lost_connection_without_a_gap_is_a_fault() -> None:
    run = Run()
    run.make(1, 2)
    run.live(1, 2)
    run.lose(3)
    run.begin_gap(3 + NOTICE_MS / 1000 + 1)
    run.clear_gap(9)
    assert "lost its connection" in run.faults()


def test_a_connection_lost_before_the_first_deal_promises_nothing() -> None:
    run = Run()
    run.lose(0)
    run.make(1)
    run.live(1)
    assert not run.faults()


def test_bars_put_into_a_span_are_no_deals() -> None:
    run = a_run_with_a_hole()
    run.backfill(3.5, at=6, source="mexc:klines_1m:synthetic")
    assert run.findings().received == 4
    assert not run.faults()


def test_a_crossed_book_is_a_fault() -> None:
    run = Run()
    run.make(1)
    run.publish(quote(bid=101, ask=100), at=1)
    assert "crossed" in run.faults()


def replaced(item: Published, event: Event) -> Published:
    return Published(item.at_ms, event)
