"""What cdb_paper_runner is called, reads and writes, and which variables it reads at its start.

It is the one service that reads the trading settings: it hands them to the stages with
``run_started``.
"""

from typing import Final

from services.kernel.events import topics
from services.kernel.settings.parameters import ALL_SPECS
from services.runtime.service.variables import COMMON_VARIABLES, DATABASE_VARIABLES
from services.runtime.settings.model import CONSOLE_SECRETS

SERVICE: Final = topics.PAPER_RUNNER
CONSUMES: Final = topics.CONSUMES[SERVICE]
EMITS: Final = topics.PRODUCES[SERVICE]
VARIABLES: Final = tuple(
    dict.fromkeys(
        (
            *COMMON_VARIABLES,
            *DATABASE_VARIABLES,
            "REDIS_PASSWORD_CDB_PAPER_RUNNER",
            "POSTGRES_PASSWORD_CDB_PAPER_RUNNER",
            *CONSOLE_SECRETS,
            "CONSOLE_PORT",
            "CONSOLE_SERVICES",
            "CDB_SEED",
            "CDB_DURATION",
            "CDB_DATA",
            "CDB_INSTRUMENTS",
            "SYMBOL_WHITELIST",
            "INTERVAL",
            "TOP_N",
            *(spec.name for spec in ALL_SPECS),
        )
    )
)
