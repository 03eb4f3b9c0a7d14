"""A run on a recorded day decides what the run decided that was recorded."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import pytest

from services.cdb_ws.conditions import data_gap
from services.cdb_ws.sources.synthetic import START_MS, Synthetic
from services.kernel.events import (
    ConditionPhase,
    Event,
    OrderResult,
    OrderStatus,
    RiskDecision,
    codec,
)
from services.kernel.pipeline import Pipeline
from services.reports.decisions_hash import decisions_hash
from tests import builders
from tests.unit.cdb_ws.recording.recordings import record, replayed

pytestmark = pytest.mark.unit

TICKS = 15_000
SETTINGS = {"LOOKBACK_MINUTES": "2", "SIGNAL_THRESHOLD_PCT": "0.002"}


def market(run_id: str, seed: int) -> list[Event]:
    """Trades, quotes, marks and funding of several symbols, backfill first, and a hole."""
    events = [event for _, event in islice(Synthetic(run_id, seed, (), 2).steps(0), TICKS)]
    for place, phase in (
        (TICKS // 2, ConditionPhase.BEGAN),
        (TICKS // 2 + 900, ConditionPhase.CLEARED),
    ):
        at = events[place].timestamp
        events.insert(place, data_gap(run_id, at, phase, detail="away", unique=1))
    return events


def decided(run_id: str, events: Sequence[Event]) -> tuple[str, list[Event]]:
    start = builders.run_started(SETTINGS, run_id=run_id, at=START_MS)
    published = list(Pipeline().run([start, *events]))
    bodies: dict[str, list[str]] = defaultdict(list)
    for event in published:
        bodies[event.TOPIC].append(codec.encode(event).decode())
    return decisions_hash(bodies), published


@pytest.mark.parametrize("seed", [1, 2])
def test_a_recording_leads_to_the_same_decisions(tmp_path: Path, seed: int) -> None:
    events = market("first", seed)
    recorded, published = decided("first", events)
    record(tmp_path / "recording", *(events[at : at + 700] for at in range(0, len(events), 700)))

    again, _ = decided("again", replayed(tmp_path / "recording", run_id="again"))

    assert again == recorded
    kinds = [type(event) for event in published]
    assert kinds.count(RiskDecision) > 5
    filled = [e for e in published if isinstance(e, OrderResult) and e.status is OrderStatus.FILLED]
    assert filled


def test_without_its_holes_the_decisions_would_be_others(tmp_path: Path) -> None:
    events = market("first", 1)
    recorded, _ = decided("first", events)
    record(tmp_path / "recording", events)

    whole = [e for e in replayed(tmp_path / "recording", run_id="again") if e.TOPIC != "control"]
    details = events[0]

    assert decided("again", [details, *whole])[0] != recorded
