"""The variables that every service on the bus reads at its start."""

from typing import Final

COMMON_VARIABLES: Final = (
    "REDIS_HOST",
    "REDIS_PORT",
    "HTTP_HOST",
    "HTTP_PORT",
    "LOG_LEVEL",
    "TRADING_MODE",
    "CDB_SOURCE",
    "CDB_SPEED",
    "DATA_STALE_TIMEOUT_SEC",
    "SNAPSHOT_INTERVAL_SEC",
)

DATABASE_VARIABLES: Final = ("POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_DB")
