"""The source ``mexc``: runs the engine on a thread and event loop of its own."""

import asyncio
import gc
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from random import Random
from typing import Final

from msgspec.structs import replace
from prometheus_client.core import Metric

from services.cdb_ws.live import metrics
from services.cdb_ws.live.engine import Engine, OnFrame
from services.cdb_ws.live.engine_config import EngineConfig
from services.kernel.events import Event, MarketData
from services.runtime.bus.encoded import Outgoing, encoded
from services.runtime.service import logging
from services.venues.mexc.network import InternetNetwork, Network

CLOSE_WITHIN_S: Final = 6.0
MOST_AT_ONCE: Final = 2_000
"""Maximum number of events published together."""

_log = logging.get(__name__)


class Mexc:
    """The live market.

    Args:
        config: What to subscribe; the restart state comes with ``begin``.
        on_frame: Called with every received frame, on the engine's thread.
        network: Connection to the venue.
        random: Jitter.
        held: Returns the symbols with an open position; called on the engine's thread.
    """

    def __init__(
        self,
        config: EngineConfig,
        on_frame: OnFrame | None = None,
        network: Network | None = None,
        random: Random | None = None,
        held: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        self._config = config
        self._on_frame = on_frame
        self._held = held
        self._network = network or InternetNetwork()
        self._random = random or Random()  # noqa: S311 - spreads attempts only
        # Appending, popping and counting are atomic: two threads need no lock.
        self._events: deque[Outgoing] = deque()
        self._engine: Engine | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None
        self._failed: BaseException | None = None

    def begin(self, past: Sequence[MarketData], clock_ms: int) -> None:
        """Start the engine. It connects by itself, however long that takes."""
        self._engine = Engine(
            self._network,
            replace(self._config, past=past, last_clock_ms=clock_ms),
            self._random,
            self._emitted,
            self._on_frame,
            self._events.__len__,
            self._held,
        )
        started = threading.Event()
        self._thread = threading.Thread(
            target=self._work, args=(self._engine, started.set), name="mexc", daemon=True
        )
        self._thread.start()
        started.wait(CLOSE_WITHIN_S)

    def take(self) -> list[Outgoing]:
        """The events that have arrived.

        Raises:
            BaseException: The error with which the engine failed.
        """
        if self._failed is not None:
            raise self._failed
        waiting = self._events
        return [waiting.popleft() for _ in range(min(len(waiting), MOST_AT_ONCE))]

    def troubles(self) -> list[str]:
        """Why the market cannot be trusted now."""
        return self._engine.troubles() if self._engine else ["MEXC is not asked yet"]

    def counts(self) -> dict[str, object]:
        """Numbers of received, refused, recovered and lost items."""
        if self._engine is None:
            return {}
        return metrics.counts(self._engine) | {"events_waiting": len(self._events)}

    def figures(self) -> Iterable[Metric]:
        """The same for Prometheus."""
        return metrics.metrics(self._engine) if self._engine else ()

    def close(self) -> None:
        """Disconnect and stop the thread."""
        loop, task, thread = self._loop, self._task, self._thread
        if loop is not None and task is not None and not loop.is_closed():
            loop.call_soon_threadsafe(task.cancel)
        if thread is not None:
            thread.join(CLOSE_WITHIN_S)
        self._thread = self._engine = None
        # The engine is full of reference cycles and holds up to 45 s of the whole market.
        gc.collect()

    def _emitted(self, events: list[Event]) -> None:
        self._events.extend(map(encoded, events))

    def _work(self, engine: Engine, started: Callable[[], None]) -> None:
        async def run() -> None:
            self._loop = asyncio.get_running_loop()
            self._task = asyncio.current_task()
            started()
            await engine.run()

        try:
            asyncio.run(run())
        except asyncio.CancelledError:
            pass
        except BaseException as failure:  # raised again by take()
            _log.exception("mexc_failed")
            self._failed = failure
