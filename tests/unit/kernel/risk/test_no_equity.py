"""An account without equity: its ratios are null, nothing is opened, and what is open is closed."""

from decimal import Decimal

import pytest

from services.cdb_paper_runner.orchestration import Orchestration
from services.kernel.events import (
    LayerVerdict,
    PortfolioSnapshot,
    Side,
    TradingState,
    Verdict,
    codec,
)
from services.kernel.portfolio.portfolio import Portfolio
from services.kernel.portfolio.stage import PortfolioStage
from services.kernel.reasons import Reason
from services.kernel.risk.checks.layers import assess
from tests import builders
from tests.builders import BTC
from tests.unit.kernel.candidates import candidate
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]

RATIOS = ("exposure_pct", "daily_drawdown_pct", "drawdown_pct")


@pytest.mark.parametrize("equity", [0, -1])
@pytest.mark.parametrize("correlated", [0, 100])
def test_no_layer_that_divides_by_equity_passes_without_it(equity: int, correlated: int) -> None:
    assessment = assess(candidate(equity=equity, correlated=correlated))

    assert assessment.failures == (
        (1, Reason.NO_EQUITY),
        (4, Reason.EXPOSURE_LIMIT),
        (5, Reason.POSITION_LIMIT),
    )
    for result in (assessment.results[3], assessment.results[4]):
        assert (result.value, result.headroom) == (None, None)
        assert result.verdict is LayerVerdict.FAIL
        assert "no equity" in result.detail


def test_the_smallest_equity_has_ratios() -> None:
    assessment = assess(candidate(equity="0.01", elsewhere=100))

    assert assessment.failures[0] == (4, Reason.EXPOSURE_LIMIT)
    assert [assessment.results[n].value for n in (3, 4)] == [1_010_000, 1_000_000]


@pytest.mark.parametrize("missing", ["daily_drawdown_pct", "drawdown_pct"])
def test_a_loss_of_nothing_is_no_fraction(missing: str) -> None:
    assessment = assess(candidate(**{missing: None}))

    first = assessment.results[0]
    assert (first.value, first.limit, first.verdict) == (None, None, LayerVerdict.FAIL)
    assert assessment.reason is Reason.NO_EQUITY


@pytest.mark.parametrize(
    ("state", "reason"),
    [(TradingState.HALTED, Reason.HALTED), (TradingState.PAUSED, Reason.PAUSED)],
)
def test_a_halt_or_a_pause_is_named_first(state: TradingState, reason: Reason) -> None:
    without = {"equity": 0, "daily_drawdown_pct": None, "drawdown_pct": None}

    assert assess(candidate(account_state=state, **without)).reason is reason


def test_ratios_of_a_portfolio_without_equity_are_null() -> None:
    portfolio = Portfolio()
    portfolio.apply(builders.run_started(opening=builders.account(0)))

    assert [getattr(portfolio, ratio) for ratio in RATIOS] == [None, None, None]


def test_all_equity_lost_is_a_loss_of_one() -> None:
    portfolio = Portfolio()
    portfolio.apply(builders.run_started(opening=builders.account(100)))
    portfolio.apply(builders.result(BTC, Side.BUY, 1, 100, fees=100))

    assert portfolio.equity == 0
    assert [getattr(portfolio, ratio) for ratio in RATIOS] == [None, 1, 1]


def test_ratios_of_a_portfolio_with_equity_are_numbers() -> None:
    portfolio = Portfolio()
    portfolio.apply(builders.run_started(opening=builders.account(1_000)))
    portfolio.apply(builders.result(BTC, Side.BUY, 1, 100, fees=200))

    ratios = [getattr(portfolio, ratio) for ratio in RATIOS]
    assert ratios == [Decimal("0.125"), Decimal("0.2"), Decimal("0.2")]


def test_a_snapshot_publishes_null() -> None:
    stage = PortfolioStage()
    stage.handle(builders.run_started(opening=builders.account(0)))

    (snapshot,) = builders.of_type(stage.handle(builders.clock()), PortfolioSnapshot)

    assert [getattr(snapshot, ratio) for ratio in RATIOS] == [None, None, None]
    assert b'"exposure_pct":null' in codec.encode(snapshot)
    assert codec.decode(codec.encode(snapshot)) == snapshot


def test_status_shows_nothing_in_their_place() -> None:
    runner = Orchestration()
    runner.handle(builders.run_started(opening=builders.account(0)))
    desk = Desk(opening=builders.account(0))

    assert [runner.status()[ratio] for ratio in RATIOS] == [None, None, None]
    for stage in (desk.risk, desk.portfolio):
        status = stage.status()
        assert (status["daily_drawdown_pct"], status["drawdown_pct"]) == (None, None)


def test_an_account_without_equity_enters_nothing_and_says_why() -> None:
    desk = Desk(opening=builders.account(0))
    desk.trade(100)

    decision = desk.signal(100)

    assert (decision.verdict, decision.reason) == (Verdict.REJECTED, Reason.NO_EQUITY)
    assert desk.orders == []


def test_an_account_without_equity_leaves_what_is_open() -> None:
    position = builders.opening_position(BTC, 1, 100)
    desk = Desk(opening=builders.account(-1, peak=0, day_start=0, positions=[position]))

    decision = desk.exit_signal(100)

    assert (decision.verdict, decision.quantity) == (Verdict.APPROVED, 1)


def test_the_clock_goes_on_without_equity() -> None:
    desk = Desk(opening=builders.account(0, peak=0, day_start=0))

    desk.wait(120)

    assert desk.states == []
