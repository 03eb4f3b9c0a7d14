"""All stages in one process: the order that the bus reproduces, runs, and the checks of folds."""

from decimal import Decimal
from itertools import pairwise

import msgspec
import pytest

from services.kernel.events import (
    Alert,
    AlertLevel,
    Condition,
    Event,
    OrderStatus,
    Origin,
    PortfolioSnapshot,
    Side,
    TradingState,
    Verdict,
)
from services.kernel.events.topics import CONSUMES, STAGE_ORDER
from services.kernel.execution.stage import ExecutionStage
from services.kernel.pipeline import Pipeline
from services.kernel.portfolio import views
from services.kernel.portfolio.checksums import (
    ACCOUNT_FIGURES,
    FIGURES_KEPT,
    KEPT,
    PortfolioChecksums,
)
from services.kernel.portfolio.stage import PortfolioStage
from services.kernel.reasons import Reason
from services.kernel.risk.stage import RiskStage
from services.kernel.strategies.stage import SignalStage
from tests import builders
from tests.builders import BTC, ETH, NOON
from tests.unit.kernel.desk import Desk

pytestmark = pytest.mark.unit

EAGER = {"LOOKBACK_MINUTES": "1", "SIM_LATENCY_MS": "0"}


def rise_and_fall() -> list[Event]:
    """A minute at 100, up to 102, later back to 99: one entry, one exit."""
    events: list[Event] = [
        builders.run_started(EAGER),
        builders.instruments(builders.instrument(BTC)),
    ]
    prices = [100] * 62 + [102] * 30 + [99] * 10
    for second, price in enumerate(prices):
        at = NOON + second * 1000
        events += [builders.clock(at), builders.trade(BTC, price, at + 1, 1000)]
    return events


def test_a_market_leads_to_trades() -> None:
    published = list(Pipeline().run(rise_and_fall()))

    kinds = [type(event).__name__ for event in published if event.causation_id]
    assert kinds.count("Signal") >= 2
    assert kinds.count("OrderResult") == 2


def test_outputs_enter_by_their_cause_then_execution_risk_and_core() -> None:
    published = list(Pipeline().run(rise_and_fall()))

    seq_of = {event.event_id: event.seq for event in published}
    ranks = {name: rank for rank, name in enumerate((*STAGE_ORDER, "cdb_paper_runner"))}
    turns = [
        (seq_of[event.causation_id], ranks[event.producer])
        for event in published
        if event.causation_id is not None
    ]
    by_feed: list[list[tuple[int, int]]] = [[]]
    for event in published:
        if event.causation_id is None:
            by_feed.append([])
        else:
            by_feed[-1].append(turns.pop(0))
    assert all(group == sorted(group) for group in by_feed)


def test_sequence_numbers_are_dense_in_total_and_per_topic() -> None:
    published = list(Pipeline().run(rise_and_fall()))

    assert [event.seq for event in published] == list(range(1, len(published) + 1))
    for topic in {event.TOPIC for event in published}:
        numbers = [event.topic_seq for event in published if topic == event.TOPIC]
        assert numbers == list(range(1, len(numbers) + 1))


def test_what_one_tick_leads_to_is_all_published_before_the_next() -> None:
    published = list(Pipeline().run(rise_and_fall()))
    causes = {event.event_id: event for event in published}

    root = 0
    for event in published:
        if event.causation_id is None:
            root = event.seq
            continue
        origin = event
        while origin.causation_id is not None:
            origin = causes[origin.causation_id]
        assert origin.seq == root


def test_an_event_is_yielded_when_it_is_published_and_handled_after_it() -> None:
    pipeline = Pipeline()

    first = next(pipeline.feed(builders.run_started(EAGER)))

    assert (first.seq, first.topic_seq) == (1, 1)


@pytest.mark.parametrize("stage", [ExecutionStage, RiskStage, SignalStage])
def test_stages_read_the_topics_of_the_table(
    stage: type[ExecutionStage | RiskStage | SignalStage],
) -> None:
    assert stage.topics == CONSUMES[stage.name]


# The orchestrator's fold


def snapshots(events: list[Event]) -> list[PortfolioSnapshot]:
    return builders.of_type(events, PortfolioSnapshot)


def test_a_snapshot_is_published_at_each_minute_s_first_clock_and_at_the_end() -> None:
    desk = Desk(now=NOON + 30_000)
    first = snapshots(desk.events)
    desk.events.clear()
    desk.wait(29)
    assert snapshots(desk.events) == []

    desk.wait(120)
    minutes = snapshots(desk.events)
    desk.feed(builders.run_ended(desk.now))

    assert len(first) == 1
    assert [snapshot.timestamp for snapshot in minutes] == [NOON + 60_000, NOON + 120_000]
    assert len(snapshots(desk.events)) == 3


