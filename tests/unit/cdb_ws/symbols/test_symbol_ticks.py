"""Trades, books and prices of a symbol as events: units, origins, ids."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from services.cdb_ws.symbols.symbol_ticks import SymbolTicks
from services.cdb_ws.trades.trade_sequence import Entry, Origin
from services.kernel.events import MarketData, MarketDataKind, Side
from services.kernel.instruments.contracts import generic_instrument
from services.venues.mexc.messages import Book, FairPrice, FundingRate, IndexPrice, Ticker, Trade

pytestmark = pytest.mark.unit

PEPE = replace(
    generic_instrument("PEPE_USDT", Decimal("0.000000001")), contract_size=Decimal(10_000_000)
)
PRICE = Decimal("0.000012553")


def ticks(session: str = "s") -> SymbolTicks:
    return SymbolTicks("run", session, PEPE)


def entry(trade_id: int | None, origin: Origin = Origin.LIVE, copy: int = 0) -> Entry:
    return Entry(Trade(PRICE, Decimal(3), Side.SELL, 9, trade_id), origin, copy)


def trade(made: SymbolTicks, one: Entry) -> MarketData:
    (found,) = made.trades([one])
    assert isinstance(found, MarketData)
    return found


def summary(**fields: Decimal) -> Ticker:
    empty = Ticker("PEPE_USDT", PRICE, None, None, None, None, None, None)
    return replace(empty, **fields)


def test_contracts_become_base() -> None:
    found = trade(ticks(), entry(1))
    assert (found.price, found.volume) == (PRICE, Decimal(30_000_000))
    assert str(found.volume) == "30000000"
    assert (found.side, found.trade_id, found.timestamp) == (Side.SELL, "1", 9)


@pytest.mark.parametrize(
    ("origin", "source", "backfill"),
    [
        (Origin.LIVE, "mexc", False),
        (Origin.LATE, "mexc:late", True),
        (Origin.REST, "mexc:rest", True),
    ],
)
def test_only_a_live_trade_is_news(origin: Origin, source: str, backfill: bool) -> None:
    found = trade(ticks(), entry(1, origin))
    assert (found.source, found.backfill) == (source, backfill)


def test_a_trades_id_does_not_depend_on_the_process_that_received_it() -> None:
    assert trade(ticks("a"), entry(5)).event_id == trade(ticks("b"), entry(5)).event_id
    rest = entry(None, Origin.REST)
    assert trade(ticks("a"), rest).event_id == trade(ticks("b"), rest).event_id


def test_copies_of_a_trade_without_id_are_reported_apart() -> None:
    ids = {trade(ticks(), entry(None, Origin.REST, copy)).event_id for copy in range(3)}
    assert len(ids) == 3


def test_a_book_is_in_base_units_with_its_best_levels() -> None:
    book = Book(
        "PEPE_USDT",
        [(Decimal("0.000010"), 5, 1)],
        [(Decimal("0.00002"), 2, 1), (Decimal("0.00003"), Decimal("1.0"), 1)],
        1,
        7,
    )
    found = ticks().book(book)
    assert (found.kind, found.timestamp) == (MarketDataKind.DEPTH, 7)
    assert (found.bid, found.bid_size) == (Decimal("0.00001"), Decimal(50_000_000))
    assert (found.ask, found.ask_size) == (Decimal("0.00002"), Decimal(20_000_000))
    assert found.asks == (
        (Decimal("0.00002"), Decimal(20_000_000)), (Decimal("0.00003"), Decimal(10_000_000)),
    )  # fmt: skip


def test_prices_and_rates() -> None:
    made = ticks()
    mark = made.observed(FairPrice("PEPE_USDT", PRICE, 5), 100)
    index = made.observed(IndexPrice("PEPE_USDT", PRICE, 6), 100)
    rate = made.observed(FundingRate("PEPE_USDT", Decimal("-0.00001"), 8, 7), 100)
    assert mark is not None
    assert index is not None
    assert rate is not None
    assert (mark.kind, mark.mark_price, mark.timestamp) == (MarketDataKind.MARK, PRICE, 5)
    assert (index.kind, index.index_price, index.timestamp) == (MarketDataKind.MARK, PRICE, 6)
    assert (rate.funding_rate, rate.next_funding_time) == (Decimal("-0.00001"), 8)
    assert len({mark.event_id, index.event_id, rate.event_id}) == 3


def test_a_summary_is_of_now_because_its_own_time_is_that_of_the_last_trade() -> None:
    found = ticks().observed(summary(fair_price=PRICE), 100)
    assert found is not None
    assert (found.mark_price, found.timestamp) == (PRICE, 100)
    assert ticks().observed(summary(), 100) is None


def test_a_polled_summary_is_a_mark_and_a_quote() -> None:
    row = summary(fair_price=PRICE, bid=Decimal("0.00001"), ask=Decimal("0.00002"))
    mark, quote = ticks().polled(row, 100)
    assert isinstance(mark, MarketData)
    assert isinstance(quote, MarketData)
    assert (mark.kind, mark.source, mark.backfill) == (MarketDataKind.MARK, "mexc:rest", False)
    assert (quote.kind, quote.bid, quote.ask) == (
        MarketDataKind.QUOTE, Decimal("0.00001"), Decimal("0.00002"),
    )  # fmt: skip
    assert ticks().polled(summary(bid=Decimal(2), ask=Decimal(2)), 100) == []
