"""The bus is no queue: stages read the one total order at their own pace. What must hold anyway."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.events import (
    Event,
    Order,
    OrderResult,
    OrderStatus,
    Origin,
    PortfolioSnapshot,
    RiskDecision,
    Signal,
    TradingStateChanged,
)
from services.kernel.execution.stage import ExecutionStage
from services.kernel.portfolio.stage import PortfolioStage
from services.kernel.risk.stage import RiskStage
from services.kernel.settings.model import TradingSettings
from services.kernel.stage import Stage
from services.kernel.strategies.stage import SignalStage
from tests.builders import of_type
from tests.unit.kernel.random_market import LIVELY, RandomMarket

pytestmark = [pytest.mark.unit, pytest.mark.risk]


class Bus:
    """One total order; each stage has a cursor in it, and a seeded scheduler chooses who is next.

    Args:
        seed: Of the scheduler.
        haste: How often an input is published before the stages have caught up, 0 to 99.
    """

    def __init__(self, seed: int, haste: int) -> None:
        self.execution, self.risk = ExecutionStage(), RiskStage()
        self.signal, self.portfolio = SignalStage(), PortfolioStage()
        self.stages: tuple[Stage, ...] = (
            *(self.execution, self.risk, self.signal, self.portfolio),
        )
        self.order: list[Event] = []
        self._cursors = dict.fromkeys(self.stages, 0)
        self._random = Random(seed)  # noqa: S311  repeatable on purpose
        self._haste = haste

    def run(self, inputs: Iterator[Event]) -> list[Event]:
        waiting = next(inputs, None)
        while True:
            behind = [stage for stage in self.stages if self._cursors[stage] < len(self.order)]
            if waiting is not None and (not behind or self._random.randrange(100) < self._haste):
                self._publish(waiting)
                waiting = next(inputs, None)
            elif behind:
                self._step(self._random.choice(behind))
            else:
                return self.order

    def _step(self, stage: Stage) -> None:
        event = self.order[self._cursors[stage]]
        self._cursors[stage] += 1
        if event.TOPIC in stage.topics:
            for output in stage.handle(event):
                self._publish(output)

    def _publish(self, event: Event) -> None:
        self.order.append(msgspec.structs.replace(event, seq=len(self.order) + 1))


few = settings(max_examples=30)
WORKING = (OrderStatus.PENDING, OrderStatus.PARTIALLY_FILLED)
seeds, schedules, hastes = (
    st.integers(0, 30),
    st.integers(0, 1000),
    st.sampled_from((2, 10, 40, 80)),
)


@few
@given(seed=seeds, schedule=schedules, haste=hastes)
def test_whatever_overtakes_what_the_books_are_right(seed: int, schedule: int, haste: int) -> None:
    bus = Bus(schedule, haste)

    events = bus.run(iter(RandomMarket(seed).events(150)))

    folds = [stage.portfolio.checksum() for stage in (bus.execution, bus.risk, bus.portfolio)]
    assert len(set(folds)) == 1
    assert not [e for e in of_type(events, TradingStateChanged) if e.reason == "CHECKSUM_MISMATCH"]
    assert bus.execution.state.unconfirmed == {}
    assert bus.execution.state.approvals == {}
    assert bus.execution.state.open == {}
    assert bus.risk.state.pending == {}
    assert not bus.risk.state.awaiting_release


@few
@given(seed=seeds, schedule=schedules, haste=hastes)
def test_whatever_overtakes_what_every_order_ends_once(
    seed: int, schedule: int, haste: int
) -> None:
    events = Bus(schedule, haste).run(iter(RandomMarket(seed).events(150)))

    orders = Counter(order.order_id for order in of_type(events, Order))
    results = of_type(events, OrderResult)
    assert Counter(r.order_id for r in results if r.status not in WORKING) == orders
    decided = Counter(d.signal_id for d in of_type(events, RiskDecision) if d.signal_id)
    assert decided == Counter(signal.signal_id for signal in of_type(events, Signal))


@few
@given(seed=seeds, schedule=schedules, haste=hastes)
def test_whatever_overtakes_what_exits_only_reduce_and_entries_stay_within_the_guard(
    seed: int, schedule: int, haste: int
) -> None:
    limit = TradingSettings.parse(LIVELY)[0].max_position_pct * Decimal("1.1")
    positions: dict[str, Decimal] = {}
    equity = Decimal(100_000)

    for event in Bus(schedule, haste).run(iter(RandomMarket(seed).events(150))):
        if isinstance(event, PortfolioSnapshot):
            equity = max(event.equity, Decimal(90_000))
        if not isinstance(event, OrderResult) or not event.filled_quantity:
            continue
        before = positions.get(event.symbol, Decimal(0))
        after = before + event.filled_quantity * event.side.sign
        positions[event.symbol] = after
        if event.reduce_only:
            assert abs(after) < abs(before)
            assert after * before >= 0
        else:
            assert event.filled_price is not None
            assert abs(after) * event.filled_price <= limit * equity * Decimal("1.2")


@few
@given(seed=seeds, schedule=schedules, haste=hastes)
def test_whatever_overtakes_what_no_exit_is_ordered_for_more_than_is_open(
    seed: int, schedule: int, haste: int
) -> None:
    """At every place in the order: open exits of a symbol never exceed its position."""
    position: Counter[str] = Counter()
    exits: dict[str, Order] = {}
    bus = Bus(schedule, haste)
    seen: list[str] = []
    for event in bus.run(iter(RandomMarket(seed).events(150))):
        if isinstance(event, Order) and event.reduce_only and event.origin is not Origin.EXTERNAL:
            exits[event.order_id] = event
            seen.append(event.order_id)
        if isinstance(event, OrderResult):
            if event.status not in WORKING:
                exits.pop(event.order_id, None)
            position[event.symbol] += event.filled_quantity * event.side.sign  # type: ignore[assignment]

    assert exits == {}
    assert len(seen) == len(set(seen))
