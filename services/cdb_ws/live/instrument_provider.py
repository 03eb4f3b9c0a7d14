"""Provides the subscribed symbols with contract and history, at the start and every hour."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Final, Protocol

from msgspec.structs import replace

from services.cdb_ws.alert_publisher import AlertPublisher
from services.cdb_ws.connections.socket import LOOK_EVERY_S
from services.cdb_ws.integrity.restart_state import RestartState
from services.cdb_ws.live.engine_config import EngineConfig
from services.cdb_ws.live.universe import EVERY_S, Universe
from services.cdb_ws.publishing import ticks
from services.cdb_ws.symbols.minute_history import history
from services.cdb_ws.symbols.symbol_feed import SymbolFeed
from services.cdb_ws.trades.trade_sequence import TradeSequence
from services.kernel.events import AlertLevel, Event
from services.kernel.instruments.contracts import Instrument
from services.runtime.service import logging
from services.runtime.service.backoff import Backoff
from services.venues.mexc.contracts import Origin
from services.venues.mexc.rest import VenueAwayError
from services.venues.mexc.rest_messages import RestError

MINUTE_MS: Final = 60_000
PATIENCE_S: Final = 10.0
"""Maximum wait of a symbol for its history and its funding interval."""

FIRST_RETRY_S: Final = 1.0
LONGEST_RETRY_S: Final = 30.0
STALE_RETRY_S: Final = 15.0
"""Time between two requests for contract details while they are not the venue's current ones."""

POSITION_UNLISTED: Final = "POSITION_UNLISTED"

_log = logging.get(__name__)


class Feeds(Protocol):
    """Subscribes and unsubscribes symbols."""

    def add(self, feed: SymbolFeed) -> None:
        """Subscribe a symbol."""

    def drop(self, symbol: str) -> SymbolFeed | None:
        """Unsubscribe a symbol; returns its state."""

    def use(self, contract: Instrument) -> None:
        """Use these contract details from now on, if the symbol is subscribed."""


