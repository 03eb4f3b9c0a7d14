"""What must hold on every market of bars: properties of the stages over generated ones."""

from decimal import Decimal
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.events import Event, OrderResult, Origin
from services.kernel.pipeline import Pipeline
from tests.builders import of_type
from tests.unit.kernel.bar_market import bar_events
from tests.unit.kernel.fill_drift import FillDrift
from tests.unit.kernel.stop_promises import StopPromises

pytestmark = [pytest.mark.unit, pytest.mark.risk]

LIVELY = {
    "LOOKBACK_MINUTES": "2",
    "SIGNAL_THRESHOLD_PCT": "0.002",
    "SIGNAL_COOLDOWN_SEC": "5",
    "MAX_TRADES_PER_HOUR": "1000",
    "MAX_CONSECUTIVE_LOSSES": "100",
    "STOP_LOSS_PCT": "0.005",
    "MAX_DAILY_DRAWDOWN_PCT": "0.20",
    "CIRCUIT_BREAKER_THRESHOLD_PCT": "0.30",
    "MAX_COST_SHARE": "1",
}
GUARDED = LIVELY | {"TAKE_PROFIT_PCT": "0.004", "TRAILING_STOP_PCT": "0.004"}
CHOICES = {"stops": LIVELY, "trailing": GUARDED}
seeds = st.integers(0, 60)
few = settings(max_examples=30)


@lru_cache(maxsize=128)
def record(seed: int, choice: str) -> tuple[Event, ...]:
    return tuple(Pipeline().run(bar_events(seed, CHOICES[choice])))


@few
@given(seed=seeds, choice=st.sampled_from(sorted(CHOICES)))
def test_nothing_fills_better_than_it_could_have(seed: int, choice: str) -> None:
    assert FillDrift().watch(record(seed, choice)).in_our_favour == 0


@few
@given(seed=seeds, choice=st.sampled_from(sorted(CHOICES)))
def test_no_entry_loses_more_at_its_stop_than_it_may(seed: int, choice: str) -> None:
    assert StopPromises().watch(record(seed, choice)).broken == []


def test_the_markets_have_fills_of_every_kind_and_gaps() -> None:
    drift = FillDrift()
    origins = set()
    for seed in range(6):
        for choice in CHOICES:
            drift.watch(record(seed, choice))
            origins |= {r.origin for r in of_type(record(seed, choice), OrderResult)}

    assert {Origin.SIGNAL, Origin.STOP_LOSS, Origin.TAKE_PROFIT} <= origins
    assert all(len(drift.drifts[kind]) > 20 for kind in ("entries", "exits", "stops"))
    assert Decimal(0) in drift.drifts["stops"]  # at the trigger
    assert max(drift.drifts["stops"]) > 10  # at an opening beyond it
