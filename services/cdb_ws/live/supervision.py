"""Supervises the feed as a whole: venue away, clocks apart, sockets that reconnect too often."""

import asyncio
from typing import Final

from services.cdb_ws.alert_publisher import CLOCK_OFFSET, AlertPublisher
from services.cdb_ws.connections.attempts import BUDGET, BUDGET_S
from services.cdb_ws.connections.socket import LOOK_EVERY_S, Socket
from services.cdb_ws.connections.venue_clock import VenueClock
from services.cdb_ws.live.instrument_provider import InstrumentProvider
from services.cdb_ws.symbols.pool import Pool
from services.kernel.events import AlertLevel

AWAY_AFTER_S: Final = 5.0

VENUE_AWAY: Final = "VENUE_AWAY"
RECONNECTS_SPENT: Final = "RECONNECTS_SPENT"


class Supervision:
    """Checks the feed once a second, and alerts on changes.

    Args:
        instruments: Knows whether the venue was reached.
        pool: The sockets.
        alerts: Publishes alerts.
        clock: The venue's clock.
    """

    def __init__(
        self, instruments: InstrumentProvider, pool: Pool, alerts: AlertPublisher, clock: VenueClock
    ) -> None:
        self._clock = clock
        self._instruments = instruments
        self._pool = pool
        self._alerts = alerts

    def pong(self, socket: Socket, server_ms: int, now_ms: int) -> None:
        """A pong arrived: the venue read its clock between ping and now."""
        sent_ms = now_ms if socket.pinged_ms is None else socket.pinged_ms
        self._clock.pong(sent_ms, server_ms, now_ms)
        socket.pong()

    def away(self) -> str | None:
        """Why the venue cannot be reached; None if it can."""
        if self._instruments.away is not None:
            return f"MEXC is not reached: {self._instruments.away}"
        sockets = list(self._pool.sockets.values())
        if sockets and not any(socket.up for socket in sockets):
            return f"MEXC is not connected: {sockets[0].reason}"
        return None

    def troubles(self) -> list[str]:
        """Why the market cannot be trusted now; empty if it can. Thread-safe."""
        unlisted = list(self._instruments.unlisted().values())
        if (away := self.away()) is not None:
            return [away, *unlisted]
        gaps = list(self._alerts.gaps.items())
        found = [f"{symbol} has an open gap: {why}" for symbol, why in gaps]
        silent = [feed.symbol for feed in list(self._pool.feeds.values()) if feed.silent]
        if silent:
            found.append(f"no data although subscribed: {', '.join(silent)}")
        wrong = [why for symbol, why in list(self._alerts.clock_offsets.items()) if symbol]
        return found + unlisted + wrong + ([offset] if (offset := self._clock.trouble()) else [])

    async def watch(self) -> None:
        """Report what begins and what is over, for ever."""
        down_since: float | None = None
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            away = self.away()
            down_since = None if away is None else (down_since or loop.time())
            if away is None:
                self._alerts.clear(VENUE_AWAY)
            elif down_since is not None and loop.time() - down_since >= AWAY_AFTER_S:
                self._alerts.see(AlertLevel.CRITICAL, VENUE_AWAY, away)
            self._look_at_clock()
            self._look_at_budget()

    def _look_at_clock(self) -> None:
        trouble = self._clock.trouble()
        if trouble is None:
            self._alerts.clear(CLOCK_OFFSET)
        else:
            offset = self._clock.offset_ms
            self._alerts.see(AlertLevel.WARNING, CLOCK_OFFSET, trouble, offset_ms=offset)

    def _look_at_budget(self) -> None:
        now = asyncio.get_running_loop().time()
        spent = [
            number
            for number, one in self._pool.sockets.items()
            if not one.up and one.attempts.spent(now)
        ]
        if spent:
            message = f"sockets {spent} ended {BUDGET} times within {BUDGET_S:g} s: slower attempts"
            self._alerts.see(AlertLevel.WARNING, RECONNECTS_SPENT, message)
        else:
            self._alerts.clear(RECONNECTS_SPENT)
