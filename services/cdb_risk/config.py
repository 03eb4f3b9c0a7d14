"""What cdb_risk is called, reads and writes, and which variables it reads at its start.

The limits are not among them: they reach the stage through ``run_started``.
"""

from typing import Final

from services.kernel.events import topics
from services.runtime.service.variables import COMMON_VARIABLES

SERVICE: Final = topics.RISK
CONSUMES: Final = topics.CONSUMES[SERVICE]
EMITS: Final = topics.PRODUCES[SERVICE]
VARIABLES: Final = (*COMMON_VARIABLES, "REDIS_PASSWORD_CDB_RISK")
