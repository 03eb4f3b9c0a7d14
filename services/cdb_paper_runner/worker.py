"""The orchestrator at work: its stage on the bus, the decision about runs, and the live summary."""

from collections.abc import Iterable, Mapping
from functools import partial

from prometheus_client.core import Metric

from services.cdb_paper_runner.clock_watch import ClockWatch
from services.cdb_paper_runner.console_keeper import console_keeper
from services.cdb_paper_runner.metrics import HALTED, LIMITS, POSITIONS, RUN_OPEN, SUMMARY
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
        self._console = console_keeper(shell, self.loop)
        if self._console is not None:
            self.every_second += [self._console.look, self._console.alert]
        self.measures.append(self._measure_runs)
        metrics.Figures(shell.metrics.registry, self._account_figures)

    def run(self, stopping: host.Event) -> None:
        """Run the loop until asked to stop."""
        if self._console is not None:
            self._console.look()  # here as well: it serves while the bus is away
        self.runs.begin()
        super().run(stopping)
        if self._console is not None and stopping.is_set():
            self._console.stop()

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
        for figure, metric in SUMMARY.items():
            if summary[figure] is not None:  # a ratio without equity
                yield metric.value(float(str(summary[figure])))
        run = self.orchestration.book.run
        for setting, metric in LIMITS.items():
            if run is not None and setting in run.settings:
                yield metric.value(float(run.settings[setting]))
        yield POSITIONS.value(len(self.orchestration.fold.portfolio.state.positions))
        yield HALTED.value(float(summary["halted"] is not None))
        yield RUN_OPEN.value(float(not summary["ended"]))
