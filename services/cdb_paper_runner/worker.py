"""The orchestrator at work: its stage on the bus, the decision about runs, and the live summary."""

from collections.abc import Iterable, Mapping
from functools import partial

from prometheus_client.core import Metric

from services.cdb_paper_runner.clock_watch import ClockWatch
from services.cdb_paper_runner.orchestration import Orchestration
from services.cdb_paper_runner.record import RecordedSubscription, last_run_start
from services.cdb_paper_runner.runs import Runs
from services.kernel.events import topics
from services.runtime import host
from services.runtime.consumer.stage_loop import StageLoop
from services.runtime.consumer.stage_worker import StageWorker, clock_limit
from services.runtime.service import metrics
from services.runtime.service.health import Health
from services.runtime.service.shell import Shell

SUMMARY_EVERY_S = 0.25
GATHER_S = 0.02
"""Time between two receipts: nobody waits for the orchestrator's outputs."""
GAUGES = {
    "cdb_equity_quote": ("equity", "Equity at the last mark, in quote."),
    "cdb_cash_quote": ("cash", "Equity without unrealised profit, in quote."),
    "cdb_exposure_quote": ("exposure", "Gross notional of the open positions, in quote."),
    "cdb_exposure_pct": ("exposure_pct", "Exposure over equity, as a fraction."),
    "cdb_drawdown_pct": ("drawdown_pct", "Loss from the equity peak, as a fraction."),
    "cdb_daily_drawdown_pct": ("daily_drawdown_pct", "Loss since the day's start, as a fraction."),
    "cdb_max_drawdown_pct": ("max_drawdown_pct", "Largest drawdown of the run, as a fraction."),
    "cdb_realised_profit_quote": ("realised_profit", "Gross profit of closed trades, in quote."),
    "cdb_unrealised_profit_quote": ("unrealised_profit", "Profit of open positions, in quote."),
    "cdb_run_fees_quote": ("fees", "Fees of the run, in quote."),
    "cdb_run_funding_quote": ("funding", "Funding received less paid in the run, in quote."),
}
"""Metric to figure of the summary and its description."""


class PaperRunner(StageWorker):
    """The stage's worker, and what only the orchestrator does."""

    def __init__(self, shell: Shell) -> None:
        stage = Orchestration()
        record = shell.database_address(topics.PAPER_RUNNER)
        loop = partial(
            StageLoop,
            subscription=partial(RecordedSubscription, record),
            from_record=partial(last_run_start, record),
            gather_s=GATHER_S,
        )
        super().__init__(shell, stage, loop)
        self.orchestration = stage
        self.runs = Runs(stage, self.loop, shell.settings)
        self.summary: Mapping[str, object] = {}
        self._summary_at = 0.0
        clock_watch = ClockWatch(self.loop, self.clock_age, clock_limit(shell.settings))
        self.on_batch.append(self._refresh)
        self.every_second += [self.runs.look, clock_watch.look]
        self.measures.append(self._measure_runs)
        metrics.Figures(shell.metrics.registry, self._account_figures)

    def run(self, stopping: host.Event) -> None:
        """Run the loop until asked to stop."""
        self.runs.begin()
        super().run(stopping)

    def _measure_runs(self) -> Health:
        waiting_for = self.runs.waiting_for
        return Health((waiting_for,) if waiting_for else (), {"funnel": self._funnel()})

    def _funnel(self) -> object:
        return self.summary.get("funnel", {})

    def _refresh(self) -> None:
        """Make the summary, in the one thread that changes what it is made from."""
        self.runs.notice()
        now = host.monotonic()
        if now - self._summary_at >= SUMMARY_EVERY_S:
            self._summary_at = now
            self.summary = self.orchestration.status()

    def _account_figures(self) -> Iterable[Metric]:
        summary = self.summary
        if not summary.get("run_id"):
            return
        for name, (figure, doc) in GAUGES.items():
            if summary[figure] is not None:  # a ratio without equity
                yield metrics.gauge(name, doc, float(str(summary[figure])))
        yield metrics.gauge(
            "cdb_positions",
            "Open positions.",
            len(self.orchestration.fold.portfolio.state.positions),
        )
        yield metrics.gauge("cdb_halted", "1 while halted.", float(summary["halted"] is not None))
        yield metrics.gauge("cdb_run_open", "1 while a run goes on.", float(not summary["ended"]))
