"""What must not matter: the unit that prices are counted in."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.events import (
    Event,
    Instruments,
    MarketData,
    Order,
    OrderResult,
    RiskDecision,
    Signal,
    TradingStateChanged,
)
from services.kernel.pipeline import Pipeline
from tests.builders import of_type
from tests.unit.kernel.random_market import RandomMarket

pytestmark = [pytest.mark.unit, pytest.mark.risk]

PRICES = ("price", "bid", "ask", "mark_price", "index_price", "limit_price", "trigger_price")
QUANTITIES = ("volume", "quantity", "bid_size", "ask_size")


def scaled(event: Event, power: int) -> Event:
    """The same market counted in a coin that is worth ten to the ``power`` as much."""
    if isinstance(event, Instruments):
        contracts = tuple(
            msgspec.structs.replace(
                contract,
                tick_size=contract.tick_size.scaleb(power),
                lot_size=contract.lot_size.scaleb(-power),
            )
            for contract in event.instruments
        )
        return msgspec.structs.replace(event, instruments=contracts)
    if not isinstance(event, MarketData | Signal | Order):
        return event
    changed: dict[str, Any] = {}
    for names, by in ((PRICES, power), (QUANTITIES, -power)):
        for name in names:
            value = getattr(event, name, None)
            if isinstance(value, Decimal):
                changed[name] = value.scaleb(by)
    for name in ("bids", "asks"):
        levels = getattr(event, name, None)
        if levels is not None:
            changed[name] = tuple((p.scaleb(power), size.scaleb(-power)) for p, size in levels)
    return msgspec.structs.replace(event, **changed)


def story(events: list[Event], power: int) -> list[tuple[object, ...]]:
    """What was decided and done, counted in the plain unit again; money as it is."""
    told: list[tuple[object, ...]] = []
    for event in Pipeline().run(scaled(event, power) for event in events):
        if isinstance(event, RiskDecision):
            told.append(
                (event.verdict, event.reason, event.quantity.scaleb(power), event.equity,
                 [(layer.verdict, layer.value) for layer in event.layers])
            )  # fmt: skip
        elif isinstance(event, OrderResult):
            price = event.filled_price
            told.append(
                (event.status, event.reason, event.filled_quantity.scaleb(power), event.fees,
                 None if price is None else price.scaleb(-power), event.slippage_bps)
            )  # fmt: skip
        elif isinstance(event, TradingStateChanged):
            told.append((event.symbol, event.state, event.reason))
    return told


@settings(max_examples=20)
@given(seed=st.integers(0, 40), power=st.sampled_from((-4, -1, 1, 3, 6)))
def test_counting_in_another_unit_scales_every_result_exactly(seed: int, power: int) -> None:
    events = RandomMarket(seed).events(200)

    plain = story(events, 0)

    assert story(events, power) == plain


def test_the_stories_have_fills() -> None:
    events = RandomMarket(3).events(300)

    fills = [e for e in of_type(Pipeline().run(events), OrderResult) if e.filled_quantity]

    assert len(fills) > 5
