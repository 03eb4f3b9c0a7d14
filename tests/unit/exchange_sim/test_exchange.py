"""What a client hears: answers, errors, pushes, and the rule of the ping."""

import asyncio
import gzip
import json

import pytest

from services.venues.mexc.decoding import decode
from services.venues.mexc.messages import CHANNELS, Ignored
from tests.unit.exchange_sim.exchange_floor import OPENED_MS, SYMBOLS, Floor, on_the_floor, reported

pytestmark = pytest.mark.unit


def test_a_ping_is_answered_with_the_servers_time() -> None:
    async def talk(floor: Floor) -> None:
        client = floor.connect()
        client.ping()
        await asyncio.sleep(1)
        (pong,) = client.of("pong")
        assert OPENED_MS <= pong["data"] == pong["ts"] <= OPENED_MS + 1_000

    on_the_floor(talk)


def test_a_subscription_is_acknowledged_without_saying_for_which_symbol() -> None:
    async def talk(floor: Floor) -> None:
        client = floor.connect()
        client.subscribe("deal")
        await asyncio.sleep(0.1)
        assert client.frames[0].keys() == {"channel", "data", "ts"}
        assert client.frames[0]["channel"] == "rs.sub.deal"
        assert client.frames[0]["data"] == "success"

    on_the_floor(talk)


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ('{"method":"sub.deal","param":{"symbol":"NOPE_USDT"}}', "Contract [NOPE_USDT] not exists"),
        ('{"method":"sub.deal","param":{"symbol":"btc_usdt"}}', "Contract [btc_usdt] not exists"),
        ('{"method":"sub.deal"}', "Contract [] not exists"),
        (
            '{"method":"sub.depth.full","param":{"symbol":"BTC_USDT","limit":7}}',
            "Not support limit",
        ),
        ('{"method":"sub.kline","param":{"symbol":"BTC_USDT","interval":"1m"}}', "invalid param"),
    ],
)
def test_a_wrong_subscription_is_refused(command: str, text: str) -> None:
    async def talk(floor: Floor) -> None:
        client = floor.connect()
        client.say(command)
        await asyncio.sleep(0.1)
        assert [(frame["channel"], frame["data"]) for frame in client.frames] == [
            ("rs.error", text)
        ]

    on_the_floor(talk)


@pytest.mark.parametrize("command", ['{"method":"sub.nothing"}', "not json", "[]", "7", "{}"])
def test_what_is_no_command_gets_no_answer(command: str) -> None:
    async def talk(floor: Floor) -> None:
        client = floor.connect()
        client.say(command)
        await asyncio.sleep(1)
        assert client.frames == []
        figures = floor.exchange.figures()
        assert figures["commands_unknown"] + figures["commands_unreadable"] == 1

    on_the_floor(talk)


def test_every_trade_is_pushed_once_in_order_to_who_asked_for_all() -> None:
    async def talk(floor: Floor) -> None:
        client = floor.connect()
        client.subscribe("deal", compress=False)
        client.ping()
        await asyncio.sleep(30)
        pushed = reported(client.trades())
        assert len(pushed) > 100
        assert pushed == floor.made()[-len(pushed) :]
        ids = [int(trade["i"]) for trade in client.trades()]
        assert ids == sorted(set(ids))
        frames = client.of("push.deal")
        assert any(len(frame["data"]) > 1 for frame in frames)
        assert all(
            [trade["t"] for trade in frame["data"]]
            == sorted((trade["t"] for trade in frame["data"]), reverse=True)
            for frame in frames
        ), "a frame's trades come newest first"

    on_the_floor(talk)


def test_trades_of_one_price_and_side_are_merged_unless_reported_otherwise() -> None:
    async def talk(floor: Floor) -> None:
        every, merged = floor.connect(), floor.connect()
        every.subscribe("deal", compress=False)
        merged.subscribe("deal")
        await asyncio.sleep(40)
        assert len(merged.trades()) < len(every.trades())
        assert sum(d["v"] for d in merged.trades()) == sum(d["v"] for d in every.trades())

    on_the_floor(talk, rate=60)


def test_every_channel_speaks_and_cdb_ws_understands_all_of_it() -> None:
    async def talk(floor: Floor) -> None:
        client = floor.connect()
        for channel in (*CHANNELS, "index.price"):
            client.subscribe(channel)
        client.subscribe("tickers", symbol=None)
        for at_s in range(0, 70, 10):
            client.ping()
            await asyncio.sleep(10)
            assert not client.gone, at_s
        pushed = {frame["channel"] for frame in client.frames}
        assert pushed >= {f"push.{channel}" for channel in (*CHANNELS, "index.price", "tickers")}
        decoded = [decode(frame) for frame in client.raw]
        assert not [frame for frame in decoded if isinstance(frame, Ignored)]

    on_the_floor(talk)


