"""Every recorded frame and body: what it says, or why it is not read."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from services.kernel.events import Side
from services.kernel.market.bar_ticks import Bar
from services.venues.mexc import rest_messages as rest
from services.venues.mexc.decoding import decode
from services.venues.mexc.field_watch import unknown_fields
from services.venues.mexc.messages import (
    Book,
    Contract,
    FairPrice,
    FundingRate,
    Ignored,
    IndexPrice,
    Pong,
    Refused,
    Subscribed,
    Ticker,
    Tickers,
    Trade,
    Trades,
)
from tests.unit.venues.mexc.recorded_samples import recorded

pytestmark = pytest.mark.unit

BUY, SELL, D = Side.BUY, Side.SELL, Decimal


def trades(symbol: str, *found: Trade) -> Trades:
    return Trades(symbol, found)


FRAMES: dict[str, object] = {
    "pong": Pong(1788336475469),
    "pong.docs": Pong(1587453241453),
    "ack.sub.deal": Subscribed("rs.sub.deal"),
    "ack.sub.deal.ts_string": Subscribed("rs.sub.deal"),
    "ack.login": Subscribed("rs.login"),
    "error.unknown_contract": Refused("Contract [NOPE_USDT] not exists"),
    "error.unknown_contract.docs": Refused("Contract doesn't exist!"),
    "error.no_ping_60s": Refused("more than 60 seconds no response, close the channel"),
    "push.tickers": Tickers((
        Ticker("WCT_USDT", D("0.04114"), D("0.04116"), D("0.04119"), None, None, None,
               1790870034312, D("-0.0292")),
    )),
    "push.tickers.docs": Tickers((
        Ticker("BSV_USDT", D(183), D("183.01"), None, None, None, None, None, D("-0.0708")),
        Ticker("BCH_USDT", D("220.4"), D("220.22"), None, None, None, None, None, D("-0.0686")),
    )),
    "push.ticker": Ticker("BTC_USDT", D(84055), D("84063.8"), D(84104), D("0.000072"),
                          D("84054.9"), D(84055), 1790870036854, D("-0.0005")),
    "push.deal.array": trades(
        "BTC_USDT",
        Trade(D("77525.9"), D(5), SELL, 1788335243151, 16005949659),
        Trade(D(77526), D(208), BUY, 1788335243261, 16005949690),
    ),
    "push.deal.single": trades(
        "BTC_USDT", Trade(D("84062.6"), D(13), BUY, 1790870038339, 16435741160)
    ),
    "push.deal.docs_int_id": trades(
        "BTC_USDT",
        Trade(D("115309.8"), D(11), BUY, 1755487578275, 13064218827),
        Trade(D("115309.8"), D(55), SELL, 1755487578276, 13064218826),
    ), "push.deal.array_no_id": trades("IOTA_USDT", Trade(D("0.1834"), D(97), BUY, 1748810708074,
    None)), "push.deal.legacy_object": trades(
        "PENGU_USDT", Trade(D("0.00981"), D(2040), BUY, 1746350434582, None)
    ),
    "push.deal.legacy_docs": trades(
        "BTC_USDT", Trade(D("6866.5"), D(2096), BUY, 1587442049632, None)
    ),
    # The book is read from depth.full; these channels are never subscribed.
    **dict.fromkeys(
        ("push.depth.merged", "push.depth.merged.quiet", "push.depth.merged.exponent",
         "push.depth.unmerged.1", "push.depth.unmerged.2", "push.depth.docs"),
        Ignored("push.depth"),
    ),
    "push.depth.full": Book(
        "BTC_USDT",
        [(D("84062.5"), 34991, 8), (D("84062.4"), 61, 1)],
        [(D("84062.6"), 60366, 1)],
        42274310475,
        1790870038457,
    ),
    "push.depth.step": Ignored("push.depth.step"),
    # Bars are made from trades, and missing ones asked for by REST.
    **dict.fromkeys(
        ("push.kline", "push.kline.small_price", "push.kline.docs"), Ignored("push.kline")
    ),
    "push.funding.rate": FundingRate("BTC_USDT", D("0.000081"), 1789516800000, 1789498561049),
    "push.index.price": IndexPrice("BTC_USDT", D("76027.1"), 1789498540911),
    "push.index.price.2025": IndexPrice("BSV_USDT", D("36.64"), 1746351370315),
    "push.fair.price": FairPrice("BTC_USDT", D(75986), 1789498540821),
    # Private channels: nobody logs in while trading is on paper.
    **{
        name: Ignored(name)
        for name in (
            "push.personal.order", "push.personal.order.deal", "push.personal.position",
            "push.personal.asset", "push.personal.risk.limit", "push.personal.liquidate.risk",
            "push.personal.position.mode",
        )
    },
}  # fmt: skip


def test_every_recorded_frame_says_what_the_table_says() -> None:
    found = {
        entry["name"]: decode(text)
        for entry, text in recorded("ws_samples.jsonl")
        if entry["direction"] == "server"
    }
    contract = found.pop("push.contract")
    assert found == FRAMES
    assert isinstance(contract, Contract)
    details = rest.decode_contract(contract.detail)
    assert (details.symbol, details.contract_size) == ("CLO_USDT", D(10))


def test_no_recorded_frame_has_a_field_that_is_unknown() -> None:
    texts = [t for entry, t in recorded("ws_samples.jsonl") if entry["direction"] == "server"]
    assert [unknown_fields(text) for text in texts] == [[]] * len(texts)


def bitcoin(body: bytes) -> tuple[object, ...]:
    """What is stored of the recorded contract."""
    contracts, unreadable = rest.decode_details(body)
    found = contracts["BTC_USDT"]
    return found.contract_size, found.tick_size, len(found.tiers), unreadable


BODIES: dict[str, tuple[Callable[[bytes], Any], object]] = {
    "ping": (rest.decode_server_time, 1761875313209),
    "detail": (bitcoin, (D("0.0001"), D("0.1"), 6, ())),
    "ticker": (
        rest.decode_tickers,
        (Ticker("BTC_USDT", D("109167.1"), D("109168.9"), D(109235), D(0), D(109167),
                D("109167.1"), 1761883095759, D("0.014")),),
    ),
    "depth": (
        lambda body: rest.decode_depth(body, "BTC_USDT"),
        Book("BTC_USDT", [(D("108779.1"), 3240, 1), (D(108779), 3884, 1)],
             [(D("108779.2"), 3240, 1), (D("108779.3"), 3884, 1)], 28111438870, 1761879567135),
    ),
    "deals": (
        rest.decode_trades,
        (Trade(D("109177.4"), D(12), BUY, 1761883066624, None),
         Trade(D("109177.4"), D(14), BUY, 1761883066648, None)),
    ),
    "kline": (
        lambda body: (len(rest.decode_bars(body)), rest.decode_bars(body)[0]),
        (5, (1761876000000, Bar(D(109574), D("109628.1"), D("108953.3"), D("109006.4"),
                                D(5587051)))),
    ),
    "funding_rate": (rest.decode_funding_cycle, 8),
    "index_price": (rest.decode_index_price, IndexPrice("BTC_USDT", D("31103.4"), 1609829705178)),
    "fair_price": (rest.decode_fair_price, FairPrice("BTC_USDT", D("31103.4"), 1609829705178)),
}  # fmt: skip
REFUSED = {"error.contract": (1001, False), "error.rate": (510, True)}
NEVER_ASKED = {"depth_commits", "order.create"}
"""The book comes whole by depth.full, and orders are on paper."""


def test_every_recorded_body_says_what_the_table_says() -> None:
    bodies = {entry["name"]: text.encode() for entry, text in recorded("rest_samples.jsonl")}
    assert bodies.keys() == BODIES.keys() | REFUSED.keys() | NEVER_ASKED
    for name, (decoder, expected) in BODIES.items():
        assert decoder(bodies[name]) == expected, name
    for name, (code, retry) in REFUSED.items():
        for decoder, _ in BODIES.values():
            with pytest.raises(rest.RestError) as caught:
                decoder(bodies[name])
            assert (caught.value.code, caught.value.retry) == (code, retry)
