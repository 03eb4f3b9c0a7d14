"""The metrics of ``cdb_execution``."""

from typing import Final

from services.cdb_execution.config import SERVICE
from services.runtime.consumer.stage_metrics import STAGE
from services.runtime.service.declared_metric import counter, gauge
from services.runtime.service.metrics import shell_metrics

DB_CONNECTED = gauge("cdb_db_connected", "flag", "1 while the database can be written.")
DB_WRITE_AGE = gauge("cdb_db_write_age_seconds", "seconds", "Age of the oldest unwritten event.")
DB_REFUSED = counter("cdb_db_refused_events_total", "events", "Events that no table could hold.")
METRICS: Final = (*shell_metrics(SERVICE), *STAGE, DB_CONNECTED, DB_WRITE_AGE, DB_REFUSED)
