"""The fold of what a new run goes on with, event by event."""

from typing import Any

import pytest
from msgspec.structs import replace

from services.cdb_paper_runner.orchestration import Orchestration
from services.kernel.events import (
    Alert,
    AlertLevel,
    AlertPhase,
    Event,
    OpeningAccount,
    OpeningPause,
    OpeningStance,
    OpeningStreak,
    Side,
    Signal,
    TradingState,
    Verdict,
    topics,
)
from services.kernel.risk.state.risk_state import HOUR_MS
from tests import builders as a

pytestmark = [pytest.mark.unit, pytest.mark.risk]

PAUSED = {"retry_ms": 30_000, "reason": "PRICE_JUMP"}


def told(account: OpeningAccount) -> dict[str, Any]:
    return {name: getattr(account, name) for name in ("entries_ms", "streaks", "pauses", "stances")}


def fed(*events: Event, opening: OpeningAccount | None = None) -> Orchestration:
    runner = Orchestration()
    settings = {"MAX_CONSECUTIVE_LOSSES": "2", "LOSS_COOLDOWN_SEC": "600"}
    for event in (a.run_started(settings, opening=opening), a.clock(), *events):
        runner.handle(event)
    return runner


def carried(*events: Event, opening: OpeningAccount | None = None) -> OpeningAccount:
    runner = fed(*events, opening=opening)
    return runner.book.carried_over(runner.fold.portfolio)


def decided(asked: Signal, at: int = a.NOON, verdict: Verdict = Verdict.APPROVED) -> Event:
    order = replace(a.order(at=at), signal_id=asked.signal_id)
    return replace(a.decision(order, verdict=verdict), reduce_only=asked.reduce_only)


def lost(at: int, price: int = 90) -> list[Event]:
    return [a.result(a.BTC, Side.BUY, 1, 100, at), a.result(a.BTC, Side.SELL, 1, price, at)]


def test_an_entry_counts_for_an_hour_from_the_clock_at_which_it_was_asked_for() -> None:
    asked = a.signal()
    first = (asked, a.clock(a.NOON + 1000), decided(asked))

    assert carried(*first).entries_ms == (HOUR_MS - 1000,)
    assert carried(*first, a.clock(a.NOON + HOUR_MS - 1)).entries_ms == (1,)
    assert carried(*first, a.clock(a.NOON + HOUR_MS)).entries_ms == ()


@pytest.mark.parametrize("verdict", [Verdict.APPROVED, Verdict.TRIMMED])
def test_every_entry_that_was_approved_counts(verdict: Verdict) -> None:
    one, other = a.signal(), replace(a.signal(), external=True)

    account = carried(one, decided(one, verdict=verdict), other, decided(other, verdict=verdict))

    assert account.entries_ms == (HOUR_MS, HOUR_MS)


def test_what_was_refused_and_what_leaves_is_no_entry() -> None:
    entry, leaving = a.signal(), a.exit_signal()

    refused = decided(entry, verdict=Verdict.REJECTED)

    assert carried(entry, refused, leaving, decided(leaving)).entries_ms == ()


def test_losses_in_a_row_and_their_rest_are_carried() -> None:
    assert carried(*lost(a.NOON)).streaks == (OpeningStreak(symbol=a.BTC, losses=1),)
    two = [*lost(a.NOON), a.clock(a.NOON + 5000), *lost(a.NOON + 5000)]
    assert carried(*two).streaks == (OpeningStreak(symbol=a.BTC, losses=2, rest_ms=600_000),)
    later = [*two, a.clock(a.NOON + 700_000)]
    assert carried(*later).streaks == (OpeningStreak(symbol=a.BTC, losses=2, rest_ms=0),)
    assert carried(*two, *lost(a.NOON + 5000, price=110)).streaks == ()


def test_a_part_that_is_closed_is_no_loss_yet() -> None:
    parts = [a.result(a.BTC, Side.BUY, 2, 100), a.result(a.BTC, Side.SELL, 1, 90)]

    assert carried(*parts).streaks == ()


def paused(phase: AlertPhase, at: int, **fields: Any) -> Event:
    alert = Alert(
        **a.envelope(topics.RISK, at),
        level=AlertLevel.WARNING,
        code="CIRCUIT_BREAKER",
        message="pauses",
        symbol=a.BTC,
        layer=2,
        phase=phase,
        count=1,
        context={"reason": "SPREAD_ANOMALY"},
    )
    return replace(alert, **fields)


