"""Records MEXC without a run: the engine and a clock, no trading."""

import asyncio
from collections.abc import Callable, Iterable
from random import Random
from typing import Final

from services.cdb_ws.live.engine import Engine
from services.cdb_ws.live.engine_config import EngineConfig
from services.cdb_ws.publishing import ticks
from services.cdb_ws.publishing.clocks import SECOND_MS
from services.cdb_ws.recording.recorder import Recorder
from services.kernel.events import Alert, Event, Instruments
from services.venues.mexc.network import Network

LOOK_EVERY_S: Final = 0.2


class LiveRecording:
    """Subscribes as a run does, and records what a run would publish.

    Args:
        network: Connection to the venue.
        config: What to subscribe.
        random: Jitter.
        recorder: A started recorder.
        on_alert: Called with each alert of feed and recorder.

    Attributes:
        engine: The feed.
    """

    def __init__(
        self,
        network: Network,
        config: EngineConfig,
        random: Random,
        recorder: Recorder,
        on_alert: Callable[[Alert], None],
    ) -> None:
        self.engine = Engine(network, config, random, self._emitted, recorder.frame)
        self._network = network
        self._run_id = config.run_id
        self._recorder = recorder
        self._on_alert = on_alert
        self._clock = 0
        self._began = False

    async def run(self, seconds: float | None) -> None:
        """Record for some seconds, or until cancelled."""
        loop = asyncio.get_running_loop()
        until = None if seconds is None else loop.time() + seconds
        listening = asyncio.create_task(self.engine.run())
        try:
            while until is None or loop.time() < until:
                done, _ = await asyncio.wait([listening], timeout=LOOK_EVERY_S)
                if done:
                    await listening  # raises what ended it
                self._pass_time()
                self._report(self._recorder.alerts(self._run_id, self._network.now_ms()))
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    def _emitted(self, events: list[Event]) -> None:
        self._began = self._began or any(isinstance(event, Instruments) for event in events)
        self._pass_time()
        self._recorder.events(events)
        self._report(events)

    def _pass_time(self) -> None:
        """Record a clock each second, before the events of that second.

        The first clock comes in the second after the contract details: these, and the history
        published with them, come before all clocks.
        """
        second = self._network.now_ms() // SECOND_MS * SECOND_MS
        if self._began and second > self._clock:
            if self._clock:
                self._recorder.events([ticks.clock(self._run_id, second)])
            self._clock = second

    def _report(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Alert):
                self._on_alert(event)