def test_a_snapshot_tells_the_account() -> None:
    desk = Desk({"SIM_HALF_SPREAD_PCT": "0", "SIM_IMPACT_PCT": "0"})
    desk.enter(100)
    desk.trade(101)
    desk.wait(60)

    snapshot = snapshots(desk.events)[-1]

    assert (snapshot.unrealised_profit, snapshot.fees) == (100, 8)
    assert (snapshot.equity, snapshot.cash) == (100_092, 99_992)
    assert snapshot.gross_exposure == 10_100
    assert snapshot.exposure_pct == Decimal(10_100) / 100_092
    (position,) = snapshot.positions
    assert (position.symbol, position.quantity, position.entry_price) == (BTC, 100, 100)
    assert (position.notional, position.stop_loss_price) == (10_100, 98)
    assert Decimal(str(desk.portfolio.status()["equity"])) == snapshot.equity


def test_before_a_run_no_snapshot_is_published() -> None:
    assert PortfolioStage().handle(builders.clock()) == []


# Checksums


def test_a_mismatch_in_risk_halts_and_says_so() -> None:
    desk = Desk()
    minute = builders.clock(NOON + 60_000)
    desk.feed(minute)

    led_to = desk.feed(builders.portfolio_snapshot("another", minute))

    halts = [change for change in desk.states if change.state is TradingState.HALTED]
    assert halts[0].reason == Reason.CHECKSUM_MISMATCH
    assert "differs from another" in halts[0].message
    assert [a.level for a in builders.of_type(led_to, Alert)] == [AlertLevel.CRITICAL] * 2
    conditions = builders.of_type(led_to, Condition)
    assert [c.producer for c in conditions] == ["cdb_execution", "cdb_risk"]
    assert {(c.name, c.phase) for c in conditions} == {
        (builders.ConditionName.CHECKSUM_MISMATCH, builders.ConditionPhase.BEGAN)
    }


def test_a_mismatch_in_risk_alone_is_published_once_and_forbids_entries_after_a_reset() -> None:
    desk = Desk()
    desk.risk.portfolio.state.fees += 1
    desk.wait(60)
    desk.feed(builders.reset(at=desk.now))
    assert desk.risk.state.account is TradingState.REDUCE_ONLY
    desk.trade(100)
    assert desk.signal(100).reason == Reason.CONDITION_OPEN
    desk.wait(60)

    published = builders.of_type(desk.events, Condition)
    assert [c.producer for c in published] == ["cdb_risk"]
    assert "fees" in published[0].detail


def test_a_new_run_ends_a_mismatch() -> None:
    desk = Desk()
    desk.risk.portfolio.state.fees += 1
    desk.wait(60)

    desk.feed(builders.run_started(at=desk.now))
    desk.feed(builders.clock(desk.now + 60_000))
    desk.feed(builders.clock(desk.now + 120_000))

    assert desk.risk.state.account is TradingState.ACTIVE
    assert desk.risk.state.conditions == desk.execution.state.conditions == {}


def test_a_mismatch_in_execution_alone_halts_through_its_condition() -> None:
    desk = Desk()
    desk.feed(
        builders.condition(builders.ConditionName.CHECKSUM_MISMATCH, producer="cdb_execution")
    )

    assert desk.risk.state.account is TradingState.HALTED
    desk.feed(builders.reset(at=desk.now))
    desk.trade(100)
    assert desk.signal(100).reason == Reason.CONDITION_OPEN  # nobody healed what differs


def test_a_mismatch_is_not_healed_by_a_reset() -> None:
    desk = Desk()
    desk.risk.portfolio.state.fees += 1

    desk.wait(60)
    desk.feed(builders.reset(at=desk.now))
    desk.wait(60)

    reasons = [change.reason for change in desk.states]
    assert reasons == [*(Reason.CHECKSUM_MISMATCH, Reason.OPERATOR, Reason.CHECKSUM_MISMATCH)]


def test_fingerprints_are_kept_for_an_hour_of_minutes() -> None:
    kept = PortfolioChecksums()
    portfolio = Desk().portfolio.portfolio
    clocks = [builders.clock(NOON + minute * 60_000) for minute in range(100)]
    for previous, clock in pairwise(clocks):
        kept.remember(clock, previous.timestamp, portfolio)
        second = builders.clock(clock.timestamp + 1000)
        kept.remember(second, clock.timestamp, portfolio)

    assert list(kept.checksums) == [clock.event_id for clock in clocks[-KEPT:]]
    assert list(kept.figures) == [clock.event_id for clock in clocks[-FIGURES_KEPT:]]
    too_late = builders.portfolio_snapshot("another", clocks[1])
    assert kept.difference(too_late) is None
    without_figures = builders.portfolio_snapshot("another", clocks[-FIGURES_KEPT - 1])
    assert kept.difference(without_figures) == (
        f"portfolio checksum {portfolio.checksum()} differs from another of cdb_paper_runner at "
        f"{clocks[-FIGURES_KEPT - 1].timestamp}"
    )


