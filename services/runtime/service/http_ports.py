"""Port of /health, /status and /metrics where HTTP_PORT does not say otherwise."""

from typing import Final

from services.kernel.events import topics

HTTP_PORTS: Final[dict[str, int]] = {
    topics.WS: 8000,
    topics.CORE: 8001,
    topics.RISK: 8002,
    topics.EXECUTION: 8003,
    topics.PAPER_RUNNER: 8004,
    topics.DB_WRITER: 8005,
}
