"""Asks every service how it is, once for all pages that are open."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from services.console.now import ServiceReading, now_view
from services.runtime.service.http_query import get_json

INTERVAL_S: Final = 0.5
"""Between two readings while a page is open."""
IDLE_INTERVAL_S: Final = 5.0
"""Between two readings while none is open."""
ANSWER_S: Final = 2.0

Listener = Callable[[dict[str, Any]], None]


class Watch:
    """A thread that reads the services and hands each new view to ``on_view``.

    Args:
        services: Service name to base URL.
        on_view: Called from the thread with each view; see `now_view`.
        is_watched: Whether a page is open.
    """

    def __init__(
        self, services: Mapping[str, str], on_view: Listener, is_watched: Callable[[], bool]
    ) -> None:
        self._services = dict(services)
        self._on_view = on_view
        self._is_watched = is_watched
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(max_workers=len(services) or 1, thread_name_prefix="ask")
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.view: dict[str, Any] = now_view({}, read_at=_wall_ms())
        self.settings: dict[str, Any] = {}

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def close(self) -> None:
        """Stop reading; returns when the thread has ended or after one answer's time limit."""
        self._stopping.set()
        self._thread.join(ANSWER_S)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def read(self) -> dict[str, Any]:
        """Ask all services now.

        Returns:
            The view; it is kept as ``view`` too.
        """
        names = list(self._services)
        readings = dict(zip(names, self._pool.map(self._ask, names), strict=True))
        self.settings = dict(_settings(readings) or self.settings)
        self.view = now_view(readings, read_at=_wall_ms())
        return self.view

    def _ask(self, name: str) -> ServiceReading:
        url = self._services[name]
        health = get_json(f"{url}/health", ANSWER_S)
        if not health.status:
            return ServiceReading(False, health.body)
        status = get_json(f"{url}/status", ANSWER_S)
        return ServiceReading(health.status == 200, health.body, status.body)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._on_view(self.read())
            self._stopping.wait(INTERVAL_S if self._is_watched() else IDLE_INTERVAL_S)


def _settings(readings: Mapping[str, ServiceReading]) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for reading in readings.values():
        settings = reading.status.get("settings")
        if isinstance(settings, dict):
            # Only the orchestrator knows all trading settings; a service adds what is its own.
            found = {**settings, **found} if len(settings) < len(found) else {**found, **settings}
    return found


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
