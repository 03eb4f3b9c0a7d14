"""cdb_execution: approved orders and the market in; results out, and tables orders and trades."""

from collections.abc import Iterable

from prometheus_client.core import Metric

from services.cdb_execution.config import DATABASE_PATIENCE_S, SERVICE
from services.cdb_execution.metrics import DB_CONNECTED, DB_REFUSED, DB_WRITE_AGE
from services.cdb_execution.record_watch import RecordWatch
from services.kernel.events import ConditionName
from services.kernel.execution.stage import ExecutionStage
from services.persistence.order_follower import OrderFollower
from services.runtime import host
from services.runtime.bus.bus import Unavailable
from services.runtime.consumer.stage_worker import StageWorker
from services.runtime.service import metrics
from services.runtime.service.backoff import retry
from services.runtime.service.health import Health
from services.runtime.service.shell import Shell, run

JOIN_S = 3.0


class ExecutionWorker(StageWorker):
    """The stage on the bus; beside it, a thread that follows the journal into the tables."""

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell, ExecutionStage())
        self.tables = OrderFollower(shell.database_address(SERVICE), shell.new_bus())
        self.record = RecordWatch(self.bus, self.tables)
        self.on_batch.append(self._watch_record)
        self.measures.append(self._measure_database)
        metrics.Figures(shell.metrics.registry, self._table_figures)
        self._thread: host.Task | None = None

    def run(self, stopping: host.Event) -> None:
        """Run stage and tables until asked to stop."""
        if self._thread is None:
            self._thread = host.start(self.tables.run, stopping, name="tables")
        self._wait_for_tables(stopping)
        super().run(stopping)
        self._thread.join(JOIN_S)

    def status(self) -> dict[str, object]:
        """As `StageWorker.status`, and how far the tables are."""
        return {**super().status(), "tables_seq": self.tables.committed_seq}

    def _wait_for_tables(self, stopping: host.Event) -> None:
        """Begin when it is known whether the record is written, so that no start is an outage."""
        lifecycle = self.shell.lifecycle
        retry(self.bus.connect, stopping, lambda away: lifecycle.waits(str(away)))
        deadline = host.monotonic() + DATABASE_PATIENCE_S
        while host.monotonic() < deadline and not stopping.wait(0.05):
            if self.tables.away is not None:
                lifecycle.waits(self.tables.away)
            elif self._is_record_known():
                return

    def _is_record_known(self) -> bool:
        try:
            self.record.look()
        except Unavailable as away:
            self.shell.lifecycle.waits(str(away))
        return self.is_flooded or self.record.behind is not None

    def _watch_record(self) -> None:
        if self.record.look():
            why = self._why_unwritten()
            detail = why or "the record and its tables are written again"
            self.conditions.report(ConditionName.DATABASE_AWAY, why is not None, detail)

    def _why_unwritten(self) -> str | None:
        if self.tables.away is not None:
            return self.tables.away
        return self.record.why() if self.record.behind and not self.is_flooded else None

    def _measure_database(self) -> Health:
        why = self._why_unwritten()
        return Health(() if why is None else (why,), {"db_write_age_s": round(self.record.age, 3)})

    def _table_figures(self) -> Iterable[Metric]:
        tables = self.tables
        yield DB_CONNECTED.value(float(tables.away is None))
        yield DB_WRITE_AGE.value(self.record.age)
        yield DB_REFUSED.value(tables.refused)


def main() -> int:
    """Run until SIGTERM; returns the exit code."""
    return run(SERVICE, ExecutionWorker)
