"""Turns the frames and trades of one symbol into events; contracts become base quantity."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from services.cdb_ws.publishing.ticks import TickMaker
from services.cdb_ws.trades.trade_sequence import Entry, Origin
from services.kernel.events import Event, MarketData, MarketDataKind, PriceLevel
from services.kernel.instruments.contracts import Instrument
from services.kernel.units import Contracts, Price
from services.venues.mexc.commands import TRADE_CHANNEL
from services.venues.mexc.exact import plain
from services.venues.mexc.messages import Book, FairPrice, FundingRate, IndexPrice, Level, Ticker

SOURCE: Final = "mexc"
REST_SOURCE: Final = "mexc:rest"
LATE_SOURCE: Final = "mexc:late"

Observation = FairPrice | IndexPrice | FundingRate | Ticker


class SymbolTicks:
    """Makes the events of one symbol.

    Args:
        run_id: The run of the events.
        session: Makes event ids of this process different from those of earlier ones.
        contract: The contract, for its size.
    """

    def __init__(self, run_id: str, session: str, contract: Instrument) -> None:
        self._contract = contract
        self._marked_at = -1
        self._session = session
        self._count = 0
        self._live = TickMaker(run_id, SOURCE, contract.symbol)
        self._rest = TickMaker(run_id, REST_SOURCE, contract.symbol)
        self._makers = {
            Origin.LIVE: self._live,
            Origin.REST: self._rest,
            Origin.LATE: TickMaker(run_id, LATE_SOURCE, contract.symbol),
        }

    def use(self, contract: Instrument) -> None:
        """Use these contract details from now on."""
        self._contract = contract

    def trades(self, entries: Iterable[Entry]) -> list[Event]:
        """Trades as events; all but live trades in order are marked as backfill."""
        events: list[Event] = []
        in_base = self._contract.volume_in_base
        for entry in entries:
            trade, origin = entry.trade, entry.origin
            maker = self._makers[origin]
            trade_id = trade.trade_id
            if trade_id is None:
                key = f"{trade.timestamp}|{trade.price}|{trade.contracts}|{trade.side}"
                event_id = maker.make_id(key, entry.copy)
            else:
                event_id = maker.make_id(TRADE_CHANNEL, trade_id)
            events.append(
                maker.make(
                    event_id=event_id,
                    timestamp=trade.timestamp,
                    kind=MarketDataKind.TRADE,
                    price=trade.price,
                    volume=plain(in_base(Contracts(trade.contracts), Price(trade.price))),
                    side=trade.side,
                    trade_id=None if trade_id is None else str(trade_id),
                    backfill=origin is not Origin.LIVE,
                )
            )
        return events

    def book(self, frame: Book) -> MarketData:
        """The top of the book in base quantity."""
        bids, asks = self._in_base(frame.bids), self._in_base(frame.asks)
        bid, bid_size = bids[0] if bids else (None, None)
        ask, ask_size = asks[0] if asks else (None, None)
        return self._live.make(
            event_id=self._next_id(),
            timestamp=frame.timestamp,
            kind=MarketDataKind.DEPTH,
            bids=bids,
            asks=asks,
            bid=None if bid is None else plain(bid),
            bid_size=bid_size,
            ask=None if ask is None else plain(ask),
            ask_size=ask_size,
        )

    def observed(self, frame: Observation, now_ms: int) -> MarketData | None:
        """A price or rate as an event; None if the frame has none.

        Args:
            frame: The decoded frame.
            now_ms: Wall time, used for tickers: their own time is that of the last trade.
        """
        make, event_id = self._live.make, self._next_id()
        if isinstance(frame, FairPrice):
            self._marked_at = frame.timestamp
            return make(
                event_id=event_id,
                timestamp=frame.timestamp,
                kind=MarketDataKind.MARK,
                mark_price=frame.price,
            )
        if isinstance(frame, IndexPrice):
            return make(
                event_id=event_id,
                timestamp=frame.timestamp,
                kind=MarketDataKind.MARK,
                index_price=frame.price,
            )
        if isinstance(frame, FundingRate):
            return make(
                event_id=event_id,
                timestamp=frame.timestamp,
                kind=MarketDataKind.FUNDING,
                funding_rate=frame.rate,
                next_funding_time=frame.next_settle_time,
            )
        if frame.fair_price is None and frame.index_price is None:
            return None
        if (frame.timestamp or 0) <= self._marked_at:
            return None  # its prices may be older than the published mark price
        return make(
            event_id=event_id,
            timestamp=now_ms,
            kind=MarketDataKind.MARK,
            mark_price=frame.fair_price,
            index_price=frame.index_price,
        )

    def polled(self, row: Ticker, now_ms: int) -> list[Event]:
        """Events of a REST summary, for a symbol without a stream."""
        events: list[Event] = []
        if row.fair_price is not None or row.index_price is not None:
            events.append(
                self._rest.make(
                    event_id=self._next_id(),
                    timestamp=now_ms,
                    kind=MarketDataKind.MARK,
                    mark_price=row.fair_price,
                    index_price=row.index_price,
                )
            )
        if row.bid is not None and row.ask is not None and row.bid < row.ask:
            events.append(
                self._rest.make(
                    event_id=self._next_id(),
                    timestamp=now_ms,
                    kind=MarketDataKind.QUOTE,
                    bid=row.bid,
                    ask=row.ask,
                )
            )
        return events

    def _next_id(self) -> str:
        self._count += 1
        return self._live.make_id(self._session, self._count)

    def _in_base(self, levels: list[Level]) -> tuple[PriceLevel, ...]:
        # A frame has 80 numbers: trailing zeros are left in place to save time.
        contract, size = self._contract, self._contract.contract_size
        if contract.inverse:
            volume = contract.volume_in_base
            return tuple(
                [(price, volume(Contracts(Decimal(n)), Price(price))) for price, n, _ in levels]
            )
        return tuple([(price, size * contracts) for price, contracts, _ in levels])