def test_a_bar_is_pushed_with_its_time_in_seconds() -> None:
    async def talk(floor: Floor) -> None:
        client = floor.connect()
        client.subscribe("kline", interval="Min1")
        await asyncio.sleep(3)
        bar = client.of("push.kline")[-1]["data"]
        assert bar["t"] == OPENED_MS // 60_000 * 60
        assert bar["l"] <= bar["rl"] <= bar["rc"] <= bar["rh"] <= bar["h"]

    on_the_floor(talk)


def test_books_are_sorted_rise_in_version_and_never_cross() -> None:
    async def talk(floor: Floor) -> None:
        client = floor.connect()
        client.subscribe("depth.full", limit=20)
        await asyncio.sleep(20)
        books = [frame["data"] for frame in client.of("push.depth.full")]
        versions = [book["version"] for book in books]
        assert len(books) > 10
        assert versions == sorted(set(versions))
        for book in books:
            bids, asks = ([level[0] for level in book[side]] for side in ("bids", "asks"))
            assert len(bids) == len(asks) == 20
            assert bids == sorted(bids, reverse=True)
            assert asks == sorted(asks)
            assert bids[0] < asks[0]

    on_the_floor(talk)


def test_numbers_come_with_exponents_and_needless_zeros_too() -> None:
    async def talk(floor: Floor) -> None:
        client = floor.connect()
        client.subscribe("depth.full")
        await asyncio.sleep(20)
        text = "".join(str(frame) for frame in client.raw)
        assert "E+4," in text
        assert ".000000," in text

    on_the_floor(talk)


def test_an_unsubscribed_channel_falls_silent() -> None:
    async def talk(floor: Floor) -> None:
        client = floor.connect()
        client.subscribe("deal")
        client.subscribe("depth.full", limit=5)
        await asyncio.sleep(5)
        for channel in ("deal", "depth.full"):
            client.say(json.dumps({"method": f"unsub.{channel}", "param": {"symbol": "BTC_USDT"}}))
        await asyncio.sleep(0.1)
        client.clear()
        await asyncio.sleep(5)
        assert client.frames == []

    on_the_floor(talk)


def test_a_second_subscription_is_acknowledged_and_does_not_double_the_data() -> None:
    async def talk(floor: Floor) -> None:
        client = floor.connect()
        client.subscribe("deal", compress=False)
        client.subscribe("deal", compress=False)
        await asyncio.sleep(5)
        assert len(client.of("rs.sub.deal")) == 2
        assert len(reported(client.trades())) == len(set(map(str, client.trades())))

    on_the_floor(talk)


def test_a_connection_without_pings_is_closed_after_a_minute_busy_or_not() -> None:
    async def talk(floor: Floor) -> None:
        busy, idle, alive = floor.connect(), floor.connect(), floor.connect()
        busy.subscribe("deal")
        alive.ping()
        await asyncio.sleep(45)
        alive.ping()
        await asyncio.sleep(20)
        for client in (busy, idle):
            assert client.closed_with is not None
            assert client.of("rs.error")[0]["data"].startswith("more than 60 seconds")
        assert not alive.gone
        assert floor.exchange.figures()["open"] == 1

    on_the_floor(talk)


def test_frames_may_be_compressed() -> None:
    async def talk(floor: Floor) -> None:
        client = floor.connect()
        client.subscribe("deal")
        await asyncio.sleep(5)
        packed = [frame for frame in client.raw if isinstance(frame, bytes)]
        assert json.loads(gzip.decompress(packed[-1]))["channel"] == "push.deal"

    on_the_floor(talk, compressed=True)


def test_it_reports_what_it_did() -> None:
    async def talk(floor: Floor) -> None:
        client = floor.connect()
        for symbol in SYMBOLS:
            client.subscribe("deal", symbol)
        await asyncio.sleep(2)
        figures = floor.exchange.figures()
        assert figures["most_subscriptions_on_a_socket"] == len(SYMBOLS)
        assert figures["most_commands_per_s"] == len(SYMBOLS)
        assert figures["trades_made"] == len(floor.exchange.trades_made)
        assert figures["frames_sent"] == len(client.raw)

    on_the_floor(talk)
