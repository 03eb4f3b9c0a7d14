"""What cdb_core is called, reads and writes, and which variables it reads at its start.

What shapes signals (LOOKBACK_MINUTES and the like) is not among them: that reaches the stage
through ``run_started``.
"""

from typing import Final

from services.kernel.events import topics
from services.runtime.service.variables import COMMON_VARIABLES

SERVICE: Final = topics.CORE
CONSUMES: Final = topics.CONSUMES[SERVICE]
EMITS: Final = topics.PRODUCES[SERVICE]
VARIABLES: Final = (*COMMON_VARIABLES, "REDIS_PASSWORD_CDB_CORE")
