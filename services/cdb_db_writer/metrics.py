"""The metrics of ``cdb_db_writer``."""

from typing import Final

from services.cdb_db_writer.config import SERVICE
from services.runtime.service.declared_metric import SHORT_SECONDS, counter, gauge, histogram
from services.runtime.service.metrics import BUS_LAG, shell_metrics

CURSOR = gauge("cdb_cursor_seq", "seq", "Seq of the last input that is done.")
CONNECTED = gauge("cdb_db_connected", "flag", "1 while the database can be written.")
WRITE_AGE = gauge("cdb_db_write_age_seconds", "seconds", "Age of the oldest unwritten event.")
COMMIT_SECONDS = histogram(
    "cdb_db_commit_seconds", "seconds", "Time of one transaction of the record.", SHORT_SECONDS
)
TICKS_WRITTEN = counter("cdb_db_ticks_written_total", "events", "Ticks and clocks written.")
EVENTS_WRITTEN = counter("cdb_db_events_written_total", "events", "Other events written.")
COMMITS = counter("cdb_db_commits_total", "transactions", "Transactions of the record.")
REFUSED = counter("cdb_db_refused_events_total", "events", "Events that no table could hold.")
COUNTERS_HEALED = counter(
    "cdb_bus_counters_healed_total",
    "repairs",
    "Counters of the bus that were changed by hand and repaired.",
)
FUNCTIONS_KILLED = counter(
    "cdb_bus_functions_killed_total", "functions", "Functions that blocked the bus and were ended."
)
DISK_FREE = gauge(
    "cdb_disk_free_bytes",
    "bytes",
    "Free space of the disk below the service; in containers the one that holds the volumes.",
)
DISK_SIZE = gauge("cdb_disk_size_bytes", "bytes", "Size of that disk.")
BACKUP_AGE = gauge(
    "cdb_backup_age_seconds",
    "seconds",
    "Age of the newest file in CDB_BACKUP_DIR; missing while there is none.",
)
METRICS: Final = (
    *(*shell_metrics(SERVICE), BUS_LAG, CURSOR, CONNECTED, WRITE_AGE, COMMIT_SECONDS),
    *(TICKS_WRITTEN, EVENTS_WRITTEN, COMMITS, REFUSED, COUNTERS_HEALED, FUNCTIONS_KILLED),
    *(DISK_FREE, DISK_SIZE, BACKUP_AGE),
)
