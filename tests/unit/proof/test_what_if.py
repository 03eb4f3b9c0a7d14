"""What would have been decided under other settings: the same as if they had been the settings."""

import json
from collections import Counter
from collections.abc import Mapping
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.events import Verdict
from services.kernel.pipeline import Pipeline
from services.kernel.settings.model import SettingError
from services.proof.what_if.difference import KEPT, Change, Compared, compare
from services.proof.what_if.rerun import Decided, parse_changes, recorded, rerun
from services.proof.what_if.tally import tally
from services.record.reading import RecordError
from tests.recorded import published
from tests.unit.kernel.random_market import LIVELY, RandomMarket

pytestmark = pytest.mark.unit

few = settings(max_examples=20, deadline=None)
STEPS = 120
MIRRORED = {Change.ONLY_BEFORE: Change.ONLY_AFTER, Change.ONLY_AFTER: Change.ONLY_BEFORE}

seeds = st.integers(0, 40)
values: dict[str, st.SearchStrategy[str]] = {
    "MAX_POSITION_PCT": st.sampled_from(("0.01", "0.05", "0.10")),
    "MAX_TOTAL_EXPOSURE_PCT": st.sampled_from(("0.10", "0.30", "0.80")),
    "MAX_TRADES_PER_HOUR": st.sampled_from(("1", "10", "1000")),
    "STOP_LOSS_PCT": st.sampled_from(("0.005", "0.02", "0.10")),
    "RISK_PER_TRADE_PCT": st.sampled_from(("0.0005", "0.002", "0.005")),
    "SIGNAL_THRESHOLD_PCT": st.sampled_from(("0.0005", "0.001", "0.01")),
    "MAX_DAILY_DRAWDOWN_PCT": st.sampled_from(("0.01", "0.05")),
}
changes = st.fixed_dictionaries({}, optional=values)


@cache
def record_of_market(seed: int, more: tuple[tuple[str, str], ...] = ()) -> tuple[bytes, ...]:
    """A record of a random market that ran with these settings from the beginning."""
    market = RandomMarket(seed, settings=LIVELY | dict(more))
    return tuple(published(event) for event in Pipeline().run(market.events(STEPS)))


def with_settings(seed: int, changed: Mapping[str, str]) -> tuple[bytes, ...]:
    return record_of_market(seed, tuple(sorted(changed.items())))


def differing(before: Decided, after: Decided) -> Compared:
    found = compare(before, after)
    assert found.same + found.differ == len(before.decisions.keys() | after.decisions.keys())
    assert len(found.differences) == min(found.differ, KEPT)
    times = [difference.decision.timestamp for difference in found.differences]
    assert times == sorted(times)
    return found


@few
@given(seed=seeds)
def test_without_a_change_nothing_differs_from_the_record(seed: int) -> None:
    bodies = record_of_market(seed)
    before, after = recorded(bodies), rerun(bodies, {})
    assert before.decisions, "a market in which something is decided"
    assert differing(before, after).differ == 0
    assert tally(before) == tally(after)
    assert list(before.signals) == list(after.signals)


@few
@given(seed=seeds, changed=changes)
def test_a_rerun_decides_what_a_run_with_these_settings_would_have(
    seed: int, changed: dict[str, str]
) -> None:
    imagined = rerun(record_of_market(seed), parse_changes(f"{n}={v}" for n, v in changed.items()))
    real = recorded(with_settings(seed, changed))
    assert differing(real, imagined).differ == 0
    assert tally(real) == tally(imagined)


@few
@given(seed=seeds, changed=changes)
def test_the_comparison_has_no_favourite_side(seed: int, changed: dict[str, str]) -> None:
    ours, theirs = recorded(record_of_market(seed)), rerun(record_of_market(seed), changed)
    there, back = differing(ours, theirs), differing(theirs, ours)
    assert there.same == back.same
    assert there.by_change == {MIRRORED.get(c, c): n for c, n in back.by_change.items()}


@few
@given(seed=seeds, changed=changes)
def test_every_decision_of_a_side_is_in_its_figures(seed: int, changed: dict[str, str]) -> None:
    decided = rerun(record_of_market(seed), changed)
    found = tally(decided)
    own = sum(found.own_exits.values())
    assert found.signals == found.entries.total + found.exits.total + found.undecided
    assert found.decisions == found.entries.total + found.exits.total + own
    assert found.decisions == len(decided.decisions)
    assert found.orders == found.entries.passed + found.exits.passed + own
    assert found.signals >= len(decided.signals), "those by hand are decided too"


