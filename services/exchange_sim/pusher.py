"""Pushes frames to subscribed sessions, and applies faults to them."""

import asyncio
import gzip
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Final

from msgspec import Struct

from services.exchange_sim import frames
from services.exchange_sim.faults import spoiled_frames
from services.exchange_sim.faults.fault_board import FaultBoard
from services.exchange_sim.faults.faults import FaultKind
from services.exchange_sim.markets.contract_history import Ledger, MadeTrade
from services.exchange_sim.session import Session
from services.exchange_sim.subscriptions import ALL, MERGED_TRADES, Subscriptions

LONGEST_LATENESS_S: Final = 0.8
LONGEST_REPETITION_S: Final = 3.0
BOOK_LIMITS: Final = (20, 5, 10, 50)


class Pace(Struct, frozen=True, kw_only=True):
    """How often what is pushed, in milliseconds: as measured on the venue.

    Attributes:
        book: Least time between two books of a contract; also the beat of all the others.
        quiet_book: Time between two books of a contract that does not trade.
        price: Between two fair or index prices.
        ticker, tickers, funding: Between two of those.
    """

    book: int = 250
    quiet_book: int = 4_500
    price: int = 1_000
    ticker: int = 2_750
    tickers: int = 2_250
    funding: int = 60_000


class Pusher:
    """Writes frames and gives them to the sessions that have subscribed them.

    Args:
        ledgers: The contracts.
        subscriptions: Subscriptions of the sessions.
        board: The active faults.
        random: Randomness of the faults.
        server_ms: The server's time.
        pace: How often.
        compressed: Whether frames are sent as gzip.
        left_out: Takes the trades that a fault keeps from subscribed sessions.
    """

    def __init__(
        self,
        ledgers: Sequence[Ledger],
        subscriptions: Subscriptions,
        board: FaultBoard,
        random: Random,
        server_ms: Callable[[], int],
        pace: Pace,
        *,
        compressed: bool = False,
        left_out: list[MadeTrade] | None = None,
    ) -> None:
        self._left_out = left_out
        self._ledgers = ledgers
        self._by_symbol = {ledger.symbol: ledger for ledger in ledgers}
        self._subscriptions = subscriptions
        self._board = board
        self._random = random
        self._server_ms = server_ms
        self._pace = pace
        self._compressed = compressed
        self._beats = 0
        self._traded: dict[str, Ledger] = {}
        self._moved: dict[str, Ledger] = {}

    def trades(self, ledger: Ledger, made: list[MadeTrade]) -> None:
        """Push what was traded since the last time, newest first."""
        self._traded[ledger.symbol] = self._moved[ledger.symbol] = ledger
        symbol = ledger.symbol
        plain = self._subscriptions.of("deal", symbol)
        merged = self._subscriptions.of(MERGED_TRADES, symbol)
        if plain:
            self._push_trades(plain, symbol, made[::-1])
        if merged:
            self._push_trades(merged, symbol, _merged(made)[::-1])

    def beat(self) -> None:
        """Push what is due; called every ``Pace.book`` milliseconds."""
        self._beats += 1
        for ledger in self._traded.values():
            self._book(ledger)
        quiet = self._due(self._pace.quiet_book)
        for ledger in quiet:
            if ledger.symbol not in self._traded:
                self._book(ledger)
        self._traded = {}
        for ledger in self._due(self._pace.price):
            self._price("fair.price", ledger)
            self._price("index.price", ledger)
            self._klines(ledger)
        for ledger in self._due(self._pace.ticker):
            self._one("ticker", ledger, frames.ticker)
        for ledger in self._due(self._pace.funding):
            self._one("funding.rate", ledger, frames.funding_rate)
        self._all_tickers()

    def first(self, session: Session, channel: str, symbol: str) -> None:
        """What is pushed at once on subscribing; most channels wait for their time."""
        if channel.startswith("depth.full"):
            self._book(self._by_symbol[symbol], [session])
        elif channel == "tickers":
            session.push(self._encoded(frames.tickers(self._ledgers, self._server_ms())))

    def contract(self, ledger: Ledger) -> None:
        """Push a contract's changed details."""
        sessions = self._subscriptions.of("contract")
        if sessions:
            text = frames.contract(ledger, self._server_ms())
            self._deliver(sessions, text)

    def huge(self, sessions: Sequence[Session], size: int) -> None:
        """One giant frame each."""
        self._deliver(sessions, spoiled_frames.huge(size, self._server_ms()))

    def _due(self, every_ms: int) -> Sequence[Ledger]:
        """The contracts whose turn it is: all of them within the time, spread evenly."""
        turns = max(1, every_ms // self._pace.book)
        return self._ledgers[self._beats % turns :: turns]

    def _push_trades(self, sessions: list[Session], symbol: str, made: list[MadeTrade]) -> None:
        text = frames.trades(symbol, made, self._server_ms())
        if self._board.calm:
            self._deliver(sessions, text)
            return
        board, draw = self._board, self._random.random
        if board.strikes(FaultKind.HOLE, symbol):
            self._leave_out(made)
            return
        if board.strikes(FaultKind.DUPLICATE, symbol):
            self._later(draw() * LONGEST_REPETITION_S, sessions, symbol, text, ())
        if board.strikes(FaultKind.REORDER, symbol):
            self._later(draw() * LONGEST_LATENESS_S, sessions, symbol, text, made)
        else:
            self._send(sessions, "deal", symbol, text, made)

    def _later(
        self,
        seconds: float,
        sessions: list[Session],
        symbol: str,
        text: str,
        made: Sequence[MadeTrade],
    ) -> None:
        # To the sessions of now: a connection that is opened meanwhile must not get it.
        asyncio.get_running_loop().call_later(
            seconds, self._send, list(sessions), "deal", symbol, text, made
        )

    def _leave_out(self, made: Sequence[MadeTrade]) -> None:
        if self._left_out is not None:
            self._left_out.extend(made)

    def _book(self, ledger: Ledger, only: list[Session] | None = None) -> None:
        symbol = ledger.symbol
        for limit in BOOK_LIMITS:
            sessions = only or self._subscriptions.of(f"depth.full.{limit}", symbol)
            if sessions:
                self._push_book(ledger, limit, sessions)
            if only:
                return

    def _push_book(self, ledger: Ledger, limit: int, sessions: list[Session]) -> None:
        if ledger.last is None:
            return
        bids, asks = ledger.book(limit)
        now, board, symbol = self._server_ms(), self._board, ledger.symbol
        if not board.calm and board.strikes(FaultKind.CROSSED_BOOK, symbol):
            text = spoiled_frames.crossed_book(ledger, bids, asks, now)
        else:
            text = frames.depth(symbol, bids, asks, ledger.version, now, now)
        self._send(sessions, "depth.full", symbol, text)
        if not board.calm and board.strikes(FaultKind.STALE_BOOK, symbol):
            old = spoiled_frames.stale_book(self._random, ledger, bids, now)
            self._send(sessions, "depth.full", symbol, old)

    def _price(self, channel: str, ledger: Ledger) -> None:
        value = ledger.fair if channel == "fair.price" else ledger.index
        sessions = self._subscriptions.of(channel, ledger.symbol)
        if sessions and value:
            text = frames.price(channel, ledger.symbol, value, self._server_ms())
            self._send(sessions, channel, ledger.symbol, text)

    def _one(self, channel: str, ledger: Ledger, write: Callable[[Ledger, int], str]) -> None:
        sessions = self._subscriptions.of(channel, ledger.symbol)
        if sessions:
            self._send(sessions, channel, ledger.symbol, write(ledger, self._server_ms()))

    def _klines(self, ledger: Ledger) -> None:
        for interval in frames.INTERVAL_SECONDS:
            sessions = self._subscriptions.of(f"kline.{interval}", ledger.symbol)
            if sessions:
                text = frames.kline(ledger, interval, self._server_ms())
                if text is not None:
                    self._send(sessions, "kline", ledger.symbol, text)

    def _all_tickers(self) -> None:
        if self._beats % max(1, self._pace.tickers // self._pace.book):
            return
        sessions = self._subscriptions.of("tickers", ALL)
        if sessions and self._moved:
            self._deliver(sessions, frames.tickers(self._moved.values(), self._server_ms()))
        self._moved = {}

    def _send(
        self,
        sessions: Sequence[Session],
        channel: str,
        symbol: str,
        text: str,
        made: Sequence[MadeTrade] = (),
    ) -> None:
        if not self._board.calm:
            board = self._board
            if board.on(FaultKind.SYMBOL_SILENT, symbol):
                self._leave_out(made)
                return
            if board.strikes(FaultKind.MALFORMED, symbol):
                self._leave_out(made)
                text = spoiled_frames.cut_short(self._random, text)
            elif board.strikes(FaultKind.WRONG_TYPES, symbol):
                self._leave_out(made)
                text = spoiled_frames.wrong_types(self._random, channel, symbol, self._server_ms())
            elif board.strikes(FaultKind.UNKNOWN, symbol):
                self._deliver(sessions, spoiled_frames.unknown_channel(symbol, self._server_ms()))
                text = spoiled_frames.with_unknown_field(text)
        self._deliver(sessions, text, made)

    def _deliver(
        self, sessions: Sequence[Session], text: str, made: Sequence[MadeTrade] = ()
    ) -> None:
        frame = self._encoded(text)
        on_lost = partial(self._leave_out, made) if made and self._left_out is not None else None
        for session in sessions:
            session.push(frame, on_lost)

    def _encoded(self, text: str) -> str | bytes:
        return gzip.compress(text.encode(), 1) if self._compressed else text


def _merged(made: list[MadeTrade]) -> list[MadeTrade]:
    """Trades of the same price and side as one, with the id and time of the last."""
    found: dict[tuple[object, bool], MadeTrade] = {}
    for trade in made:
        key = trade.p, trade.buys
        before = found.pop(key, None)
        found[key] = trade if before is None else trade._replace(v=before.v + trade.v)
    return list(found.values())
