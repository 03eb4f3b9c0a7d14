from decimal import Decimal

import pytest
from msgspec.structs import replace

from services.cdb_paper_runner.orchestration import Orchestration
from services.kernel.events import (
    ConditionName,
    ConditionPhase,
    Event,
    PortfolioSnapshot,
    RunEnded,
    Side,
    TradingState,
)
from tests import builders as a

pytestmark = pytest.mark.unit


def fed(*events: Event, stage: Orchestration | None = None) -> tuple[Orchestration, list[Event]]:
    stage = stage or Orchestration()
    outputs: list[Event] = []
    for seq, event in enumerate(events, start=stage.last_seq + 1):
        outputs += stage.handle(replace(event, seq=seq))
    return stage, outputs


def source_ended(phase: ConditionPhase = ConditionPhase.BEGAN) -> Event:
    return a.condition(ConditionName.SOURCE_ENDED, phase, producer="cdb_ws")


def test_each_minutes_first_clock_publishes_the_portfolio():
    _, outputs = fed(
        a.run_started(),
        a.clock(a.NOON),
        a.clock(a.NOON + 30_000),
        a.clock(a.NOON + 60_000),
    )
    assert [type(output) for output in outputs] == [PortfolioSnapshot, PortfolioSnapshot]


def test_the_end_of_the_data_ends_the_run_once():
    stage, outputs = fed(a.run_started(), a.clock(), source_ended())
    (ended,) = a.of_type(outputs, RunEnded)
    assert ended.reason.startswith("DATA_OVER")
    assert ended.run_id == a.RUN

    _, more = fed(ended, source_ended(), stage=stage)

    assert a.of_type(more, RunEnded) == []
    assert not stage.book.is_open


@pytest.mark.parametrize(
    "event",
    [
        source_ended(ConditionPhase.CLEARED),
        replace(source_ended(), run_id="another run"),
        a.condition(ConditionName.DATABASE_AWAY),
    ],
)
def test_nothing_else_ends_a_run(event: Event):
    stage, outputs = fed(a.run_started(), a.clock(), event)
    assert a.of_type(outputs, RunEnded) == []
    assert stage.book.is_open


def test_a_restored_stage_goes_on_as_the_first_one_would():
    before = (
        a.run_started(),
        a.clock(),
        a.trade(price=100),
        a.signal(),
        a.result(quantity=2, price=100, fees=1),
        a.trading_state(TradingState.HALTED),
    )
    after = (a.trade(price=110), a.clock(a.NOON + 60_000), a.result(side=Side.SELL, price=110))
    first, _ = fed(*before)
    second = Orchestration()
    second.restore(first.snapshot())

    _, expected = fed(*after, stage=first)
    _, outputs = fed(*after, stage=second)

    assert outputs == expected
    assert second.snapshot() == first.snapshot()
    assert second.status() == first.status()


def test_status_has_the_figures_that_the_page_and_the_command_line_show():
    stage, _ = fed(
        a.run_started(),
        a.clock(),
        a.trade(price=100),
        a.result(quantity=2, price=100, fees="1.5"),
        a.trade(price=104),
    )
    status = stage.status()
    assert status["equity"] == "100006.5"
    assert status["equity_start"] == "100000"
    assert status["fees"] == "1.5"
    assert status["exposure"] == "208"
    assert status["ticks"] == 2
    assert status["clock_ms"] == a.NOON
    assert status["last_seq"] == 5
    (position,) = status["positions"]  # type: ignore[misc]
    assert (position["symbol"], position["quantity"]) == (a.BTC, "2")
    assert Decimal(str(status["initial_margin"])) == Decimal(200) / 3
    assert Decimal(str(status["maintenance_margin"])) == 1 + 208 * Decimal("0.0004")
    assert Decimal(str(status["available_margin"])) == Decimal("99998.5") - Decimal(200) / 3
    (part,) = status["symbols"]  # type: ignore[misc]
    assert (part["symbol"], part["profit"], part["fees"]) == (a.BTC, "6.5", "1.5")


def test_a_new_run_counts_again():
    stage, _ = fed(a.run_started(), a.clock(), a.trade(), a.signal())
    fed(a.run_started(run_id="run-2"), stage=stage)
    assert stage.status()["run_id"] == "run-2"
    assert stage.statistics.signals == 0
    assert stage.statistics.ticks == 0


def test_the_next_run_begins_with_everything_as_it_is():
    stage, _ = fed(
        a.run_started(),
        a.clock(),
        a.trade(price=100),
        a.result(quantity=2, price=100, fees=1, stop=98),
        a.trade(price=104),
        a.trading_state(TradingState.HALTED, symbol=a.ETH),
        a.trading_state(TradingState.HALTED, symbol=a.SOL),
        a.trading_state(TradingState.ACTIVE, TradingState.HALTED, symbol=a.ETH),
        a.trading_state(TradingState.HALTED),
    )

    account = stage.book.carried_over(stage.fold.portfolio)
    next_stage, _ = fed(a.run_started(run_id="run-2", opening=account))

    assert account.halted is not None
    assert account.quarantined == (a.SOL,)
    assert account.positions[0].stop_loss_price == Decimal(98)
    assert next_stage.fold.portfolio.equity == stage.fold.portfolio.equity == Decimal(100_007)
    assert next_stage.fold.portfolio.drawdown_pct == stage.fold.portfolio.drawdown_pct
    assert next_stage.book.halted == account.halted


def test_a_second_halt_does_not_hide_why_the_first_one_was():
    first = replace(a.trading_state(TradingState.HALTED), reason="DAILY_DRAWDOWN", message="lost")
    second = a.trading_state(TradingState.HALTED, TradingState.HALTED)
    stage, _ = fed(a.run_started(), first, second)

    assert stage.status()["halted"] == "DAILY_DRAWDOWN: lost"
    assert stage.book.carried_over(stage.fold.portfolio).halted == "DAILY_DRAWDOWN: lost"


def test_the_status_names_what_an_operator_paused():
    stage, _ = fed(a.run_started(), a.pause(a.ETH))
    assert (stage.status()["paused"], stage.status()["paused_symbols"]) == (False, [a.ETH])


def test_a_release_ends_the_halt_in_the_book():
    stage, _ = fed(
        a.run_started(),
        a.trading_state(TradingState.HALTED),
        a.trading_state(TradingState.ACTIVE, TradingState.HALTED, equity=100_000),
    )
    assert stage.book.halted is None


def test_what_an_operator_paused_stays_paused_in_the_next_run():
    stage, _ = fed(
        a.run_started(),
        a.pause(),
        a.pause(a.ETH),
        a.pause(a.SOL),
        a.resume(a.ETH),
        a.resume(producer="operator"),  # not published by risk: no command
    )

    account = stage.book.carried_over(stage.fold.portfolio)
    next_stage, _ = fed(a.run_started(run_id="run-2", opening=account), a.resume())

    assert account.paused
    assert account.paused_symbols == (a.SOL,)
    assert not next_stage.book.paused
    assert next_stage.book.paused_symbols == [a.SOL]


def test_the_newest_lines_are_kept():
    alerts = [a.trading_state(TradingState.PAUSED, symbol=f"S{n}_USDT") for n in range(40)]
    stage, _ = fed(a.run_started(), *alerts)
    lines = stage.recent.lines()["alerts"]
    assert len(lines) == 25
    assert lines[0]["symbol"] == "S39_USDT"
