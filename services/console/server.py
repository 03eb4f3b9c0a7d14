"""Runs the console: Flask pages behind a Starlette application, on one port."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable
from types import FrameType
from typing import Any, Final, cast

import uvicorn
from a2wsgi import WSGIMiddleware
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from services import __version__
from services.console import record
from services.console.listener import BusListener
from services.console.pages import create_app
from services.console.reader import BusyError, RecordReader
from services.console.session import is_known_host
from services.console.sources import DeskSources
from services.console.stream import MOST_MISSED, Hub
from services.console.watch import Watch
from services.runtime.database.address import DatabaseAwayError, DatabaseRefusedError

PAGE_THREADS: Final = 8
STOP_S: Final = 2
"""Streams and requests have so long to end after SIGTERM."""


class Console:
    """Everything that runs while the console is up.

    Args:
        sources: What it shows.
    """

    def __init__(self, sources: DeskSources) -> None:
        self.sources = sources
        self.reader = RecordReader(sources.database)
        self.hub: Hub | None = None
        self.watch = Watch(sources.services, self._post_view, self._is_watched)
        self.listener = BusListener(sources.bus, self._post_event, self._post_link)

    def application(self) -> Starlette:
        """The ASGI application; its life begins and ends the threads."""
        app = create_app(self.sources, self.watch, self.reader)
        # Flask calls the types of WSGI by their names in the standard library, a2wsgi by its own.
        pages = WSGIMiddleware(cast("Any", app.wsgi_app), workers=PAGE_THREADS)
        return Starlette(
            routes=[
                Route("/health", self._health),
                Route("/stream", self._stream),
                Mount("/", app=pages),  # type: ignore[arg-type]
            ],
            lifespan=self._life,
        )

    @contextlib.asynccontextmanager
    async def _life(self, _app: Starlette) -> AsyncIterator[None]:
        self.hub = Hub(asyncio.get_running_loop())
        self.watch.start()
        self.listener.start()
        try:
            yield
        finally:
            await run_in_threadpool(self.listener.close)
            await run_in_threadpool(self.watch.close)
            self.reader.close()

    async def _health(self, _request: Request) -> JSONResponse:
        reasons = [] if self.listener.is_connected else [f"the bus at {self.sources.bus} is away"]
        streams = 0 if self.hub is None else self.hub.open_streams
        body = {
            "status": "unavailable" if reasons else "ok",
            "service": "cdb_console",
            "version": __version__,
            "reasons": reasons,
            "measured": {"open_streams": streams, "read_at": self.watch.view["read_at"]},
        }
        return JSONResponse(body, 503 if reasons else 200)

    async def _stream(self, request: Request) -> Response:
        if not is_known_host(request.headers.get("host", "")):
            return JSONResponse({"error": "this Host is not this machine"}, 421)
        if self.hub is None or self.hub.is_full:
            return JSONResponse(
                {"error": "too many pages are open"}, 503, headers={"Retry-After": "10"}
            )
        missed = await run_in_threadpool(self._missed, request.headers.get("last-event-id"))
        return StreamingResponse(
            self.hub.stream(missed),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    def _missed(self, last: str | None) -> list[dict[str, object]] | None:
        """Events since a page's last one; None where there are too many, or they cannot be read."""
        if last is None or not last.isdigit():
            return []
        try:
            with self.reader.reading() as connection:
                rows = record.events_after(connection, int(last), MOST_MISSED + 1)
        except (DatabaseAwayError, DatabaseRefusedError, BusyError):
            return None
        return rows if len(rows) <= MOST_MISSED else None

    def _post_view(self, view: dict[str, object]) -> None:
        if self.hub is not None:
            self.hub.post_view(view)

    def _post_event(self, row: dict[str, object]) -> None:
        if self.hub is not None:
            self.hub.post_event(row)

    def _post_link(self, state: str) -> None:
        if self.hub is not None:
            self.hub.post_link(state)

    def _is_watched(self) -> bool:
        return self.hub is not None and self.hub.open_streams > 0


class _Server(uvicorn.Server):
    """Ends the open streams at the signal, because uvicorn waits for every response to end."""

    def __init__(self, config: uvicorn.Config, on_exit: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_exit = on_exit

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        # Not uvicorn's own: it raises the signal again at the end, and the exit code would be no 0.
        self._on_exit()
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def serve(sources: DeskSources, host: str, port: int) -> None:
    """Serve the console until SIGTERM or Ctrl-C.

    Args:
        sources: What it shows.
        host: Address to listen on.
        port: TCP port.
    """
    console = Console(sources)
    config = uvicorn.Config(
        console.application(),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=STOP_S,
        server_header=False,
        limit_concurrency=1_000,
    )
    _Server(config, lambda: console.hub.close() if console.hub is not None else None).run()
