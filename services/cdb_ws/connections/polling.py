"""Prices by REST while symbols have no stream: stops work on them, entries wait."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from services.cdb_ws.live.symbol_feed import SymbolFeed
from services.cdb_ws.live.symbol_ticks import SymbolTicks
from services.kernel.events import Event
from services.runtime.service import logging
from services.venues.mexc.rest import MexcRest, VenueAwayError
from services.venues.mexc.rest_messages import RestError

EVERY_S: Final = 2.0

_log = logging.get(__name__)


class Polling:
    """Asks for all summaries in one question, as long as a symbol needs it.

    Args:
        rest: Answers.
        ticks_of: Makes a symbol's events.
        emit: Takes them.
        now_ms: Wall time.

    Attributes:
        polls: Questions that were answered.
    """

    def __init__(
        self,
        rest: MexcRest,
        ticks_of: Callable[[str], SymbolTicks],
        emit: Callable[[list[Event]], None],
        now_ms: Callable[[], int],
    ) -> None:
        self.polls = 0
        self._rest = rest
        self._ticks_of = ticks_of
        self._emit = emit
        self._now_ms = now_ms

    async def run(self, down: Callable[[], Sequence[SymbolFeed]]) -> None:
        """Poll for ever; asks nothing while every symbol speaks."""
        while True:
            await asyncio.sleep(EVERY_S)
            silent = {feed.symbol for feed in down()}
            if not silent:
                continue
            try:
                rows = await self._rest.tickers()
            except (VenueAwayError, RestError) as away:
                _log.warning("tickers_missing", reason=str(away))
                continue
            self.polls += 1
            now = self._now_ms()
            events: list[Event] = []
            for row in rows:
                if row.symbol in silent:
                    events += self._ticks_of(row.symbol).polled(row, now)
            if events:
                self._emit(events)
