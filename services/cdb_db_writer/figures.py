"""The current figures of ``cdb_db_writer``."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from prometheus_client.core import Metric

from services.cdb_db_writer import metrics
from services.cdb_db_writer.writer import RecordService
from services.runtime import host
from services.runtime.service.metrics import BUS_LAG, HEALTHY, dead_letters


def figures(writer: RecordService, backups: Path) -> Iterable[Metric]:
    """The current figures for Prometheus.

    Args:
        writer: The worker.
        backups: Folder of the database's backups.
    """
    counters = writer.counters.copy()
    yield HEALTHY.value(float(writer.health().ok))
    yield BUS_LAG.value(writer.lag)
    yield metrics.CURSOR.value(writer.committed_seq)
    yield metrics.CONNECTED.value(float(writer.connected))
    yield metrics.WRITE_AGE.value(writer.age())
    yield metrics.TICKS_WRITTEN.value(counters["ticks"])
    yield metrics.EVENTS_WRITTEN.value(counters["events"])
    yield metrics.COMMITS.value(counters["commits"])
    yield metrics.REFUSED.value(counters["refused"])
    yield metrics.COUNTERS_HEALED.value(writer.guard.counts["counters"])
    yield metrics.FUNCTIONS_KILLED.value(writer.guard.counts["killed"])
    yield dead_letters(dict(writer.dead_letters.counts))
    disk = shutil.disk_usage(".")
    yield metrics.DISK_FREE.value(disk.free)
    yield metrics.DISK_SIZE.value(disk.total)
    age = backup_age_s(backups)
    if age is not None:
        yield metrics.BACKUP_AGE.value(age)


def backup_age_s(folder: Path) -> float | None:
    """Seconds since the newest backup was written; None without any.

    Args:
        folder: Where ``make backup`` writes its ``.dump`` files.
    """
    written = [file.stat().st_mtime for file in folder.glob("*.dump") if file.stat().st_size > 0]
    return max(0.0, host.wall_ms() / 1000 - max(written)) if written else None
