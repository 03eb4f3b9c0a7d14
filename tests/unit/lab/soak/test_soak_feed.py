"""The feed soak: seeds pass, a seed is repeatable, and a broken feed fails."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from services.cdb_ws.integrity.uncertain_streams import UncertainStreams
from services.cdb_ws.symbols.symbol_ticks import SymbolTicks
from services.cdb_ws.trades.pending_trades import PendingTrades
from services.cdb_ws.trades.rest_window import Span
from services.cdb_ws.trades.trade_sequence import Entry, TradeSequence
from services.cdb_ws.trades.unconfirmed_trades import UnconfirmedTrades
from services.exchange_sim.faults.faults import Fault, FaultKind, Script
from services.kernel.events import Event
from services.lab.soak import feed_run, feed_soak
from services.lab.soak.feed_soak import Outcome
from services.lab.soak.virtual_time import StuckError

pytestmark = pytest.mark.unit

SEED = 3
A_LOSS = Script(
    (
        Fault(kind=FaultKind.REFUSE, at_s=60, for_s=45),
        Fault(kind=FaultKind.HTTP_5XX, at_s=60, for_s=45),
        Fault(kind=FaultKind.DROP, at_s=60),
    )
)
"""Longer than REST can report."""
A_SHORT_LOSS = Script((Fault(kind=FaultKind.DROP, at_s=60),))
MISSED_SPAN = Script((Fault(kind=FaultKind.HOLE, at_s=60, for_s=60, amount=0.3),))
UNREADABLE = Script((Fault(kind=FaultKind.MALFORMED, at_s=60, for_s=60, amount=0.3),))
UNREADABLE_WITHOUT_REST = Script(
    (*UNREADABLE.faults, Fault(kind=FaultKind.HTTP_5XX, at_s=60, for_s=60))
)
_LATER = feed_run.WALL_AT_START_MS + 60_000
DUPLICATES = Script((Fault(kind=FaultKind.DUPLICATE, at_s=30, for_s=30),))

Break = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[Script], None]:
    """Lets the exchange fail in one way, and ``cdb_ws`` live."""

    def use(faults: Script) -> None:
        monkeypatch.setattr(feed_run, "script_from_seed", lambda *_: faults)
        monkeypatch.setattr(feed_run, "RESTART_SHARE", 0.0)

    return use


def test_seeds_hold_the_promise() -> None:
    outcomes = [feed_soak.play(seed) for seed in range(2)]
    assert [outcome.faults for outcome in outcomes] == [()] * 2
    for outcome in outcomes:
        assert outcome.received > 500
        assert outcome.sent == outcome.received + outcome.in_gaps
        assert outcome.doubled == 0


def test_a_seed_gives_the_same_run_again() -> None:
    runs = [feed_run.play(SEED) for _ in range(2)]
    assert runs[0].notes == runs[1].notes
    assert runs[0].findings == runs[1].findings
    assert runs[0].script == runs[1].script


def test_a_lost_connection_is_noticed_and_what_rest_has_forgotten_lies_in_a_gap(
    script: Callable[[Script], None],
) -> None:
    script(A_LOSS)
    outcome = feed_soak.play(SEED)
    assert outcome.faults == ()
    assert outcome.gaps > 0
    assert outcome.in_gaps > 0
    assert outcome.backfilled > 0


@pytest.mark.parametrize("faults", [MISSED_SPAN, UNREADABLE, UNREADABLE_WITHOUT_REST])
def test_while_a_stream_is_not_whole_one_gap_is_open(
    faults: Script, script: Callable[[Script], None]
) -> None:
    script(faults)
    run = feed_run.play(SEED)
    assert run.findings.faults == []
    during = [note.text for note in run.notes if 60 < note.at_s < 120]
    assert sum(text.startswith("alert DATA_GAP") for text in during) == run.symbols
    assert not any("CLEARED" in text for text in during)


def _nothing_is_known(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TradeSequence, "_is_known", lambda *_: False)


def _nothing_is_lost(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TradeSequence, "lose", lambda _: None)


def _spans(change: Callable[[Span], Span]) -> Break:
    def patch_spans(patch: pytest.MonkeyPatch) -> None:
        lost = PendingTrades.lost

        def changed(self: PendingTrades, *arguments: Any, **named: Any) -> list[Span]:
            return [change(span) for span in lost(self, *arguments, **named)]

        patch.setattr(PendingTrades, "lost", changed)

    return patch_spans


def _no_spans(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PendingTrades, "lost", lambda *_, **__: [])


def _no_uncertain(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(UncertainStreams, "__contains__", lambda *_: False)


def _compared_with_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(UnconfirmedTrades, "breaks", lambda *_: [Span(feed_run.WALL_AT_START_MS, _LATER)])


def _not_held(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PendingTrades, "overdue", lambda *_: True)
    patch.setattr(PendingTrades, "lost", lambda *_, **__: [])


def _no_mark(patch: pytest.MonkeyPatch) -> None:
    trades = SymbolTicks.trades

    def unmarked(self: SymbolTicks, entries: Sequence[Entry]) -> list[Event]:
        return [replace(event, backfill=False) for event in trades(self, entries)]

    patch.setattr(SymbolTicks, "trades", unmarked)


@pytest.mark.parametrize(
    ("faults", "break_it", "says"),
    [
        pytest.param(DUPLICATES, _nothing_is_known, "doubled", id="no deduplication"),
        pytest.param(A_LOSS, _nothing_is_lost, "before what the open gap", id="losses overlooked"),
        pytest.param(
            A_LOSS,
            _spans(lambda span: Span(span.lost_from - 90_000, span.lost_to)),
            "too wide",
            id="bounds too wide",
        ),
        pytest.param(
            A_LOSS,
            _spans(lambda span: Span(span.lost_from + 10_000, span.lost_to)),
            "missing without a gap",
            id="bounds too narrow",
        ),
        pytest.param(A_LOSS, _no_spans, "before what the open gap", id="no bounds"),
        pytest.param(A_SHORT_LOSS, _no_mark, "backfill=False", id="no mark"),
        pytest.param(
            MISSED_SPAN,
            _no_uncertain,
            "no request 10000 ms later",
            id="missed trades are forgotten",
        ),
        pytest.param(
            MISSED_SPAN, _compared_with_nothing, "too wide", id="missed trades without bounds"
        ),
        pytest.param(A_SHORT_LOSS, _not_held, "before what the open gap", id="not held back"),
    ],
)
def test_a_broken_sequence_turns_it_red(
    faults: Script,
    break_it: Break,
    says: str,
    script: Callable[[Script], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script(faults)
    assert feed_soak.play(SEED).faults == ()
    break_it(monkeypatch)
    assert says in "\n".join(feed_soak.play(SEED).faults)


def test_what_breaks_is_a_fault_of_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def stuck(seed: int) -> feed_run.Run:
        raise StuckError(f"nothing happens in {seed}")

    monkeypatch.setattr(feed_run, "play", stuck)
    assert feed_soak.play(7).faults == ("stuck: nothing happens in 7",)


def test_outcomes_add_up_and_failing_seeds_are_named() -> None:
    outcomes = [outcome(1), outcome(2, faults=("trade missing",)), outcome(3)]
    figures = feed_soak.summary(outcomes, 1.5)
    assert figures["seeds"] == 3
    assert figures["failed"] == 1
    assert figures["sent"] == 30
    assert figures["received"] == 24
    assert figures["in_gaps"] == 6
    assert figures["doubled"] == 0
    assert figures["failing_seeds"] == [2]
    assert figures["failures"] == {"2": ["trade missing"]}
    assert figures["exchange_faults"] == {"drop": 3}


def test_many_processes_give_what_one_gives() -> None:
    received: list[int] = []
    together = feed_soak.run(range(2), 2, lambda one: received.append(one.seed))
    alone = feed_soak.run(range(2), 1, lambda _: None)
    assert sorted(received) == [0, 1]
    times = {"seconds", "seconds_per_seed", "slowest_seed_s"}
    assert {k: v for k, v in together.items() if k not in times} == {
        k: v for k, v in alone.items() if k not in times
    }


def outcome(seed: int, faults: tuple[str, ...] = ()) -> Outcome:
    return Outcome(
        seed=seed,
        sent=10,
        received=8,
        in_gaps=2,
        doubled=0,
        backfilled=3,
        gaps=1,
        restarts=0,
        begun={"drop": 1},
        faults=faults,
        seconds=0.5,
    )