class InstrumentProvider:
    """The subscribed symbols and their contracts.

    Args:
        config: What is requested.
        universe: Chooses the symbols.
        restart_state: What was published before a restart.
        alerts: Publishes alerts about stale or missing contracts.
        emit: Takes events.
        now_ms: Wall time.
        random: Jitter of the waits for a venue that does not answer at the start.

    Attributes:
        on: Contracts of the subscribed symbols.
        away: Why nothing could start yet; None once it has.
    """

    def __init__(
        self,
        config: EngineConfig,
        universe: Universe,
        restart_state: RestartState,
        alerts: AlertPublisher,
        emit: Callable[[list[Event]], None],
        now_ms: Callable[[], int],
        random: Random,
    ) -> None:
        self.on: dict[str, Instrument] = {}
        self.away: str | None = "not connected yet"
        self._run_id = config.run_id
        self._rest = universe.rest
        self._book = universe.book
        self._universe = universe
        self._restart_state = restart_state
        self._alerts = alerts
        self._lookback_ms = config.lookback_minutes * MINUTE_MS
        self._emit = emit
        self._now_ms = now_ms
        self._backoff = Backoff(FIRST_RETRY_S, LONGEST_RETRY_S, random=random)
        self._announced: dict[str, Instrument] = {}
        self._announced_universe: tuple[str, ...] | None = None
        self._instruments_made = 0
        self._reported_unlisted: frozenset[str] = frozenset()
        self._feeds: Feeds | None = None
        self._late_hours: dict[str, int] = {}
        self._left: dict[str, TradeSequence] = {}

    async def run(self, feeds: Feeds, tasks: asyncio.TaskGroup) -> None:
        """Start as soon as contracts and symbols are known, then evaluate again at intervals."""
        self._feeds = feeds
        while True:
            await self._book.refresh(self._now_ms())
            await self._universe.evaluate()
            self._report_stale()
            self._report_unlisted()
            if self._universe.symbols or self.on:
                self.away = None
                self._backoff.reset()
                await self._change(feeds, tasks)
                await self._stay(EVERY_S if self._is_fresh else STALE_RETRY_S, feeds, tasks)
            else:
                self.away = self._why_nothing()
                _log.warning("mexc_away", reason=self.away)
                await asyncio.sleep(self._backoff.next_delay())

    def changed(self, symbol: str) -> None:
        """The venue has pushed new contract details, or has delisted a contract."""
        known, contract = self.on.get(symbol), self._book.contracts.get(symbol)
        if known is not None and contract is not None:
            self.on[symbol] = replace(contract, funding_interval_hours=known.funding_interval_hours)
            self._announce([self.on[symbol]])
        self._report_unlisted()

    def unlisted(self) -> dict[str, str]:
        """Why positions have no price, by symbol. Thread-safe."""
        return {symbol: self._why_unlisted(symbol) for symbol in self._universe.unlisted()}

    async def _stay(self, seconds: float, feeds: Feeds, tasks: asyncio.TaskGroup) -> None:
        """Wait for the next evaluation; symbols with a new position are added at once."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0:
            await asyncio.sleep(min(LOOK_EVERY_S, left))
            self._report_unlisted()
            self._use_late_hours()
            left, joined = self._universe.leave_unlisted(), self._universe.include_held()
            if left or joined:
                await self._change(feeds, tasks)

    @property
    def _is_fresh(self) -> bool:
        return self._book.origin is Origin.VENUE and self._universe.problem is None

    def _why_nothing(self) -> str:
        if problem := self._book.problem or self._universe.problem:
            return problem
        unknown = ", ".join(self._universe.unknown)
        return f"no contract of these: {unknown}" if unknown else "no symbol to subscribe"

    def _report_stale(self) -> None:
        if self._book.origin is Origin.VENUE:
            self._alerts.clear("CONTRACTS_STALE")
            return
        age = self._book.age_ms(self._now_ms())
        how_old = f"{age // 60_000} minutes old" if age is not None else "shipped with the program"
        message = (
            f"contract details are not the venue's current ones but {how_old}: {self._book.problem}"
        )
        self._alerts.see(AlertLevel.WARNING, "CONTRACTS_STALE", message)

    def _why_unlisted(self, symbol: str) -> str:
        if symbol in self.on:
            return (
                f"a position is open in {symbol}, which MEXC has delisted:"
                " its stop works only while its stream sends data; close it"
            )
        return (
            f"a position is open in {symbol}, whose contract is unknown"
            f" (details: {self._book.origin}): it has no price, and its stop cannot trigger"
        )

    def _report_unlisted(self) -> None:
        found = self.unlisted()
        for symbol in self._reported_unlisted - found.keys():
            self._alerts.clear(POSITION_UNLISTED, symbol)
        for symbol, why in found.items():
            self._alerts.see(AlertLevel.CRITICAL, POSITION_UNLISTED, why, symbol)
        self._reported_unlisted = frozenset(found)

    # -- a new set of symbols -------------------------------------------------------------------

    async def _change(self, feeds: Feeds, tasks: asyncio.TaskGroup) -> None:
        wanted = self._universe.symbols
        # A delisted symbol with a position stays: its stream may continue for a while.
        for symbol in set(self.on).difference(wanted, self._universe.unlisted()):
            del self.on[symbol]
            left = feeds.drop(symbol)
            if left is not None:
                self._left[symbol] = left.sequence
        new = [symbol for symbol in wanted if symbol not in self.on]
        hours = await self._funding_hours(new, tasks)
        for symbol in wanted:
            contract = self._book.contracts[symbol]
            known = self.on.get(symbol, contract).funding_interval_hours
            self.on[symbol] = replace(contract, funding_interval_hours=hours.get(symbol, known))
        self._announce(self.on.values())
        if self._is_fresh:  # otherwise a symbol may be missing only because its details are missing
            self._restart_state.clear_others(self.on, self._alerts)
        for symbol in new:
            tasks.create_task(self._start(symbol, feeds))

    def _announce(self, contracts: Iterable[Instrument]) -> None:
        """Publish new and changed contracts, and the symbols in which positions may be opened."""
        changed = [one for one in contracts if self._announced.get(one.symbol) != one]
        universe = tuple(sorted(self._universe.chosen))
        if not changed and universe == self._announced_universe:
            return
        self._announced.update((one.symbol, one) for one in changed)
        for contract in changed:
            if self._feeds is not None:
                self._feeds.use(contract)
        self._announced_universe = universe
        now = self._now_ms()
        self._instruments_made += 1
        index = f"{now}:{self._instruments_made}"
        self._emit([ticks.instruments(self._run_id, now, tuple(changed), index, universe)])

    async def _funding_hours(
        self, symbols: Sequence[str], tasks: asyncio.TaskGroup
    ) -> dict[str, int]:
        """The intervals known within `PATIENCE_S`; later answers are used when they arrive."""
        found: dict[str, int] = {}

        async def ask(symbol: str) -> None:
            try:
                hours = await self._rest.funding_hours(symbol)
            except (VenueAwayError, RestError) as away:
                _log.warning("funding_interval_unknown", symbol=symbol, reason=str(away))
            else:
                found[symbol] = self._late_hours[symbol] = hours

        asked = [tasks.create_task(ask(symbol)) for symbol in symbols]
        if asked:
            _, late = await asyncio.wait(asked, timeout=PATIENCE_S)
            if late:
                _log.warning("funding_intervals_late", symbols=len(late))
        return found

    def _use_late_hours(self) -> None:
        hours, self._late_hours = self._late_hours, {}
        changed = [
            replace(self.on[symbol], funding_interval_hours=interval)
            for symbol, interval in hours.items()
            if symbol in self.on and self.on[symbol].funding_interval_hours != interval
        ]
        for contract in changed:
            self.on[contract.symbol] = contract
        if changed:
            self._announce(changed)

    async def _start(self, symbol: str, feeds: Feeds) -> None:
        """Publish the history if it arrives soon, then subscribe the symbol."""
        contract = self.on[symbol]
        earlier = self._restart_state.feed(symbol, contract)
        if earlier is not None:
            feeds.add(earlier)
            return
        if (left := self._left.pop(symbol, None)) is not None and self._overlaps(left):
            back = SymbolFeed(self.on[symbol], left)
            back.comes_back()
            feeds.add(back)
            return
        history = asyncio.create_task(self._history(contract))
        try:
            await asyncio.wait({history}, timeout=PATIENCE_S)
            # Trades since the last closed minute are requested: nothing is missing in between.
            since = history.result() if history.done() else None
            fresh = TradeSequence(since)
            if since is not None:
                fresh.lose()
            if symbol in self.on:
                feeds.add(SymbolFeed(self.on[symbol], fresh))
            await history
        finally:
            history.cancel()

    def _overlaps(self, left: TradeSequence) -> bool:
        """Whether a new history would repeat trades that were published before the drop."""
        return self._now_ms() - left.newest_ms <= self._lookback_ms + MINUTE_MS

    async def _history(self, contract: Instrument) -> int | None:
        """Publish the closed minutes; returns the end of the last one."""
        if not self._lookback_ms:
            return None
        start = self._now_ms() - self._lookback_ms - MINUTE_MS
        try:
            bars = await self._rest.bars(contract.symbol, start, self._now_ms())
        except (VenueAwayError, RestError) as away:
            _log.warning("history_missing", symbol=contract.symbol, reason=str(away))
            return None
        until = self._now_ms() // MINUTE_MS * MINUTE_MS
        past = history(self._run_id, contract, bars, start, until)
        if past:
            self._emit(list(past))
        return until
