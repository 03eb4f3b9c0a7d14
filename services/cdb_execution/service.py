"""cdb_execution: approved orders and the market in; results out, and tables orders and trades."""

import threading
import time
from collections.abc import Iterable

from prometheus_client.core import Metric

from services.cdb_execution.config import DATABASE_PATIENCE_S, SERVICE, WRITE_AGE_LIMIT_S
from services.kernel.events import ConditionName
from services.kernel.stages import ExecutionStage
from services.persistence.order_follower import OrderFollower
from services.runtime import metrics
from services.runtime.backoff import retry
from services.runtime.health import Health
from services.runtime.service import Shell, run
from services.runtime.stage_worker import StageWorker

JOIN_S = 3.0


class ExecutionWorker(StageWorker):
    """The stage on the bus; beside it, a thread that follows the journal into the tables."""

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell, ExecutionStage())
        self.tables = OrderFollower(shell.settings.database_address(SERVICE), shell.new_bus())
        self.every_second.append(self._report_database)
        self.measures.append(self._measure_database)
        metrics.Figures(shell.metrics.registry, self._table_figures)
        self._thread: threading.Thread | None = None

    def run(self, stopping: threading.Event) -> None:
        """Run stage and tables until asked to stop."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self.tables.run, args=(stopping,), name="tables", daemon=True
            )
            self._thread.start()
        self._wait_for_tables(stopping)
        super().run(stopping)
        self._thread.join(JOIN_S)

    def _wait_for_tables(self, stopping: threading.Event) -> None:
        """Begin when the tables can be written, so that no start is mistaken for an outage."""
        retry(self.bus.connect, stopping, lambda away: self.shell.lifecycle.waits(str(away)))
        deadline = time.monotonic() + DATABASE_PATIENCE_S
        while self.tables.away is not None and time.monotonic() < deadline:
            self.shell.lifecycle.waits(self.tables.away)
            if stopping.wait(0.05):
                return

    def _report_database(self) -> None:
        away = self.tables.away
        detail = away or "orders and trades are written again"
        self.conditions.report(ConditionName.DATABASE_AWAY, away is not None, detail)

    def _measure_database(self) -> Health:
        age, reasons = self.tables.age(), []
        if self.tables.away is not None:
            reasons.append(self.tables.away)
        elif age > WRITE_AGE_LIMIT_S:
            reasons.append(f"no order written for {age:.1f} s (limit {WRITE_AGE_LIMIT_S:g} s)")
        return Health(tuple(reasons), {"db_write_age_s": round(age, 3)})

    def _table_figures(self) -> Iterable[Metric]:
        tables = self.tables
        yield metrics.gauge(
            "cdb_db_connected", "1 while the database can be written.", float(tables.away is None)
        )
        yield metrics.gauge(
            "cdb_db_write_age_seconds", "Age of the oldest unwritten order or result.", tables.age()
        )
        yield metrics.total(
            "cdb_db_refused_events", "Events that no table could hold.", tables.refused
        )


def main() -> int:
    """Run until SIGTERM; returns the exit code."""
    return run(SERVICE, ExecutionWorker)
