"""The live feed of MEXC as one asyncio program: frames in, events out.

It uses no thread, clock or randomness of its own: the network gives the wall time, the loop the
monotonic time, and jitter comes from ``random``. A simulation can therefore run the same program.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from random import Random
from typing import Final

from msgspec.structs import replace

from services.cdb_ws.alert_publisher import AlertPublisher
from services.cdb_ws.connections.loop_uptime import BEAT_S, LoopUptime
from services.cdb_ws.connections.socket import LOOK_EVERY_S, Socket
from services.cdb_ws.connections.venue_clock import Handling, VenueClock
from services.cdb_ws.integrity.gap_recovery import MINUTE_MS, Bars, Recoveries
from services.cdb_ws.integrity.minute_comparison import MinuteComparison
from services.cdb_ws.integrity.restart_state import RestartState
from services.cdb_ws.live.engine_config import EngineConfig
from services.cdb_ws.live.instrument_provider import InstrumentProvider
from services.cdb_ws.live.supervision import Supervision
from services.cdb_ws.live.universe import Universe
from services.cdb_ws.symbols.book_versions import BookVersions
from services.cdb_ws.symbols.minute_history import history
from services.cdb_ws.symbols.polling import Polling
from services.cdb_ws.symbols.pool import Pool
from services.cdb_ws.symbols.symbol_feed import SymbolFeed
from services.cdb_ws.symbols.symbol_ticks import SymbolTicks
from services.cdb_ws.trades.trade_sequence import Origin, Recovery
from services.kernel.events import AlertLevel, Event
from services.kernel.instruments.contracts import Instrument
from services.runtime.service import logging
from services.venues.mexc.commands import DEPTH_CHANNEL, TRADE_CHANNEL
from services.venues.mexc.contracts import ContractBook
from services.venues.mexc.decoding import decode
from services.venues.mexc.field_watch import FieldWatch
from services.venues.mexc.messages import (
    Book,
    Contract,
    FairPrice,
    Frame,
    FrameError,
    FundingRate,
    Ignored,
    IndexPrice,
    Pong,
    Refused,
    Subscribed,
    Ticker,
    Trade,
    Trades,
)
from services.venues.mexc.network import Network
from services.venues.mexc.rest import MexcRest

Emit = Callable[[list[Event]], None]
OnFrame = Callable[[int, int, str | None, str | bytes], None]
"""Called with each frame: received (Unix ms), connection number, symbol, body."""

MOST_WAITING: Final = 200_000
"""With more unpublished events, sockets are not read until half of them are published."""

MOST_CHANNELS: Final = 50
CROSSED_BOOK: Final = "crossed_book"
MAY_HOLD_TRADES: Final = frozenset({"not_json", "malformed_push.deal"})
SYMBOL_SILENT: Final = "SYMBOL_SILENT"
WRONG_TIME: Final = "wrong_time"

Timed = Book | FairPrice | FundingRate | IndexPrice
"""Frames, other than trades, that carry their own time."""

_log = logging.get(__name__)


class Engine:
    """The feed of one run.

    Args:
        network: Connection to the venue.
        config: What to subscribe.
        random: Jitter; seeded in a simulation.
        emit: Takes events in order, on the loop.
        on_frame: Called with every received frame.
        backlog: Returns the number of emitted events that are not published yet.
        held: Returns the symbols with an open position; these are always subscribed.

    Attributes:
        refused: Frames left out, by reason.
        ignored: Frames of unused channels, by channel.
        frames: Number of received frames.
        venue_says: The last refusal of the venue.
        feeds: The subscribed symbols.
    """

    def __init__(
        self,
        network: Network,
        config: EngineConfig,
        random: Random,
        emit: Emit,
        on_frame: OnFrame | None = None,
        backlog: Callable[[], int] = lambda: 0,
        held: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        now_ms = network.now_ms
        self.refused: Counter[str] = Counter()
        self.fields = FieldWatch()
        self.ignored: Counter[str] = Counter()
        self.frames = 0
        self.venue_says: str | None = None
        self.feeds: dict[str, SymbolFeed] = {}
        self._network = network
        self._config = config
        self._emit = emit
        self._on_frame = on_frame
        self._backlog = backlog
        self._backpressure = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._uptime = LoopUptime()
        self._session = str(now_ms())
        self._ticks: dict[str, SymbolTicks] = {}
        self.alerts = AlertPublisher(config.run_id, self._session, emit, now_ms)
        self.rest = MexcRest(network, config.rest_urls, random)
        self.book = ContractBook(self.rest, config.cache)
        self.restart_state = RestartState(config.past, config.uncertain_symbols)
        known = self.restart_state.symbols
        self.universe = Universe(self.rest, self.book, config.symbols, config.top_n, known, held)
        self.instruments = InstrumentProvider(
            config, self.universe, self.restart_state, self.alerts, emit, now_ms, random
        )
        self.polling = Polling(self.rest, self._ticks.__getitem__, emit, now_ms)
        lookback_ms = config.lookback_minutes * MINUTE_MS
        self.clock = VenueClock(self.alerts, now_ms, config.behind_ms)
        self.recoveries = Recoveries(
            self.rest, self.alerts, self._publish, now_ms, lookback_ms, self.clock.acceptable
        )
        self.minutes = MinuteComparison(self.rest, self.recoveries.fell_short, now_ms)
        self.pool = Pool(network, config.ws_url, random, self)
        self.books = BookVersions(self.refused, self.alerts, self.pool.ask_again)
        self.supervision = Supervision(self.instruments, self.pool, self.alerts, self.clock)

    def time(self) -> float:
        """The loop's clock, also from another thread; 0 before it runs."""
        return self._loop.time() if self._loop is not None else 0.0

    def now_ms(self) -> int:
        """Wall time."""
        return self._network.now_ms()

    async def run(self) -> None:
        """Run until cancelled."""
        self._loop = asyncio.get_running_loop()
        self._uptime = LoopUptime(self._loop.time())
        self.alerts.clear_clock_offsets(self._config.clock_offsets)
        self.restart_state.begin(self.alerts)
        async with asyncio.TaskGroup() as tasks:
            self.pool.tasks = self.recoveries.tasks = tasks
            tasks.create_task(self.instruments.run(self, tasks))
            tasks.create_task(self.pool.watch())
            tasks.create_task(self.recoveries.watch())
            tasks.create_task(self.recoveries.poll(self.pool.down, self._missed))
            tasks.create_task(self.recoveries.audit(self._all, self._missed))
            tasks.create_task(self.minutes.run(self._all))
            tasks.create_task(self.polling.run(self.pool.down))
            tasks.create_task(self.supervision.watch())
            tasks.create_task(self._look_for_too_old())
            tasks.create_task(self._beat())

    # -- symbols --------------------------------------------------------------------------------

    def add(self, feed: SymbolFeed) -> None:
        """Subscribe a symbol."""
        self.feeds[feed.symbol] = feed
        if feed.symbol in self._ticks:  # it returns and keeps counting: no id is used twice
            self._ticks[feed.symbol].use(feed.contract)
        else:
            made = SymbolTicks(self._config.run_id, self._session, feed.contract)
            self._ticks[feed.symbol] = made
        self.pool.add(feed)

    def drop(self, symbol: str) -> SymbolFeed | None:
        """Unsubscribe a symbol; returns its state."""
        feed = self.feeds.pop(symbol, None)
        if feed is not None:
            self.pool.remove(symbol)
            self.recoveries.forget(feed)
            self.alerts.clear(SYMBOL_SILENT, symbol)
            self.clock.forget(symbol)
            self.books.forget(symbol)
        return feed

    def use(self, contract: Instrument) -> None:
        """Use these contract details of a symbol from now on."""
        if (feed := self.feeds.get(contract.symbol)) is not None:
            feed.contract = contract
            self._ticks[contract.symbol].use(contract)

    def _all(self) -> list[SymbolFeed]:
        return list(self.feeds.values())

    # -- frames ---------------------------------------------------------------------------------

    def received(self, socket: Socket, body: str | bytes) -> bool:
        """Take a frame; returns whether it is market data."""
        self.frames += 1
        now_ms = self._network.now_ms()
        try:
            frame = decode(body)
        except FrameError as error:
            self._unreadable(socket, error)
            if self._on_frame is not None:
                self._on_frame(now_ms, socket.connection_id, None, body)
            return False
        self.fields.look(body)
        channel = _CHANNEL_OF.get(type(frame))
        symbol: str | None = frame.symbol if channel is not None else None  # type: ignore[union-attr]
        if self._on_frame is not None:
            self._on_frame(now_ms, socket.connection_id, symbol, body)
        if channel is None or symbol is None:
            self._other_frame(socket, frame, now_ms)
            return False
        feed = self.feeds.get(symbol)
        if feed is None or feed.socket is not socket:
            self.refused["other_symbol" if feed is None else "other_socket"] += 1
            return False
        self._speaks(feed, channel)
        if channel is TRADE_CHANNEL:
            self._take_trades(feed, frame.trades, now_ms)  # type: ignore[union-attr]
        elif isinstance(frame, Ticker):  # its time is that of its receipt
            if (event := self._ticks[symbol].observed(frame, now_ms)) is not None:
                self._emit([event])
        else:
            self._take_timed(feed, channel, frame, now_ms)  # type: ignore[arg-type]
        return True

    def _speaks(self, feed: SymbolFeed, channel: str) -> None:
        now = self.time()
        uptime = self._uptime.time(now)
        if feed.spoken:
            if feed.paused(uptime):
                self.recoveries.suspected(feed, f"silent for {feed.suspected_s:.1f} s")
            feed.data_received(channel, now, uptime)
            return
        feed.data_received(channel, now, uptime)
        feed.spoken = feed.ever = True
        self.alerts.clear(SYMBOL_SILENT, feed.symbol)
        feed.silent = False
        self.recoveries.resumed(feed)

    def _take_trades(self, feed: SymbolFeed, trades: Sequence[Trade], now_ms: int) -> None:
        sequence, symbol, is_ahead = feed.sequence, feed.symbol, self.clock.is_ahead
        returning, kept, handling = self.clock.sort_out(symbol, trades, now_ms)
        self.refused[WRONG_TIME] += len(trades) - len(kept)
        earlier = sequence.live(returning, now_ms) if returning else ()
        entries = sequence.live(kept, now_ms)
        newest_ms = sequence.newest_ms
        for place, one in enumerate(entries):
            if one.origin is Origin.LATE and is_ahead(symbol, newest_ms, one.trade, now_ms):
                entries[place] = replace(one, origin=Origin.LIVE)
        entries[:0] = [replace(one, origin=Origin.LATE) for one in earlier]
        if not entries:
            return
        feed.published(entries)
        events = self._ticks[symbol].trades(entries)
        if handling is not Handling.AS_IS:
            events = self.clock.corrected(symbol, TRADE_CHANNEL, events, now_ms)
        self._emit(events)

    def _take_timed(self, feed: SymbolFeed, channel: str, frame: Timed, now_ms: int) -> None:
        handling = self.clock.judge(feed.symbol, channel, frame.timestamp, now_ms)
        if handling is Handling.REFUSED:
            self.refused[WRONG_TIME] += 1
            return
        event: Event | None
        if isinstance(frame, Book):
            if not self.books.accept(feed, frame.version):
                return
            event = self._ticks[feed.symbol].book(frame)
        else:
            event = self._ticks[feed.symbol].observed(frame, now_ms)
            if event is None:
                return
        if handling is Handling.CORRECTED:
            [event] = self.clock.corrected(feed.symbol, channel, [event], now_ms)
        self._emit([event])

    def _other_frame(self, socket: Socket, frame: Frame, now_ms: int) -> None:
        """Take a frame that belongs to no symbol."""
        if isinstance(frame, Pong):
            self.supervision.pong(socket, frame.server_ms, now_ms)
        elif isinstance(frame, Subscribed):
            self.pool.acknowledged(socket, frame.channel)
        elif isinstance(frame, Refused):
            self.venue_says = frame.text[:200]
            self.refused["by_the_venue"] += 1
            self.pool.refused(socket)
            _log.warning("venue_refused", text=self.venue_says)
        elif isinstance(frame, Contract):
            self._contract(frame)
        elif isinstance(frame, Ignored):
            self.ignored[frame.channel if len(self.ignored) < MOST_CHANNELS else "others"] += 1

    def _contract(self, frame: Contract) -> None:
        try:
            symbol = self.book.take(frame.detail)
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            self.refused["contract"] += 1
            _log.warning("contract_refused", reason=str(error)[:200])
            return
        self.instruments.changed(symbol)

    def _unreadable(self, socket: Socket, error: FrameError) -> None:
        """A frame that may have held trades is a gap: of all symbols of the socket if unnamed."""
        self.refused[error.reason] += 1
        count = self.refused[error.reason]
        if count & (count - 1) == 0:  # logged when their number has doubled
            _log.warning("frame_refused", reason=str(error)[:200], kind=error.reason, count=count)
        feed = self.feeds.get(error.symbol or "")
        if error.reason == CROSSED_BOOK and feed is not None:
            self.books.crossed(feed)
        elif error.reason in MAY_HOLD_TRADES:
            for one in [feed] if feed is not None else self.pool.members(socket):
                if one.spoken:
                    self.recoveries.frame_lost(one, "a frame could not be read")

    # -- what is made of it ---------------------------------------------------------------------

    def _publish(self, feed: SymbolFeed, recovery: Recovery, bars: Bars) -> None:
        events = self._ticks[feed.symbol].trades(recovery.entries)
        events = self.clock.corrected(feed.symbol, TRADE_CHANNEL, events, self._network.now_ms())
        feed.published(recovery.entries)
        past: list[Event] = []
        for span in recovery.lost if bars else ():
            past += history(
                self._config.run_id, feed.contract, tuple(bars), span.lost_from + 1, span.lost_to
            )
        if past:  # in the order of time; sorting keeps the order of what is simultaneous
            events = sorted(past + events, key=lambda event: event.timestamp)
        if events:
            self._emit(events)

    def fell_silent(self, feed: SymbolFeed, why: str) -> None:
        """A symbol's stream has ended, or sends nothing any more."""
        self.recoveries.lost(feed, why)

    def never_speaks(self, feed: SymbolFeed) -> None:
        """Repeated subscriptions of a symbol brought no data."""
        feed.silent = True
        message = f"{feed.symbol} sends no data, although it was subscribed repeatedly"
        self.alerts.see(AlertLevel.WARNING, SYMBOL_SILENT, message, feed.symbol)

    def _missed(self, feed: SymbolFeed) -> None:
        """A running stream missed trades: its subscription may be gone."""
        self.pool.ask_again(feed, TRADE_CHANNEL)

    # -- in between -----------------------------------------------------------------------------

    def backpressure(self) -> bool:
        """Whether too many events wait to be published to receive more."""
        limit = MOST_WAITING // 2 if self._backpressure else MOST_WAITING
        self._backpressure = self._backlog() > limit
        return self._backpressure

    def troubles(self) -> list[str]:
        """Why the market cannot be trusted now; empty if it can."""
        return self.supervision.troubles()

    async def _beat(self) -> None:
        while True:
            self._uptime.beat(self.time())
            await asyncio.sleep(BEAT_S)

    async def _look_for_too_old(self) -> None:
        """Report trades that arrived too late to be published as a gap of their own."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            for feed in self._all():
                span = feed.sequence.take_too_old()
                if span is not None:
                    self.recoveries.known(feed, span)


_CHANNEL_OF: Final[dict[type, str]] = {
    Trades: TRADE_CHANNEL,
    Book: DEPTH_CHANNEL,
    Ticker: "ticker",
    FundingRate: "funding.rate",
    FairPrice: "fair.price",
    IndexPrice: "index.price",
}
