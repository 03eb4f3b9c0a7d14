"""MEXC's frames: a small set of our own, and every recorded one where they are at hand."""

import gzip
import json
import os
import zlib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from services.cdb_ws.sources.mexc import messages
from services.cdb_ws.sources.mexc.messages import (
    Book,
    Contract,
    Deal,
    Deals,
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
    decode,
    subscription,
)
from services.kernel.events import Side

pytestmark = pytest.mark.unit


def push(channel: str, data: object, symbol: str | None = "BTC_USDT", ts: object = 1700) -> str:
    frame = {"symbol": symbol, "data": data, "channel": f"push.{channel}", "ts": ts}
    return json.dumps({name: value for name, value in frame.items() if value is not None})


def test_deals_are_sorted_oldest_first_with_side_and_id() -> None:
    frame = decode(push("deal", [
        {"p": 2.5, "v": 20, "T": 2, "O": 1, "M": 1, "t": 9, "i": "12"},
        {"p": 2.4, "v": 1, "T": 1, "O": 1, "M": 1, "t": 9, "i": "11"},
    ]))  # fmt: skip
    assert frame == Deals("BTC_USDT", (
        Deal(Decimal("2.4"), Decimal(1), Side.BUY, 9, 11),
        Deal(Decimal("2.5"), Decimal(20), Side.SELL, 9, 12),
    ))  # fmt: skip


@pytest.mark.parametrize(
    ("deal", "trade_id"),
    [({"i": 13064218826}, 13064218826), ({"i": "7"}, 7), ({}, None)],
)
def test_a_single_legacy_deal_is_a_list_of_one(deal: dict[str, Any], trade_id: int | None) -> None:
    frame = decode(push("deal", {"p": 1, "v": 2, "T": 1, "t": 5} | deal))
    assert isinstance(frame, Deals)
    assert [one.trade_id for one in frame.deals] == [trade_id]


def test_numbers_are_exact_with_exponents_and_without_trailing_zeros() -> None:
    body = (
        '{"symbol":"A_USDT","data":{"asks":[[9.76E+4,1,1]],"bids":[[9.75E+4,'
        '25329.000000000000000000000000000000,58],[0.080100,3,1],[1,0,0]],"version":7,"cts":"3"},'
        '"channel":"push.depth.full","ts":5}'
    )
    frame = decode(body)
    assert isinstance(frame, Book)
    assert [tuple(map(str, level)) for level in frame.bids] == [("97500", "25329"), ("0.0801", "3")]
    assert [tuple(map(str, level)) for level in frame.asks] == [("97600", "1")]
    assert (frame.version, frame.timestamp) == (7, 3)


def test_prices_rates_and_answers() -> None:
    rate = {"symbol": "BTC_USDT", "rate": 8.1e-05, "nextSettleTime": 99}
    price = {"symbol": "BTC_USDT", "price": 75986}
    assert decode(push("fair.price", price)) == FairPrice("BTC_USDT", Decimal(75986), 1700)
    assert decode(push("index.price", price)) == IndexPrice("BTC_USDT", Decimal(75986), 1700)
    assert decode(push("funding.rate", rate)) == FundingRate(
        "BTC_USDT", Decimal("0.000081"), 99, 1700
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
        push("deal", [{"p": "x", "v": 1, "T": 1, "t": 1}]),
        push("deal", [{"p": -1, "v": 1, "T": 1, "t": 1}]),
        push("deal", [{"p": 1, "v": 1, "T": 3, "t": 1}]),
        push("deal", [{"p": 1, "v": 1, "T": 1}]),
        push("deal", [{"p": 1, "v": 1, "T": 1, "t": 1}], symbol=None),
        push("fair.price", {"price": 0}),
        push("fair.price", {"price": 1}, ts=None),
        push("depth.full", {"asks": [[1, 1, 1]], "bids": [[2, 1, 1]], "version": 1}),
        push("depth.full", {"asks": "none", "bids": [], "version": 1}),
    ],
)
def test_what_is_not_the_protocol_is_refused(body: str | bytes) -> None:
    with pytest.raises(FrameError):
        decode(body)


def test_a_subscription_asks_for_plain_text() -> None:
    assert json.loads(subscription("depth.full", "BTC_USDT")) == {
        "method": "sub.depth.full", "param": {"symbol": "BTC_USDT", "limit": 20}, "gzip": False,
    }  # fmt: skip


# Every recorded frame: what it decodes to. Private channels and those that are not subscribed are
# ignored on purpose.
EXPECTED = {
    "pong": Pong, "pong.docs": Pong,
    "ack.sub.deal": Subscribed, "ack.sub.deal.ts_string": Subscribed, "ack.login": Subscribed,
    "error.unknown_contract": Refused, "error.unknown_contract.docs": Refused,
    "error.no_ping_60s": Refused,
    "push.tickers": Tickers, "push.tickers.docs": Tickers, "push.ticker": Ticker,
    "push.deal.array": Deals, "push.deal.single": Deals, "push.deal.docs_int_id": Deals,
    "push.deal.array_no_id": Deals, "push.deal.legacy_object": Deals,
    "push.deal.legacy_docs": Deals,
    "push.depth.full": Book,
    "push.depth.merged": Ignored, "push.depth.merged.quiet": Ignored,
    "push.depth.merged.exponent": Ignored, "push.depth.unmerged.1": Ignored,
    "push.depth.unmerged.2": Ignored, "push.depth.docs": Ignored, "push.depth.step": Ignored,
    "push.kline": Ignored, "push.kline.small_price": Ignored, "push.kline.docs": Ignored,
    "push.funding.rate": FundingRate,
    "push.index.price": IndexPrice, "push.index.price.2025": IndexPrice,
    "push.fair.price": FairPrice, "push.contract": Contract,
    "push.personal.order": Ignored, "push.personal.order.deal": Ignored,
    "push.personal.position": Ignored, "push.personal.asset": Ignored,
    "push.personal.risk.limit": Ignored, "push.personal.liquidate.risk": Ignored,
    "push.personal.position.mode": Ignored,
}  # fmt: skip


def recorded(name: str) -> list[tuple[dict[str, Any], str]]:
    """Recorded entries and the exact text of their messages; skips where they are not at hand."""
    folder = os.environ.get("CDB_TEST_DATA")
    if not folder:
        pytest.skip("CDB_TEST_DATA is unset: set it to the folder of the recorded data")
    path = Path(folder).parent / "mexc" / name
    if not path.is_file():
        pytest.skip(f"{path} is not there: CDB_TEST_DATA's sibling mexc holds the recorded frames")
    decoder, found = json.JSONDecoder(), []
    for line in path.read_text().splitlines():
        start = line.index('"message":') + len('"message":')
        _, end = decoder.raw_decode(line, start)
        found.append((json.loads(line), line[start:end]))
    return found


def test_every_recorded_frame_is_decoded_or_rightly_ignored() -> None:
    received = [
        (entry["name"], text)
        for entry, text in recorded("ws_samples.jsonl")
        if entry["direction"] == "server"
    ]
    assert {name: type(decode(text)) for name, text in received} == EXPECTED


def test_what_we_send_is_what_the_recorded_clients_send() -> None:
    sent = {
        entry["name"]: entry["message"]
        for entry, _ in recorded("ws_samples.jsonl")
        if entry["direction"] == "client"
    }
    assert json.loads(messages.PING) == sent["ping"]
    for channel in messages.CHANNELS:
        ours = json.loads(subscription(channel, "BTC_USDT"))
        assert ours == sent[f"sub.{channel}"] | {"gzip": False}
