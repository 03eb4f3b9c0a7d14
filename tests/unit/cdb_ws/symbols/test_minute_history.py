"""Minute bars as backfilled trades."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from services.cdb_ws.symbols.minute_history import HISTORY_SOURCE, history
from services.kernel.instruments.contracts import generic_instrument
from services.kernel.market.bar_ticks import Bar

pytestmark = pytest.mark.unit

PEPE = replace(
    generic_instrument("PEPE_USDT", Decimal("0.000000001")), contract_size=Decimal(10_000_000)
)


def test_only_closed_minutes_of_the_span_become_history() -> None:
    bar = Bar(*map(Decimal, (1, 3, 1, 2, 8)))
    bars = tuple((minute * 60_000, bar) for minute in range(5))
    made = history("run", PEPE, bars, after=60_000, until=250_000)
    assert {tick.timestamp // 60_000 for tick in made} == {1, 2, 3}
    assert all(tick.backfill and tick.volume == Decimal(20_000_000) for tick in made)
    assert {tick.source for tick in made} == {HISTORY_SOURCE}
    assert [tick.bar for tick in made] == ["open", "inside", "inside", "inside"] * 3
    assert len({tick.event_id for tick in made}) == len(made) == 12


def test_a_minute_without_trades_makes_none() -> None:
    empty = Bar(*map(Decimal, (1, 1, 1, 1, 0)))
    assert history("run", PEPE, ((0, empty),), after=0, until=60_000) == []
