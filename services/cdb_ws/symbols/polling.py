"""Polls prices by REST for symbols without a stream: stops work on them, entries wait."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Final

from services.cdb_ws.symbols.symbol_feed import SymbolFeed
from services.cdb_ws.symbols.symbol_ticks import SymbolTicks
from services.kernel.events import Event
from services.runtime.service import logging
from services.venues.mexc.messages import Ticker
from services.venues.mexc.rest import MexcRest, VenueAwayError
from services.venues.mexc.rest_messages import RestError

EVERY_S: Final = 2.0
SINGLE_SYMBOLS: Final = 4
"""Up to this many symbols are requested one by one: the answer with all symbols has 350 kB."""

ALL_BURST: Final = 60
"""Budget of requests for all symbols: two minutes without a limit, then one every 20 s."""

ALL_REFILL_S: Final = 20.0
"""Budget of requests for all symbols: a burst of two minutes, then one every 20 s."""

_log = logging.get(__name__)


class Polling:
    """Requests the summaries of symbols without a stream, within a budget.

    Args:
        rest: REST client.
        ticks_of: Returns the event maker of a symbol.
        emit: Takes the events.
        now_ms: Wall time.

    Attributes:
        polls: Number of answered requests.
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
        self._budget = float(ALL_BURST)

    async def run(self, down: Callable[[], Sequence[SymbolFeed]]) -> None:
        """Poll for ever; sends no request while every symbol has a stream."""
        while True:
            await asyncio.sleep(EVERY_S)
            self._budget = min(self._budget + EVERY_S / ALL_REFILL_S, ALL_BURST)
            silent = [feed.symbol for feed in down()]
            for rows in await self._rows(silent) if silent else ():
                self.polls += 1
                self._publish(rows, {feed.symbol for feed in down()})

    async def _rows(self, silent: Sequence[str]) -> list[tuple[Ticker, ...]]:
        try:
            if len(silent) <= SINGLE_SYMBOLS:
                return [await self._rest.ticker(symbol) for symbol in silent]
            if self._budget < 1:
                return []
            self._budget -= 1
            return [await self._rest.tickers()]
        except (VenueAwayError, RestError) as away:
            _log.warning("tickers_missing", reason=str(away))
            return []

    def _publish(self, rows: Sequence[Ticker], silent: Collection[str]) -> None:
        """Publish the rows of symbols that still have no stream; REST may have taken minutes."""
        now = self._now_ms()
        events: list[Event] = []
        for row in rows:
            if row.symbol in silent:
                events += self._ticks_of(row.symbol).polled(row, now)
        if events:
            self._emit(events)
