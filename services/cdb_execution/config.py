"""What cdb_execution is called, reads and writes, and which variables it reads at its start.

The simulation's parameters (SIM_LATENCY_MS and the like) are not among them: they reach the stage
through ``run_started``.
"""

from typing import Final

from services.kernel.events import topics
from services.runtime.service.variables import COMMON_VARIABLES, DATABASE_VARIABLES

SERVICE: Final = topics.EXECUTION
CONSUMES: Final = topics.CONSUMES[SERVICE]
EMITS: Final = topics.PRODUCES[SERVICE]
VARIABLES: Final = (
    *COMMON_VARIABLES,
    *DATABASE_VARIABLES,
    "REDIS_PASSWORD_CDB_EXECUTION",
    "POSTGRES_PASSWORD_CDB_EXECUTION",
)

DATABASE_PATIENCE_S: Final = 15.0
"""At the start, how long the stage waits for the tables before it trades without them (exits)."""
UNWRITTEN_LIMIT_S: Final = 4.0
"""Age of the oldest published event that is not written down at which no entry is allowed. With
the time between two looks, that is within 5 s."""
