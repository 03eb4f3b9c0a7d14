"""MEXC's frames decoded: order, sides, exact numbers, what is refused and why."""

import gzip
import json
import zlib
from decimal import Decimal
from typing import Any

import pytest

from services.kernel.events import Side
from services.venues.mexc import decoding
from services.venues.mexc.decoding import decode
from services.venues.mexc.messages import (
    Book,
    FairPrice,
    FrameError,
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

pytestmark = pytest.mark.unit

NOW = 1_700_000_000_000


def push(channel: str, data: object, symbol: str | None = "BTC_USDT", ts: object = 1700) -> str:
    frame = {"symbol": symbol, "data": data, "channel": f"push.{channel}", "ts": ts}
    return json.dumps({name: value for name, value in frame.items() if value is not None})


def test_trades_are_sorted_oldest_first_with_side_and_id() -> None:
    frame = decode(push("deal", [
        {"p": 2.5, "v": 20, "T": 2, "O": 1, "M": 1, "t": NOW, "i": "12"},
        {"p": 2.4, "v": 1, "T": 1, "O": 1, "M": 1, "t": NOW, "i": "11"},
    ]))  # fmt: skip
    assert frame == Trades("BTC_USDT", (
        Trade(Decimal("2.4"), Decimal(1), Side.BUY, NOW, 11),
        Trade(Decimal("2.5"), Decimal(20), Side.SELL, NOW, 12),
    ))  # fmt: skip


@pytest.mark.parametrize(
    ("trade", "trade_id"),
    [({"i": 13064218826}, 13064218826), ({"i": "7"}, 7), ({}, None)],
)
def test_a_single_legacy_trade_is_a_list_of_one(
    trade: dict[str, Any], trade_id: int | None
) -> None:
    frame = decode(push("deal", {"p": 1, "v": 2, "T": 1, "t": NOW} | trade))
    assert isinstance(frame, Trades)
    assert [one.trade_id for one in frame.trades] == [trade_id]


def test_the_numbers_of_a_book_are_exact_with_exponents() -> None:
    body = (
        '{"symbol":"A_USDT","data":{"asks":[[9.76E+4,1,1]],"bids":[[9.75E+4,'
        '25329.000000000000000000000000000000,58],[0.080100,3,1],[1,0,0]],"version":7,"cts":"3"},'
        '"channel":"push.depth.full","ts":5}'
    )
    frame = decode(body)
    assert isinstance(frame, Book)
    assert frame.bids == [(97500, 25329, 58), (Decimal("0.0801"), 3, 1)]
    assert frame.asks == [(97600, 1, 1)]
    assert (frame.version, frame.timestamp) == (7, 3)


def test_prices_rates_and_answers() -> None:
    rate = {"symbol": "BTC_USDT", "rate": 8.1e-05, "nextSettleTime": NOW}
    price = {"symbol": "BTC_USDT", "price": 75986}
    assert decode(push("fair.price", price)) == FairPrice("BTC_USDT", Decimal(75986), 1700)
    assert decode(push("index.price", price)) == IndexPrice("BTC_USDT", Decimal(75986), 1700)
    assert decode(push("funding.rate", rate)) == FundingRate(
        "BTC_USDT", Decimal("0.000081"), NOW, 1700
    )
    assert decode('{"channel":"pong","data":123,"ts":123}') == Pong(123)
    assert decode('{"channel":"rs.sub.deal","data":"success","ts":"1"}') == Subscribed(
        "rs.sub.deal"
    )
    assert decode('{"channel":"rs.error","data":"no","ts":1}') == Refused("no")
    assert decode('{"channel":"push.something.new","data":{}}') == Ignored("push.something.new")


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, bytes])
def test_compressed_frames_are_read_too(pack: Any) -> None:
    assert decode(pack(b'{"channel":"pong","data":1}')) == Pong(1)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "nonsense",
        "[]",
        "{}",
        '{"channel":7}',
        b"\x00\x01binary",
        push("deal", [{"p": "x", "v": 1, "T": 1, "t": NOW}]),
        push("deal", [{"p": -1, "v": 1, "T": 1, "t": NOW}]),
        push("deal", [{"p": 1, "v": 1, "T": 3, "t": NOW}]),
        push("deal", [{"p": 1, "v": 1, "T": 1}]),
        push("deal", [{"p": 1, "v": 1, "T": 1, "t": NOW // 1000}]),
        push("deal", {"p": 1e300, "v": 1, "T": 1, "t": NOW}),
        push("depth.full", {"asks": [[1e300, 1, 1]], "bids": [], "version": 1}),
        push("deal", [{"p": 1, "v": 1, "T": 1, "t": NOW}], symbol=None),
        push("fair.price", {"price": 0}),
        push("fair.price", {"price": 1}, ts=None),
        push("depth.full", {"asks": [[1, 1, 1]], "bids": [[2, 1, 1]], "version": 1}),
        push("depth.full", {"asks": "none", "bids": [], "version": 1}),
        '{"channel":"push.deal","data":' + "[" * 1_100 + "]" * 1_100 + "}",
        '{"channel":"push.fair.price","x":' + "[" * 1_100 + "]" * 1_100 + ',"data":{"price":1}}',
        '{"channel":' * 1_100 + "1" + "}" * 1_100,
        b'{"channel":"push.fair.price","symbol":"\xff","data":{"price":1},"ts":1}',
        push("fair.price", {"price": 1e300}),
        push("fair.price", {"price": "NaN"}),
        push("fair.price", {"price": 1}, ts="9" * 5_000),
        push("funding.rate", {"rate": 1, "nextSettleTime": NOW}),
        push("funding.rate", {"rate": 0, "nextSettleTime": 10**13}),
        push("deal", [{"p": 1, "v": 1, "T": 1, "t": 10**13}]),
        push("deal", [{"p": 1, "v": 1, "T": 1, "t": NOW, "i": str(1 << 63)}]),
        push("ticker", {"symbol": "BTC_USDT", "lastPrice": 1e300}),
    ],
)
def test_what_is_not_the_protocol_is_refused(body: str | bytes) -> None:
    with pytest.raises(FrameError):
        decode(body)


@pytest.mark.parametrize(
    ("body", "reason", "symbol"),
    [
        ("nonsense", "not_json", None),
        (push("deal", [{"p": 1}]), "malformed_push.deal", "BTC_USDT"),
        (
            push("depth.full", {"asks": [[1, 1, 1]], "bids": [[2, 1, 1]], "version": 1}),
            "crossed_book",
            "BTC_USDT",
        ),
    ],
)
def test_a_refusal_says_why_and_whose_data_is_lost(
    body: str, reason: str, symbol: str | None
) -> None:
    with pytest.raises(FrameError) as caught:
        decode(body)
    assert (caught.value.reason, caught.value.symbol) == (reason, symbol)


def test_a_frame_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_UNPACKED_BYTES", 100)
    with pytest.raises(FrameError, match="more than 100 bytes"):
        decode(gzip.compress(b'{"channel":"pong","data":1' + b" " * 1000 + b"}"))


def test_the_name_of_an_unknown_channel_is_cut() -> None:
    assert decode(json.dumps({"channel": "x" * 100_000})) == Ignored("x" * decoding.MOST_NAME)


def test_one_unreadable_summary_does_not_spoil_the_others() -> None:
    never_traded = {"symbol": "NEW_USDT", "lastPrice": None}
    rows = [never_traded, {"symbol": "OLD_USDT", "lastPrice": 0}, {"symbol": "A", "lastPrice": 2}]
    frame = decode(push("tickers", rows, symbol=None))
    assert isinstance(frame, Tickers)
    assert [row.symbol for row in frame.rows] == ["A"]


def test_prices_that_are_zero_are_none() -> None:
    frame = decode(push("ticker", {"symbol": "A", "lastPrice": 2, "bid1": 0, "fairPrice": 0}))
    assert isinstance(frame, Ticker)
    assert (frame.bid, frame.ask, frame.fair_price) == (None, None, None)


def test_a_book_is_sorted_and_deleted_levels_are_left_out() -> None:
    data = {
        "asks": [[3, 1, 1], [2, 1, 1], [4, 0, 0]],
        "bids": [[0.5, 1, 1], [1, 1, 1]],
        "version": 1,
    }
    frame = decode(push("depth.full", data))
    assert isinstance(frame, Book)
    assert [price for price, *_ in frame.asks] == [2, 3]
    assert [price for price, *_ in frame.bids] == [1, Decimal("0.5")]
    assert frame.timestamp == 1700


@pytest.mark.parametrize("price", ["1E+999999", "1E-999999", "0", "-1"])
@pytest.mark.parametrize("side", ["asks", "bids"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_book_with_an_absurd_price_is_refused(price: str, side: str, place: int) -> None:
    levels = ["[2,1,1]", "[3,1,1]"]
    levels.insert(place, f"[{price},1,1]")
    sides = {"asks": "", "bids": ""} | {side: ",".join(levels)}
    body = (
        f'{{"symbol":"A_USDT","data":{{"asks":[{sides["asks"]}],"bids":[{sides["bids"]}],'
        '"version":7},"channel":"push.depth.full","ts":5}'
    )
    with pytest.raises(FrameError, match="is none that a book can have"):
        decode(body)
