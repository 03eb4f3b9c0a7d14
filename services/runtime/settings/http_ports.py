"""Port of /health, /status and /metrics where HTTP_PORT does not say otherwise.

The names stand here as text: the containers' health check imports this module every few seconds
without site packages, and the kernel's events need some.
"""

from typing import Final

HTTP_PORTS: Final[dict[str, int]] = {
    "cdb_ws": 8000,
    "cdb_core": 8001,
    "cdb_risk": 8002,
    "cdb_execution": 8003,
    "cdb_db_writer": 8005,
    "cdb_paper_runner": 8006,
}
