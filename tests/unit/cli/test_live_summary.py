"""What a person sees: the figures, where to look, and why nothing traded."""

from decimal import Decimal
from pathlib import Path

import pytest

from services.cli.run.live_summary import LiveSummary, show_result
from services.cli.run.paper_run import Progress
from services.reports.run_result import Decisions, PriceGap, RunResult, StateChange

pytestmark = pytest.mark.unit

SUMMARY = {
    "clock_ms": 1_735_689_600_000,
    "equity": "100123.456",
    "drawdown_pct": "0.0123",
    "funnel": {"signals": 7, "approved": 4, "trimmed": 1, "rejected": 2, "fills": 5},
    "positions": [
        {
            "symbol": "BTC_USDT",
            "quantity": "-0.5",
            "entry_price": "61000",
            "mark_price": "60000",
            "stop_loss_price": None,
            "unrealised_profit": "500",
        }
    ],
}
RESULT = RunResult(
    run_id="r",
    ticks=10,
    signals=3,
    decisions=Decisions(1, 1, {"HALTED": 1}),
    exits=1,
    orders=3,
    fills=3,
    trades=1,
    rejected_orders=0,
    equity_start=Decimal(100000),
    equity_end=Decimal("99000.5"),
    max_drawdown_pct=Decimal("0.0125"),
    worst_day_pct=Decimal("0.0125"),
    halts=1,
    releases=1,
    fees=Decimal("12.30"),
    last_seq=99,
    lost=0,
    duplicates=0,
    seconds=1.5,
    decisions_hash="ab" * 32,
    state_changes=(StateChange(0, "HALTED", "ACTIVE", "OPERATOR", "released", "a new day"),),
    price_gaps=(
        PriceGap(0, "XBT_USD", Decimal(98), Decimal(95), Decimal(94), Decimal("0.03"), Decimal(6)),
    ),
    notes=("no signals: the window is longer than the data",),
)


def test_without_a_terminal_a_line_reports_phase_figures_and_where_to_look(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress = Progress(phase="starting the services")
    with LiveSummary(quiet=False) as live:
        live.update(progress)
        progress.page, progress.logs = "http://page", Path("/logs")
        progress.phase, progress.summary, progress.ticks = "trading", SUMMARY, 1234
        live.update(progress)
        live.update(progress)

    _, where, trading = capsys.readouterr().out.splitlines()
    assert "http://page" in where
    assert "/logs" in where
    assert "2025-01-01 00:00:00 UTC" in trading
    assert "equity 100,123.46" in trading
    assert "signals 7, approved 4, trimmed 1, rejected 2, fills 5" in trading
    assert "1234 ticks" in trading


def test_with_json_stdout_stays_free_for_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    with LiveSummary(quiet=True) as live:
        live.update(Progress(lines=["cdb_core ended with code -9 and was started again"]))

    captured = capsys.readouterr()
    assert captured.out == ""
    assert "cdb_core ended" in captured.err


def test_the_final_table_has_figures_reasons_gaps_and_notes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_result(RESULT)

    shown = capsys.readouterr().out
    for text in (
        "HALTED 1",
        "100,000.00 -> 99,000.50",
        "1.25 %",
        "reset: a new day",
        "price jumped over the stop 98 to 95",
        "window is longer than the data",
    ):
        assert text in shown


def test_the_json_result_has_the_promised_keys_and_decimals_as_text() -> None:
    body = RESULT.to_json()

    promised = (
        "run_id ticks signals decisions exits orders fills trades rejected_orders equity_start"
        " equity_end max_drawdown_pct worst_day_pct halts fees last_seq lost duplicates seconds"
        " decisions_hash"
    )
    assert set(promised.split()) <= set(body)
    assert body["decisions"] == {"approved": 1, "trimmed": 1, "rejected": {"HALTED": 1}}
    assert body["equity_start"] == "100000"
    assert body["fees"] == "12.3"
    assert body["halts"] == 1