@pytest.mark.parametrize(
    ("passed", "retry_ms", "failed"),
    [
        (0, 60_000, 0),
        (59_999, 1, 0),
        (60_000, 60_000, 1),
        (150_000, 30_000, 2),
        (900_000, 60_000, 9),
    ],
)
def test_a_pause_goes_on_to_its_next_retry(passed: int, retry_ms: int, failed: int) -> None:
    began = paused(AlertPhase.BEGAN, a.NOON + 400)

    account = carried(began, a.clock(a.NOON + 400 + passed))

    assert account.pauses == (
        OpeningPause(
            symbol=a.BTC, reason="SPREAD_ANOMALY", retry_ms=retry_ms, failed_retries=failed
        ),
    )


def test_a_pause_begins_once_and_ends_when_its_alert_clears() -> None:
    began, again = paused(AlertPhase.BEGAN, a.NOON), paused(AlertPhase.ONGOING, a.NOON + 61_000)
    cleared = paused(AlertPhase.CLEARED, a.NOON + 70_000)

    (pause,) = carried(began, again, a.clock(a.NOON + 61_000)).pauses
    assert (pause.retry_ms, pause.failed_retries) == (59_000, 1)
    assert carried(began, cleared).pauses == ()


def test_only_risk_s_own_alert_about_a_symbol_is_a_pause() -> None:
    for fields in ({"producer": topics.WS}, {"code": "DATA_STALE"}, {"symbol": None}):
        assert carried(paused(AlertPhase.BEGAN, a.NOON, **fields)).pauses == ()


def test_what_is_quarantined_is_not_paused_beside_that() -> None:
    quarantined = a.trading_state(TradingState.HALTED, symbol=a.BTC)

    account = carried(paused(AlertPhase.BEGAN, a.NOON), quarantined)

    assert (account.quarantined, account.pauses) == ((a.BTC,), ())


def test_what_the_strategy_entered_is_open_until_it_leaves_and_then_it_rests() -> None:
    entered = a.signal(a.ETH, Side.SELL)
    left = a.exit_signal(a.ETH, Side.BUY, at=a.NOON + 500)

    assert carried(entered).stances == (OpeningStance(symbol=a.ETH, side=Side.SELL),)
    assert carried(entered, left).stances == (OpeningStance(symbol=a.ETH, rest_ms=60_500),)
    assert carried(entered, left, a.clock(a.NOON + 60_500)).stances == ()
    again = carried(entered, left, a.signal(a.ETH, Side.BUY))
    assert again.stances == (OpeningStance(symbol=a.ETH, side=Side.BUY, rest_ms=60_500),)


def test_a_partial_exit_and_a_signal_by_hand_change_no_side() -> None:
    entered = a.signal(a.ETH, Side.SELL)
    part = a.exit_signal(a.ETH, Side.BUY, quantity=1)
    by_hand = replace(a.exit_signal(a.ETH, Side.BUY), external=True)

    assert carried(entered, part, by_hand).stances == (OpeningStance(symbol=a.ETH, side=Side.SELL),)


FULL = a.account(
    entries_ms=(1_000, HOUR_MS),
    streaks=(
        OpeningStreak(symbol=a.BTC, losses=1),
        OpeningStreak(symbol=a.ETH, losses=2, rest_ms=5_000),
    ),
    pauses=(OpeningPause(symbol=a.SOL, **PAUSED),),  # type: ignore[arg-type]
    stances=(
        OpeningStance(symbol=a.BTC, side=Side.BUY),
        OpeningStance(symbol=a.ETH, rest_ms=7_000),
    ),
)


def test_before_the_first_clock_all_of_it_remains() -> None:
    runner = Orchestration()
    runner.handle(a.run_started(opening=FULL))

    account = runner.book.carried_over(runner.fold.portfolio)

    assert told(account) == told(FULL)


def test_what_remains_counts_from_the_new_run_s_first_clock() -> None:
    assert told(carried(opening=FULL)) == told(FULL)

    later = carried(a.clock(a.NOON + 5_000), opening=FULL)

    assert later.entries_ms == (HOUR_MS - 5_000,)
    assert [streak.rest_ms for streak in later.streaks] == [0, 0]
    assert later.pauses[0].retry_ms == 25_000
    assert [stance.rest_ms for stance in later.stances] == [0, 2_000]


def test_a_restart_of_the_orchestrator_finds_all_of_it() -> None:
    runner = fed(a.signal(a.ETH), paused(AlertPhase.BEGAN, a.NOON), *lost(a.NOON), opening=FULL)
    again = Orchestration()

    again.restore(runner.snapshot())

    assert again.book.carried_over(again.fold.portfolio) == runner.book.carried_over(
        runner.fold.portfolio
    )
