"""MEXC's frames as market data events: contracts to base, sorted, each deal once."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

from services.cdb_ws.sources.klines import Bar, points
from services.cdb_ws.sources.mexc.messages import (
    Book,
    Deals,
    FairPrice,
    Frame,
    FundingRate,
    IndexPrice,
    Level,
    Ticker,
    plain,
)
from services.cdb_ws.ticks import TickMaker
from services.kernel.events import MarketData, MarketDataKind
from services.kernel.instruments import Instrument

SOURCE: Final = "mexc"
HISTORY_SOURCE: Final = "mexc:klines_1m:synthetic"
MINUTE_MS: Final = 60_000
REMEMBERED_DEALS: Final = 5_000

_Fields = dict[str, object]


class SymbolState:
    """What is remembered of one symbol: its unit, and what was seen already."""

    def __init__(self, run_id: str, contract: Instrument, last_deal: int) -> None:
        self.contract_size = contract.contract_size
        self.maker = TickMaker(run_id, SOURCE, contract.symbol)
        self.last_deal = last_deal
        self._known_before = last_deal
        self.book_version = 0
        self._deals: set[int] = set()
        self._order: deque[int] = deque()

    def is_new(self, trade_id: int) -> bool:
        """Whether a deal was not seen; after a restart, whether it is younger than the last."""
        if trade_id <= self._known_before or trade_id in self._deals:
            return False
        self._deals.add(trade_id)
        self._order.append(trade_id)
        if len(self._order) > REMEMBERED_DEALS:
            self._deals.discard(self._order.popleft())
        self.last_deal = max(self.last_deal, trade_id)
        return True


class Normaliser:
    """Turns frames into events.

    Args:
        run_id: The run that the events belong to.
        session: What tells this process's connections from those of earlier ones.
        contracts: The contracts of the subscribed symbols.
        last_deals: Per symbol the venue's id of the last deal that was published.

    Attributes:
        refused: Frames and deals left out, by reason.
    """

    def __init__(
        self,
        run_id: str,
        session: str,
        contracts: Mapping[str, Instrument],
        last_deals: Mapping[str, int],
    ) -> None:
        self.refused: Counter[str] = Counter()
        self._session = session
        self._counter = 0
        self._symbols = {
            symbol: SymbolState(run_id, contract, last_deals.get(symbol, 0))
            for symbol, contract in contracts.items()
        }

    def last_deals(self) -> dict[str, int]:
        """Per symbol the venue's id of the newest deal."""
        return {name: state.last_deal for name, state in self._symbols.items() if state.last_deal}

    def events(self, frame: Frame, connection: int, now_ms: int) -> Iterator[MarketData]:
        """The events that a frame is; none for answers to commands.

        Args:
            frame: As decoded.
            connection: Number of the connection it came on.
            now_ms: Wall time, for frames that carry none.
        """
        symbol = getattr(frame, "symbol", None)
        if symbol is None:
            return
        state = self._symbols.get(symbol)
        if state is None:
            self.refused["unknown_symbol"] += 1
            return
        if isinstance(frame, Deals):
            yield from self._trades(state, frame, connection)
        elif isinstance(frame, Book):
            if frame.version <= state.book_version:
                self.refused["old_book"] += 1
                return
            state.book_version = frame.version
            yield self._tick(
                state, connection, frame.timestamp, MarketDataKind.DEPTH, _book(state, frame)
            )
        else:
            kind, timestamp, fields = _observation(frame, now_ms)
            if kind is not None:
                yield self._tick(state, connection, timestamp, kind, fields)

    def _trades(self, state: SymbolState, frame: Deals, connection: int) -> Iterator[MarketData]:
        for deal in frame.deals:
            if deal.trade_id is None:
                event_id = self._next_id(state, connection)
            elif state.is_new(deal.trade_id):
                event_id = state.maker.make_id("deal", deal.trade_id)
            else:
                self.refused["duplicate_deal"] += 1
                continue
            yield state.maker.make(
                event_id=event_id,
                timestamp=deal.timestamp,
                kind=MarketDataKind.TRADE,
                price=deal.price,
                volume=plain(deal.contracts * state.contract_size),
                side=deal.side,
                trade_id=None if deal.trade_id is None else str(deal.trade_id),
            )

    def _tick(
        self,
        state: SymbolState,
        connection: int,
        timestamp: int,
        kind: MarketDataKind,
        fields: _Fields,
    ) -> MarketData:
        event_id = self._next_id(state, connection)
        return state.maker.make(event_id=event_id, timestamp=timestamp, kind=kind, **fields)  # type: ignore[arg-type]

    def _next_id(self, state: SymbolState, connection: int) -> str:
        self._counter += 1
        return state.maker.make_id(f"{self._session}.{connection}", self._counter)


def _in_base(levels: tuple[Level, ...], contract_size: Decimal) -> tuple[Level, ...]:
    return tuple((price, plain(contracts * contract_size)) for price, contracts in levels)


def _book(state: SymbolState, frame: Book) -> _Fields:
    bids = _in_base(frame.bids, state.contract_size)
    asks = _in_base(frame.asks, state.contract_size)
    fields: _Fields = {"bids": bids, "asks": asks}
    if bids:
        fields |= {"bid": bids[0][0], "bid_size": bids[0][1]}
    if asks:
        fields |= {"ask": asks[0][0], "ask_size": asks[0][1]}
    return fields


def _observation(frame: Frame, now_ms: int) -> tuple[MarketDataKind | None, int, _Fields]:
    if isinstance(frame, FairPrice):
        return MarketDataKind.MARK, frame.timestamp, {"mark_price": frame.price}
    if isinstance(frame, IndexPrice):
        return MarketDataKind.MARK, frame.timestamp, {"index_price": frame.price}
    if isinstance(frame, Ticker):
        fields: _Fields = {"mark_price": frame.fair_price, "index_price": frame.index_price}
        if frame.fair_price is None and frame.index_price is None:
            return None, 0, {}
        # Its own time is that of the last trade, which in a quiet market is long ago.
        return MarketDataKind.MARK, now_ms, fields
    if isinstance(frame, FundingRate):
        fields = {"funding_rate": frame.rate, "next_funding_time": frame.next_settle_time}
        return MarketDataKind.FUNDING, frame.timestamp, fields
    return None, 0, {}


def history(
    run_id: str, contract: Instrument, bars: tuple[tuple[int, Bar], ...], after: int, until: int
) -> list[MarketData]:
    """The closed minutes of a span as backfilled trades, in base units.

    Args:
        run_id: The run that the events belong to.
        contract: The contract; its bars count volume in contracts.
        bars: Opening time and bar.
        after: Minutes that opened before this time are left out.
        until: Minutes that close after this time are left out: they are still running.
    """
    maker = TickMaker(run_id, HISTORY_SOURCE, contract.symbol)
    events: list[MarketData] = []
    for opened_at, bar in bars:
        if opened_at < after or opened_at + MINUTE_MS > until or bar.volume <= 0 or bar.low <= 0:
            continue
        for index, point in enumerate(points(bar, MINUTE_MS)):
            events.append(
                maker.make(
                    event_id=maker.make_id(opened_at, index),
                    timestamp=opened_at + point.offset_ms,
                    kind=MarketDataKind.TRADE,
                    price=point.price,
                    volume=plain(point.volume * contract.contract_size),
                    backfill=True,
                )
            )
    return events