def test_the_figures_of_a_side_are_json() -> None:
    reported = tally(recorded(record_of_market(1))).to_json()
    assert json.loads(json.dumps(reported)) == reported
    rejected = sum(reported["entries"]["rejected"].values())
    assert reported["entries"]["approved"] + reported["entries"]["trimmed"] + rejected > 0


def test_risks_own_exits_are_not_approved_signals() -> None:
    bodies = [body for seed in range(6) for body in record_of_market(seed)]
    decided = recorded(bodies)
    found = tally(decided)
    decisions = decided.decisions.values()
    assert sum(found.own_exits.values()) > 0, "a market with stops that were reached"
    assert found.own_exits == Counter(d.origin.value for d in decisions if d.signal_id is None)
    assert found.entries.approved == sum(
        not d.reduce_only and d.verdict is Verdict.APPROVED for d in decisions
    )
    assert found.exits.approved == sum(
        d.reduce_only and d.signal_id is not None and d.verdict is Verdict.APPROVED
        for d in decisions
    )


def test_a_tighter_limit_shows_in_the_kind_of_change() -> None:
    bodies = record_of_market(1)
    found = differing(recorded(bodies), rerun(bodies, {"MAX_TRADES_PER_HOUR": "1"}))
    assert found.by_change[Change.VERDICT] > 0
    first = found.differences[0]
    assert first.before is not None
    assert first.after is not None
    assert first.before.causation_id == first.after.causation_id


def test_the_same_events_with_a_figure_that_differs_are_reported_apart() -> None:
    bodies = record_of_market(2)
    found = differing(recorded(bodies), rerun(bodies, {"MAX_TOTAL_EXPOSURE_PCT": "0.80"}))
    assert found.by_change[Change.FIGURES] > 0, "the limit itself is on every decision"


def test_an_event_that_cannot_be_read_is_shown() -> None:
    with pytest.raises(RecordError, match=r"cannot be read .*no event"):
        rerun([*record_of_market(1)[:3], b"no event"], {})


def test_progress_is_reported_at_the_end() -> None:
    reported: list[int] = []
    bodies = record_of_market(1)
    recorded(bodies, reported.append)
    assert reported == [len(bodies)]


# -- NAME=VALUE -----------------------------------------------------------------------------------


def test_settings_are_read_as_the_system_reads_them() -> None:
    given_texts = ["MAX_POSITION_PCT=0.05", " STOP_LOSS_PCT = 0.01 "]
    assert parse_changes(given_texts) == {"MAX_POSITION_PCT": "0.05", "STOP_LOSS_PCT": "0.01"}
    assert parse_changes([]) == {}


def test_the_last_of_two_values_holds() -> None:
    assert parse_changes(["STOP_LOSS_PCT=0.01", "STOP_LOSS_PCT=0.02"]) == {"STOP_LOSS_PCT": "0.02"}


@pytest.mark.parametrize(
    ("assignment", "complaint"),
    [
        ("STOP_LOSS_PCT", "'STOP_LOSS_PCT' is no setting; write NAME=VALUE"),
        ("", "'' is no setting; write NAME=VALUE"),
        ("STOP_LOSS_PCT=", "'STOP_LOSS_PCT=' is no setting; write NAME=VALUE"),
        ("STOP_LOSS_PCT= ", "is no setting; write NAME=VALUE"),
        ("=0.05", "no trading setting"),
        ("STOP_LOSS=0.05", "STOP_LOSS is no trading setting; `claire config` lists them"),
        ("stop_loss_pct=0.05", "stop_loss_pct is no trading setting"),
        ("CDB_SPEED=max", "CDB_SPEED is no trading setting"),
        ("STOP_LOSS_PCT=much", "STOP_LOSS_PCT"),
        ("STOP_LOSS_PCT=nan", "STOP_LOSS_PCT"),
        ("STOP_LOSS_PCT=0.5", "STOP_LOSS_PCT"),
        ("STOP_LOSS_PCT=0.0001", "STOP_LOSS_PCT"),
        ("MAX_TRADES_PER_HOUR=1.5", "MAX_TRADES_PER_HOUR"),
    ],
)
def test_what_is_no_setting_is_refused_with_its_name(assignment: str, complaint: str) -> None:
    with pytest.raises(SettingError) as refused:
        parse_changes(["MAX_POSITION_PCT=0.05", assignment])
    assert complaint in str(refused.value)
