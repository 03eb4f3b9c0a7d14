"""REST answers: the shapes of the venue's own, its limits and its errors."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from services.venues.mexc import rest_messages
from tests.unit.exchange_sim.exchange_floor import OPENED_MS, SYMBOLS, Floor, on_the_floor, reported

pytestmark = pytest.mark.unit

DATA = os.environ.get("CDB_TEST_DATA")


def sample(name: str) -> Any:
    """The venue's own answer of that name."""
    if not DATA:
        pytest.skip("CDB_TEST_DATA is not set: no samples of the venue here")
    lines = (Path(DATA).parent / "mexc" / "rest_samples.jsonl").read_text("utf-8").splitlines()
    rows = (json.loads(line) for line in lines)
    return next(row["message"]["data"] for row in rows if row["name"] == name)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("ticker", "ticker?symbol=BTC_USDT"),
        ("depth", "depth/BTC_USDT?limit=2"),
        ("kline", "kline/BTC_USDT?interval=Min15"),
        ("funding_rate", "funding_rate/BTC_USDT"),
        ("index_price", "index_price/BTC_USDT"),
        ("fair_price", "fair_price/BTC_USDT"),
    ],
)
def test_an_answer_has_the_fields_of_the_venues(name: str, path: str) -> None:
    expected = set(sample(name)) - {"riseFallRates", "contractId"}

    async def talk(floor: Floor) -> None:
        assert set(await floor.data(path)) >= expected

    on_the_floor(talk)


def test_a_trade_has_the_fields_of_the_venues_and_no_id() -> None:
    expected = sample("deals")[0].keys()

    async def talk(floor: Floor) -> None:
        assert (await floor.data("deals/BTC_USDT"))[0].keys() == expected

    on_the_floor(talk)


def test_the_details_are_read_by_cdb_ws() -> None:
    async def talk(floor: Floor) -> None:
        answer = await floor.get("detail")
        contracts, unusable = rest_messages.decode_details(answer.body)
        assert unusable == ()
        assert tuple(contracts) == SYMBOLS
        assert str(contracts["BTC_USDT"].contract_size) == "0.0001"
        one = await floor.data("detail?symbol=ETH_USDT")
        assert one["symbol"] == "ETH_USDT"

    on_the_floor(talk)


def test_trades_are_the_newest_hundred_newest_first() -> None:
    async def talk(floor: Floor) -> None:
        await asyncio.sleep(60)
        trades = await floor.data("deals/BTC_USDT?limit=500")
        assert len(trades) == 100
        assert reported(trades[::-1]) == floor.made()[-100:]
        assert await floor.data("deals/BTC_USDT?limit=3") == trades[:3]

    on_the_floor(talk)


def test_bars_are_those_of_the_trades() -> None:
    async def talk(floor: Floor) -> None:
        await asyncio.sleep(150)
        start = OPENED_MS // 60_000 * 60 + 60
        bars = await floor.data(f"kline/BTC_USDT?interval=Min1&start={start}&end={start}")
        inside = [trade for trade in floor.made() if start <= trade[0] // 1000 < start + 60]
        prices = [float(trade[1]) for trade in inside]
        assert bars["time"] == [start]
        assert bars["vol"] == [sum(trade[2] for trade in inside)]
        assert bars["realOpen"] + bars["realClose"] == [prices[0], prices[-1]]
        assert bars["realHigh"] + bars["realLow"] == [max(prices), min(prices)]

    on_the_floor(talk)


def test_there_are_bars_from_before_the_opening() -> None:
    async def talk(floor: Floor) -> None:
        bars = await floor.data("kline/XRP_USDT?interval=Min1&start=0")
        assert len(bars["time"]) >= 20
        assert {len(column) for column in bars.values()} == {len(bars["time"])}

    on_the_floor(talk)


def test_the_history_of_funding_has_pages() -> None:
    async def talk(floor: Floor) -> None:
        path = "funding_rate/history?symbol=BTC_USDT&page_size=20&page_num="
        first, second = await floor.data(path + "1"), await floor.data(path + "2")
        times = [row["settleTime"] for row in first["resultList"] + second["resultList"]]
        assert len(times) == first["totalCount"]
        assert times == sorted(set(times), reverse=True)
        assert times[0] < OPENED_MS

    on_the_floor(talk)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("ticker?symbol=BTCUSDT", 1001),
        ("deals/NOPE_USDT", 1001),
        ("kline/BTC_USDT?interval=Min7", 600),
        ("kline/BTC_USDT?start=yesterday", 600),
    ],
)
def test_a_failure_comes_with_status_200_and_a_code(path: str, code: int) -> None:
    async def talk(floor: Floor) -> None:
        answer = await floor.get(path)
        assert answer.status == 200
        body = json.loads(answer.body)
        assert (body["success"], body["code"]) == (False, code)

    on_the_floor(talk)


def test_an_unknown_address_is_404() -> None:
    async def talk(floor: Floor) -> None:
        assert (await floor.get("nothing")).status == 404
        assert (await floor.exchange.answer("/favicon.ico")).status == 404

    on_the_floor(talk)


@pytest.mark.parametrize(("path", "limit"), [("ticker", 10), ("deals/BTC_USDT", 20)])
def test_more_than_the_documented_requests_are_refused(path: str, limit: int) -> None:
    async def talk(floor: Floor) -> None:
        answers = [await floor.get(path) for _ in range(2 * limit + 1)]
        codes = [json.loads(answer.body)["code"] for answer in answers[: 2 * limit]]
        assert codes == [0] * limit + [510] * limit
        assert answers[-1].status == 429
        await asyncio.sleep(2.1)
        assert json.loads((await floor.get(path)).body)["code"] == 0
        endpoint = path.partition("/")[0]
        assert floor.exchange.figures()["rest_limited"] == {endpoint: limit + 1}

    on_the_floor(talk)
