"""The three pages of every service: /health, /status and /metrics, on a production WSGI server."""

import errno
import socket
import threading
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Flask, Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from waitress import wasyncore
from waitress.server import create_server

from services import __version__
from services.kernel.settings.model import SettingError
from services.runtime.service import logging
from services.runtime.service.health import Measure

THREADS = 4
MOST_CONNECTIONS = 200
"""Open at a time. One more closes the oldest that waits for its request to be complete."""
IDLE_S = 30
"""A connection on which nothing happens for so long is closed."""
STOP_TIMEOUT_S = 2.0
MOST_BODY_BYTES = 65_536
_log = logging.get(__name__)


def create_app(
    service: str,
    *,
    health: Measure,
    status: Callable[[], dict[str, object]],
    registry: CollectorRegistry,
    pages: Blueprint | None = None,
) -> Flask:
    """The WSGI application of one service.

    Args:
        service: Its name.
        health: Measures when asked; 503 with the reasons where there are any.
        status: State and configuration, JSON-able, without secrets.
        registry: What /metrics shows.
        pages: Further pages of this service.
    """
    app = Flask(service, static_folder=None)

    @app.get("/health")
    def _health() -> tuple[Response, int]:
        found = health()
        body: dict[str, object] = {
            "status": "ok" if found.ok else "unavailable",
            "service": service,
            "version": __version__,
        }
        if not found.ok:
            body |= {"reason": "; ".join(found.reasons), "reasons": list(found.reasons)}
        return jsonify(body | {"measured": dict(found.measured)}), 200 if found.ok else 503

    @app.get("/status")
    def _status() -> Response:
        return jsonify({"service": service, "version": __version__} | status())

    @app.get("/metrics")
    def _metrics() -> Response:
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    app.register_error_handler(Exception, _failed)
    app.after_request(_guard)
    if pages is not None:
        app.register_blueprint(pages)
    return app


def _failed(error: Exception) -> tuple[Response, int]:
    code = getattr(error, "code", None)
    if isinstance(code, int):
        return jsonify(error=getattr(error, "name", str(error))), code
    _log.error("page_failed", exc_info=error)
    return jsonify(error="this page failed; the service's log has the reason"), 500


def _guard(response: Response) -> Response:
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["Cache-Control"] = "no-store"
    return response


class HttpServer:
    """Serves an application from a thread of its own, from construction until ``close``.

    Args:
        app: What to serve.
        host: Address to listen on.
        port: TCP port; 0 chooses a free one, see ``port``.

    Raises:
        SettingError: The address is in use, does not exist, or needs more rights.
    """

    def __init__(self, app: Flask, host: str, port: int) -> None:
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = socket.create_server((host, port), family=family)
        except OSError as error:
            raise SettingError(_cannot_listen(host, port, error)) from error
        self.port: int = listener.getsockname()[1]
        self._sockets: dict[int, Any] = {}
        self._server = create_server(
            app,
            map=self._sockets,
            sockets=[listener],
            threads=THREADS,
            # The server's own limit stops accepting: `_close_oldest` keeps far below it.
            connection_limit=10 * MOST_CONNECTIONS,
            channel_timeout=IDLE_S,
            cleanup_interval=IDLE_S // 2,
            ident=None,
            clear_untrusted_proxy_headers=True,
            max_request_body_size=MOST_BODY_BYTES,
        )
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, and end the requests that are being answered; harmless when closed."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._server.pull_trigger()
        self._thread.join(STOP_TIMEOUT_S)
        # Not in that thread: it may see the flag, and would close what is about to be pulled.
        for channel in list(self._sockets.values()):
            channel.close()
        self._server.close()

    def _serve(self) -> None:
        # Not the server's own loop, which only an exception from a signal can end.
        while not self._closing.is_set():
            wasyncore.loop(timeout=1.0, use_poll=True, map=self._sockets, count=1)
            self._close_oldest()
        self._server.task_dispatcher.shutdown(timeout=STOP_TIMEOUT_S / 2)

    def _close_oldest(self) -> None:
        """Make room: half-open connections must not keep the health check from being answered."""
        channels = self._server.active_channels
        if len(channels) <= MOST_CONNECTIONS:
            return
        staying = [channel for channel in channels.values() if not channel.will_close]
        waiting = [channel for channel in staying if not channel.requests]
        waiting.sort(key=lambda channel: channel.creation_time)
        for channel in waiting[: max(0, len(staying) - MOST_CONNECTIONS)]:
            channel.will_close = True


def _cannot_listen(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"HTTP_PORT={port} is in use on {host}; stop what uses it or set another HTTP_PORT"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"HTTP_PORT={port} may not be opened by this user; set HTTP_PORT above 1023"
    return f"HTTP_HOST={host} HTTP_PORT={port} cannot be listened on ({error}); set another address"
