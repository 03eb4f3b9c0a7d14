"""Frames as events: units, order, each deal once."""

import json
from decimal import Decimal
from random import Random

import pytest
from msgspec.structs import replace

from services.cdb_ws.sources.klines import Bar
from services.cdb_ws.sources.mexc.backoff import LONGEST_WAIT_S, Backoff
from services.cdb_ws.sources.mexc.messages import decode
from services.cdb_ws.sources.mexc.normalise import Normaliser, history
from services.kernel.events import MarketData, MarketDataKind, Side
from services.kernel.instruments import generic_instrument

pytestmark = pytest.mark.unit
PEPE = replace(
    generic_instrument("PEPE_USDT", Decimal("0.000000001")), contract_size=Decimal(10_000_000)
)
NOW = 1_788_335_243_999


def normaliser(**last_deals: int) -> Normaliser:
    return Normaliser("run", "s", {"PEPE_USDT": PEPE}, last_deals)


def frame(channel: str, data: object, symbol: str = "PEPE_USDT") -> str:
    return json.dumps({"symbol": symbol, "data": data, "channel": f"push.{channel}", "ts": NOW})


def events(made: Normaliser, *frames: str, connection: int = 1) -> list[MarketData]:
    return [e for body in frames for e in made.events(decode(body), connection, NOW)]


def deal(trade_id: int | None, *, t: int = NOW, v: int = 3) -> dict[str, object]:
    found: dict[str, object] = {"p": 1.2553e-05, "v": v, "T": 2, "t": t}
    return found if trade_id is None else found | {"i": str(trade_id)}


def test_contracts_become_base() -> None:
    trade = events(normaliser(), frame("deal", [deal(1)]))[0]
    assert (trade.price, trade.volume) == (Decimal("0.000012553"), Decimal(30_000_000))
    assert (trade.side, trade.trade_id, trade.source) == (Side.SELL, "1", "mexc")
    book = {"asks": [[2e-05, 2, 1]], "bids": [[1e-05, 5, 1]], "version": 1, "cts": 7}
    depth = events(normaliser(), frame("depth.full", book))[0]
    assert (depth.kind, depth.bid_size) == (MarketDataKind.DEPTH, Decimal(50_000_000))
    assert depth.asks == ((Decimal("0.00002"), Decimal(20_000_000)),)


def test_a_deal_is_taken_once_also_when_it_comes_again_on_another_connection() -> None:
    made = normaliser()
    first = events(made, frame("deal", [deal(3), deal(1), deal(2)]))
    again = events(made, frame("deal", [deal(2), deal(4)]), connection=2)
    assert [trade.trade_id for trade in first + again] == ["1", "2", "3", "4"]
    assert made.refused["duplicate_deal"] == 1
    assert made.last_deals() == {"PEPE_USDT": 4}


def test_after_a_restart_older_deals_are_known() -> None:
    made = normaliser(PEPE_USDT=10)
    assert [t.trade_id for t in events(made, frame("deal", [deal(10), deal(11)]))] == ["11"]


def test_identical_deals_without_an_id_are_different_trades() -> None:
    made = events(normaliser(), frame("deal", [deal(None), deal(None)]))
    assert len({trade.event_id for trade in made}) == 2


def test_a_deals_id_does_not_depend_on_the_connection() -> None:
    ids = {events(normaliser(), frame("deal", [deal(5)]), connection=n)[0].event_id for n in (1, 2)}
    assert len(ids) == 1


def test_an_older_book_and_an_unknown_symbol_are_left_out() -> None:
    made = normaliser()
    book = {"asks": [], "bids": [[1, 5, 1]], "version": 9, "cts": 7}
    body = frame("depth.full", book)
    assert len(events(made, body, body, frame("deal", [deal(1)], symbol="X_USDT"))) == 1
    assert made.refused == {"old_book": 1, "unknown_symbol": 1}


def test_marks_and_rates() -> None:
    made = normaliser()
    mark, rate, ticker = events(
        made,
        frame("fair.price", {"price": 2}),
        frame("funding.rate", {"rate": -1e-05, "nextSettleTime": 5}),
        frame("ticker", {"symbol": "PEPE_USDT", "lastPrice": 1, "fairPrice": 2, "indexPrice": 3,
                         "timestamp": 1}),
    )  # fmt: skip
    assert (mark.kind, mark.mark_price) == (MarketDataKind.MARK, Decimal(2))
    assert (rate.funding_rate, rate.next_funding_time) == (Decimal("-0.00001"), 5)
    assert (ticker.mark_price, ticker.index_price, ticker.timestamp) == (2, 3, NOW)


def test_only_closed_minutes_of_the_span_become_history() -> None:
    bar = Bar(*map(Decimal, (1, 3, 1, 2, 8)))
    bars = tuple((minute * 60_000, bar) for minute in range(5))
    made = history("run", PEPE, bars, after=60_000, until=250_000)
    assert {tick.timestamp // 60_000 for tick in made} == {1, 2, 3}
    assert all(tick.backfill and tick.volume == Decimal(20_000_000) for tick in made)
    assert len({tick.event_id for tick in made}) == len(made) == 12


def test_the_first_retry_is_immediate_the_others_wait_longer_and_longer() -> None:
    backoff = Backoff(Random(1))  # noqa: S311 - spreads attempts only
    waits = [backoff.next_wait() for _ in range(12)]
    assert waits[0] == 0
    assert 0.25 <= waits[1] <= 0.5
    assert LONGEST_WAIT_S / 2 <= waits[-1] <= LONGEST_WAIT_S
    backoff.reset()
    assert backoff.next_wait() == 0
