"""The sequence's promise, over random markets and random trouble.

Whatever is lost, doubled, delayed or cut: every trade is published once or lies in a lost span
whose bounds are right, and live trades never go back.
"""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.cdb_ws.trades.rest_window import WINDOW_LIMIT
from services.cdb_ws.trades.trade_sequence import State
from services.cdb_ws.trades.unconfirmed_trades import GRACE_MS
from services.kernel.events import Side
from services.venues.mexc.messages import Trade
from tests.unit.cdb_ws.trades.sequence_market import BEGINNING, Market

pytestmark = pytest.mark.unit

TRADE_CHANNEL = st.tuples(
    st.sampled_from([0, 0, 0, 1, 7, 400]),
    st.sampled_from([100, 100, 101]),
    st.sampled_from(list(Side)),
)
TRADES = st.lists(TRADE_CHANNEL, min_size=1, max_size=6)
TRADE = st.tuples(st.just("trade"), TRADES, st.integers(0, 8))
REST = st.tuples(st.just("rest"), st.sampled_from([0, 0, 1, 3]))
STEP = st.one_of(
    TRADE,
    TRADE,
    st.tuples(st.just("outage"), st.lists(TRADE_CHANNEL, max_size=6), st.booleans()),
    st.tuples(st.just("resume")),
    REST,
    REST,
    st.tuples(st.just("delay"), st.integers(1, 3)),
    st.tuples(st.just("double"), st.integers(1, 5)),
    st.tuples(st.just("give_up")),
    st.tuples(st.just("wait"), st.sampled_from([1, GRACE_MS])),
)
STEPS = st.lists(STEP, min_size=30, max_size=60)
SKIPPED = st.tuples(st.just("skip"), st.integers(1, 3))
SKIPPING_STEPS = st.lists(st.one_of(STEP, STEP, STEP, SKIPPED), min_size=30, max_size=60)


class Trouble:
    """A market whose socket loses, doubles and delays, as the steps say.

    A cut takes away the newest trades only: one that is delayed behind younger ones and then cut
    off is a hole in a living stream, which only a window can show.

    Args:
        limit: How many rows a REST window has.
        twins: Whether trades may agree in everything but the id. Which of several REST reports is
            unknown: their number comes right only with a window that covers them all.
    """

    def __init__(self, limit: int, *, twins: bool) -> None:
        self.market = Market(limit)
        self.twins = twins
        self.pipe: list[Trade] = []
        self.connected = True
        self.at = 0
        self.brought = 0
        self.pushed: list[Trade] = []
        self.since_resumed = 0

    def do(self, step: tuple[Any, ...]) -> None:
        name, *arguments = step
        action: Callable[..., None] = getattr(self, name)
        action(*arguments)

    def trade(self, trades: list[tuple[int, int, Side]], brought: int) -> None:
        for later, price, side in trades:
            self.at += later
            contracts = 1 if self.twins else len(self.market.made) + 1
            made = self.market.make(self.at, price=price, side=side, contracts=contracts)
            self.since_resumed += 1
            if self.connected:
                self.pipe.append(made)
        self.bring(brought)

    def outage(self, trades: list[tuple[int, int, Side]], polled: bool) -> None:
        self.lose()
        self.trade(trades[:3], 0)
        if polled:
            self.rest(0)
        self.trade(trades[3:], 0)

    def bring(self, count: int) -> None:
        frame, self.pipe = self.pipe[:count], self.pipe[count:]
        if not frame:
            return
        self.pushed += frame
        self.brought = max(self.brought, *(one.trade_id or 0 for one in frame))
        self.market.push(*frame)

    def delay(self, places: int) -> None:
        if self.pipe:
            self.pipe.insert(places, self.pipe.pop(0))

    def skip(self, count: int) -> None:
        self.pipe = self.pipe[count:]

    def double(self, back: int) -> None:
        # What was pushed before comes again; what never came does not begin to on a new connection.
        if self.connected and self.pushed:
            self.market.push(self.pushed[-back:][0])

    def lose(self) -> None:
        behind = [one for one in self.pipe if (one.trade_id or 0) < self.brought]
        self.pipe = []
        self.market.push(*behind)
        self.market.sequence.lose()
        self.connected = False

    def resume(self) -> None:
        if not self.connected:
            self.connected = True
            self.since_resumed = 0
            self.market.sequence.resume()

    def rest(self, ahead: int) -> None:
        # A window asked for after the resumption is at least as new as that.
        if self.market.sequence.state is State.LIVE:
            self.market.audit(ahead=ahead)
        else:
            newest = min(ahead, self.since_resumed) if self.connected else ahead
            self.market.recover(ahead=newest)

    def give_up(self) -> None:
        if self.market.sequence.state is not State.LIVE:
            self.market.take(self.market.sequence.give_up())

    def wait(self, ms: int) -> None:
        self.market.now_ms += ms

    def finish(self) -> list[str]:
        """Everything comes to rest; how the promise was broken."""
        self.resume()
        self.bring(len(self.pipe))
        for _ in range(3):
            if self.market.sequence.state is not State.LIVE:
                self.market.recover()
        self.give_up()
        assert self.market.sequence.state is State.LIVE
        self.market.audit()
        self.market.audit(after_ms=GRACE_MS)
        self.market.audit(after_ms=GRACE_MS)
        return self.market.breaches()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(STEPS, st.sampled_from([1, 2, 3, 5, WINDOW_LIMIT]))
def test_every_trade_comes_once_or_lies_in_a_lost_span(
    steps: list[tuple[Any, ...]], limit: int
) -> None:
    trouble = Trouble(limit, twins=limit == WINDOW_LIMIT)
    for step in steps:
        trouble.do(step)
    assert trouble.finish() == []


@settings(max_examples=100, deadline=None, derandomize=True)
@given(SKIPPING_STEPS)
def test_holes_in_a_living_stream_are_found_while_a_window_covers_them(
    steps: list[tuple[Any, ...]],
) -> None:
    trouble = Trouble(WINDOW_LIMIT, twins=True)
    for step in steps:
        trouble.do(step)
    assert trouble.finish() == []
    assert trouble.market.sequence.newest_ms <= BEGINNING + trouble.at
