"""What cdb_db_writer is called, reads and writes, and which variables it reads at its start."""

from typing import Final

from services.kernel.events import topics
from services.runtime.service.variables import COMMON_VARIABLES, DATABASE_VARIABLES

SERVICE: Final = topics.DB_WRITER
CONSUMES: Final = topics.CONSUMES[SERVICE]
EMITS: Final = topics.PRODUCES[SERVICE]
VARIABLES: Final = (
    *COMMON_VARIABLES,
    *DATABASE_VARIABLES,
    "POSTGRES_USER",
    "POSTGRES_PASSWORD",
    "POSTGRES_PASSWORD_CDB_DB_WRITER",
    "POSTGRES_PASSWORD_CDB_EXECUTION",
    "POSTGRES_PASSWORD_CDB_PAPER_RUNNER",
    "POSTGRES_PASSWORD_CLAIRE_GRAFANA",
    "POSTGRES_PASSWORD_CDB_CONSOLE",
    "REDIS_PASSWORD_CDB_DB_WRITER",
    "REDIS_PASSWORD_RECOVERY",
    "CDB_BACKUP_DIR",
)

BATCH_EVENTS: Final = 5000
"""Most events of one transaction."""
LINGER_S: Final = 0.1
"""How long an event may wait for others to share its transaction."""
GATHER_S: Final = 0.02
"""Time between two receipts: an event lingers in any case, so it need not wake anybody alone."""
SNAPSHOT_COPY_S: Final = 30.0
"""Seconds between two copies of the stages' snapshots."""
WRITE_AGE_LIMIT_S: Final = 5.0
"""How old an unwritten event may be before /health says so."""
LAG_LIMIT: Final = 100_000
"""Events that are published and not yet received before /health says so."""
