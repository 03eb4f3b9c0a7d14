"""The metrics of ``cdb_paper_runner``."""

from typing import Final

from services.cdb_paper_runner.config import SERVICE
from services.runtime.consumer.stage_metrics import STAGE
from services.runtime.service.declared_metric import DeclaredMetric, gauge
from services.runtime.service.metrics import shell_metrics

SUMMARY: Final[dict[str, DeclaredMetric]] = {
    "equity": gauge("cdb_equity_quote", "quote", "Equity at the last mark."),
    "cash": gauge("cdb_cash_quote", "quote", "Equity without unrealised profit."),
    "exposure": gauge("cdb_exposure_quote", "quote", "Gross notional of the open positions."),
    "exposure_pct": gauge("cdb_exposure_pct", "fraction", "Exposure over equity."),
    "drawdown_pct": gauge("cdb_drawdown_pct", "fraction", "Loss from the equity peak."),
    "daily_drawdown_pct": gauge(
        "cdb_daily_drawdown_pct", "fraction", "Loss since the day's start."
    ),
    "max_drawdown_pct": gauge("cdb_max_drawdown_pct", "fraction", "Largest drawdown of the run."),
    "realised_profit": gauge(
        "cdb_realised_profit_quote", "quote", "Gross profit of closed trades."
    ),
    "unrealised_profit": gauge("cdb_unrealised_profit_quote", "quote", "Profit of open positions."),
    "fees": gauge("cdb_run_fees_quote", "quote", "Fees of the run."),
    "funding": gauge("cdb_run_funding_quote", "quote", "Funding received less paid in the run."),
}
"""Figure of the summary to its metric; a ratio is missing while there is no equity."""
LIMITS: Final[dict[str, DeclaredMetric]] = {
    "MAX_DAILY_DRAWDOWN_PCT": gauge(
        "cdb_daily_drawdown_limit_pct", "fraction", "Daily drawdown that halts trading."
    ),
    "CIRCUIT_BREAKER_THRESHOLD_PCT": gauge(
        "cdb_drawdown_limit_pct", "fraction", "Loss from the peak that closes everything."
    ),
    "MAX_TOTAL_EXPOSURE_PCT": gauge(
        "cdb_exposure_limit_pct", "fraction", "Exposure above which no entry is allowed."
    ),
    "DATA_STALE_TIMEOUT_SEC": gauge(
        "cdb_data_age_limit_seconds",
        "seconds",
        "Age of data at which entries pause.",
    ),
}
"""Setting to its metric, so that panels and rules compare with what the run was started with."""
POSITIONS = gauge("cdb_positions", "positions", "Open positions.")
HALTED = gauge("cdb_halted", "flag", "1 while trading is halted.")
RUN_OPEN = gauge("cdb_run_open", "flag", "1 while a run goes on.")
METRICS: Final = (
    *(*shell_metrics(SERVICE), *STAGE),
    *(*SUMMARY.values(), *LIMITS.values(), POSITIONS, HALTED, RUN_OPEN),
)
