"""What Prometheus is told about the record."""

from collections.abc import Iterable

from prometheus_client.core import Metric

from services.cdb_db_writer.writer import RecordService
from services.runtime.service.metrics import gauge, total, totals


def figures(writer: RecordService) -> Iterable[Metric]:
    """The figures of this moment."""
    counters = writer.counters.copy()
    yield gauge("cdb_healthy", "1 while /health answers 200.", float(writer.health().ok))
    yield gauge("cdb_bus_lag_events", "Events published and not yet received.", writer.lag)
    yield gauge("cdb_cursor_seq", "Seq of the last event written down.", writer.committed_seq)
    yield gauge("cdb_db_connected", "1 while the database can be written.", float(writer.connected))
    yield gauge("cdb_db_write_age_seconds", "Age of the oldest unwritten event.", writer.age())
    yield gauge(
        "cdb_db_commit_seconds", "How long the last transaction took.", writer.sink.commit_seconds
    )
    yield total("cdb_db_ticks_written", "Ticks and clocks written.", counters["ticks"])
    yield total("cdb_db_events_written", "Other events written.", counters["events"])
    yield total("cdb_db_commits", "Transactions.", counters["commits"])
    yield total("cdb_db_refused_events", "Events no table could hold.", counters["refused"])
    yield total(
        "cdb_bus_counters_healed",
        "Counters of the bus that were changed by hand and put right.",
        writer.guard.counts["counters"],
    )
    yield total(
        "cdb_bus_functions_killed",
        "Functions that kept the bus busy and were ended.",
        writer.guard.counts["killed"],
    )
    yield totals(
        "cdb_dead_letters", "Messages put aside.", "reason", dict(writer.dead_letters.counts)
    )
