"""Whatever the bus can carry, no stage stops at it, and nothing it says is traded blindly."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.events import Event, MarketDataKind, Side, Verdict, codec
from services.kernel.pipeline import Pipeline
from tests import builders
from tests.builders import BTC, NOON
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]

digits = st.integers(1, 10**40)
exponents = st.integers(-24, 24)
absurd = st.builds(lambda number, power: Decimal(number).scaleb(power), digits, exponents)
sane = st.decimals("95", "105", places=2)
values = st.one_of(absurd, sane, sane)
rates = st.builds(lambda rate, sign: rate * sign, values, st.sampled_from((1, -1)))
not_finite = st.sampled_from([Decimal("NaN"), Decimal("Infinity"), Decimal("-Infinity")])


def tick(kind: MarketDataKind, **fields: Any) -> Event:
    return builders.tick(kind, BTC, NOON, **fields)


ticks = st.one_of(
    st.builds(lambda p, v: tick(MarketDataKind.TRADE, price=p, volume=v), values, values),
    st.builds(lambda b, a: tick(MarketDataKind.QUOTE, bid=b, ask=a), values, values),
    st.builds(lambda p: tick(MarketDataKind.MARK, mark_price=p), values),
    st.builds(
        lambda r, t: tick(MarketDataKind.FUNDING, funding_rate=r, next_funding_time=t),
        rates,
        st.integers(NOON - 10**9, NOON + 10**9),
    ),
    st.builds(lambda: tick(MarketDataKind.TRADE)),
    st.builds(lambda: tick(MarketDataKind.DEPTH)),
)
signals = st.builds(
    lambda side, price, quantity, reduce_only: builders.signal(
        BTC, side, price, quantity=quantity, reduce_only=reduce_only
    ),
    st.sampled_from(Side),
    st.one_of(values, rates, not_finite),
    st.one_of(st.none(), values, rates, not_finite),
    st.booleans(),
)
commands = st.sampled_from([builders.halt, builders.reset, builders.pause, builders.resume])
events = st.lists(
    st.one_of(ticks, ticks, signals, st.builds(lambda make: make(), commands)), max_size=30
)


@settings(max_examples=150)
@given(events)
def test_no_stage_stops_at_an_absurd_figure(events: list[Event]) -> None:
    pipeline = Pipeline()
    inputs: list[Event] = [
        builders.run_started({"MAX_TRADES_PER_HOUR": "1000"}),
        builders.instruments(builders.instrument(BTC)),
        builders.clock(NOON - 1),
        builders.trade(BTC, 100, NOON),
        builders.signal(BTC),
        builders.trade(BTC, 100, NOON + 100),
    ]
    for number, event in enumerate(events):
        at = NOON + number * 1000
        inputs += [builders.clock(at), _at(event, at + 1)]
    inputs.append(builders.clock(NOON + 86_400_000))

    for event in pipeline.run(inputs):
        assert codec.decode(codec.encode(event)) == event or "NaN" in codec.encode(event).decode()
    for stage in (pipeline.execution, pipeline.risk, pipeline.signal, pipeline.portfolio):
        snapshot = stage.snapshot()
        stage.restore(snapshot)
        assert stage.snapshot() == snapshot
        stage.status()


def _at(event: Event, timestamp: int) -> Event:
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    return type(event)(**fields | {"timestamp": timestamp})


def test_999_coins_are_not_bought() -> None:
    desk = Desk()
    desk.trade(64_000)

    decision = desk.signal(64_000, quantity=999)

    assert decision.verdict is Verdict.APPROVED
    assert decision.quantity == Decimal("0.156")
    desk.feed(builders.order(quantity=999, price=64_000, external=True, approved_by=None))
    assert desk.results[-1].reason == "NOT_APPROVED"


def test_an_order_by_hand_with_a_real_order_s_id_leaves_that_one_alone() -> None:
    desk = Desk()
    desk.enter(100)
    desk.exit_signal(100)
    open_exit = desk.orders[-1]

    desk.feed(builders.order(order_id=open_exit.order_id, external=True, approved_by=None))
    desk.trade(98)  # the stop: what the open exit closes is not ordered twice

    assert len(desk.orders) == 2
    assert desk.risk.state.pending.keys() == {open_exit.order_id}