def test_a_mismatch_says_where_the_folds_differ() -> None:
    desk = Desk(symbols=[BTC, ETH])
    desk.enter(100, symbol=BTC)
    desk.enter(100, symbol=ETH)
    fee = desk.portfolio.portfolio.state.books[BTC].fees
    for service in (desk.risk, desk.execution):
        service.portfolio.state.books[BTC].fees += 1
        service.portfolio.state.positions[ETH].stop_loss_price = Decimal(50)

    desk.wait(60)

    message = desk.alerts_of("CHECKSUM_MISMATCH")[0].message
    assert f"BTC_USDT fees is {fee + 1} here, {fee} there" in message
    assert "ETH_USDT stop_loss_price is 50 here, 98.04 there" in message
    assert "ETH_USDT fees" not in message


def test_a_mismatch_of_many_figures_tells_the_first_few() -> None:
    kept, portfolio = PortfolioChecksums(), Desk().portfolio.portfolio
    clock = builders.clock(NOON)
    kept.remember(clock, 0, portfolio)

    told = kept.difference(builders.portfolio_snapshot("another", clock))

    assert told is not None
    assert "cash is 100000 here, 0 there; " in told
    hidden = msgspec.structs.replace(
        builders.portfolio_snapshot("another", clock),
        **{name: getattr(portfolio.state, name) for name in ACCOUNT_FIGURES},
    )
    assert str(kept.difference(hidden)).endswith(": in nothing that is published")


# Runs


def test_a_second_run_goes_on_with_the_account_of_the_first() -> None:
    desk = Desk()
    desk.enter(100)
    desk.signal(100, Side.SELL, quantity=10)  # open when the run ends
    fold = desk.portfolio.portfolio
    before = fold.equity
    desk.feed(builders.run_ended(desk.now))
    assert (desk.results[-1].status, desk.results[-1].reason) == (
        *(OrderStatus.CANCELLED, Reason.RUN_ENDED),
    )

    (view,) = views.positions(fold)
    opening = builders.account(
        fold.cash,
        peak=fold.state.peak_equity,
        day_start=fold.state.day_start_equity,
        day=fold.state.day,
        positions=[
            builders.opening_position(
                BTC, view.quantity, view.entry_price, price=view.mark_price,
                stop=view.stop_loss_price,
            )
        ],
    )  # fmt: skip
    desk.feed(builders.run_started({"STOP_LOSS_PCT": "0.01"}, opening=opening, run_id="run-2"))
    desk.feed(builders.instruments(builders.instrument(BTC)))
    desk.wait(60)

    for stage in (desk.risk, desk.execution, desk.portfolio):
        assert stage.portfolio.equity == before
        assert stage.portfolio.quantity(BTC) == 100
    assert len({s.portfolio.checksum() for s in (desk.risk, desk.execution, desk.portfolio)}) == 1
    assert desk.states == []

    desk.trade(98)
    order = desk.orders[-1]
    assert (order.origin, order.quantity, order.run_id) == (Origin.STOP_LOSS, 100, "run-2")
    desk.wait(1)
    desk.trade(98)
    assert desk.position() == 0


def test_a_run_that_begins_without_the_end_of_the_last_leaves_no_order_open() -> None:
    desk = Desk()
    desk.trade(100)
    desk.signal(100)

    desk.feed(builders.run_started(run_id="run-2", at=desk.now))

    assert desk.results[-1].reason == Reason.RUN_ENDED
    assert desk.results[-1].run_id == "run-1"
    assert desk.risk.state.pending == {}
    assert desk.execution.state.open == {}


def test_after_a_new_run_the_new_settings_count() -> None:
    desk = Desk({"MAX_POSITION_PCT": "0.05"})
    desk.feed(builders.run_started({"MAX_POSITION_PCT": "0.08"}, run_id="run-2", at=desk.now))
    desk.feed(builders.instruments(builders.instrument(BTC)))
    desk.feed(builders.clock(desk.now + 1))
    desk.trade(100)

    decision = desk.signal(100)

    assert (decision.verdict, decision.quantity) == (Verdict.TRIMMED, 80)
    assert decision.run_id == "run-2"


def test_contract_details_may_change_within_a_run() -> None:
    desk = Desk()
    desk.trade(100)
    desk.feed(builders.instruments(builders.instrument(BTC, lot_size=Decimal(30))))

    assert desk.signal(100).quantity == 90


def test_the_status_of_risk_tells_what_forbids_trading() -> None:
    desk = Desk()
    desk.trade(100)
    desk.trade(110)
    desk.feed(builders.condition())

    status = desk.risk.status()

    assert status["account"] == "REDUCE_ONLY"
    assert status["symbols"] == {BTC: "PAUSED"}
    assert status["conditions"] == {"cdb_db_writer|DATABASE_AWAY|": "DATABASE_AWAY: not reachable"}
    assert (status["positions"], status["pending_orders"]) == (0, 0)
