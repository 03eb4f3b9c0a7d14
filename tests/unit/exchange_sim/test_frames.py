"""Pushed frames have the fields of the venue's own, as they were recorded."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from services.exchange_sim.faults.faults import FaultKind
from tests.unit.exchange_sim.exchange_floor import Floor, on_the_floor

pytestmark = pytest.mark.unit

DATA = os.environ.get("CDB_TEST_DATA")
LEFT_OUT = {"contractId"}
"""A number that nothing in the protocol refers to."""


def recorded(name: str) -> dict[str, Any]:
    """A frame of the venue."""
    if not DATA:
        pytest.skip("CDB_TEST_DATA is not set: no samples of the venue here")
    lines = (Path(DATA).parent / "mexc" / "ws_samples.jsonl").read_text("utf-8").splitlines()
    rows = (json.loads(line) for line in lines)
    message: dict[str, Any] = next(row["message"] for row in rows if row["name"] == name)
    return message


def first(data: Any) -> Any:
    return data[0] if isinstance(data, list) else data


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("push.deal.array", "deal"),
        ("push.depth.full", "depth.full"),
        ("push.ticker", "ticker"),
        ("push.tickers", "tickers"),
        ("push.kline", "kline"),
        ("push.funding.rate", "funding.rate"),
        ("push.index.price", "index.price"),
        ("push.fair.price", "fair.price"),
    ],
)
def test_a_pushed_frame_has_the_fields_of_the_venues(name: str, channel: str) -> None:
    sample = recorded(name)

    async def talk(floor: Floor) -> None:
        client = floor.connect()
        client.subscribe(channel, symbol=None if channel == "tickers" else "BTC_USDT")
        for _ in range(7):
            client.ping()
            await asyncio.sleep(10)
        frame = client.of(f"push.{channel}")[-1]
        assert frame.keys() == sample.keys()
        ours, theirs = first(frame["data"]), first(sample["data"])
        assert ours.keys() == theirs.keys() - LEFT_OUT
        assert {key: isinstance(value, str) for key, value in ours.items()} == {
            key: isinstance(theirs[key], str) for key in ours
        }, "texts are texts, numbers numbers"

    on_the_floor(talk)


@pytest.mark.parametrize("name", ["pong", "ack.sub.deal", "error.unknown_contract"])
def test_an_answer_has_the_fields_of_the_venues(name: str) -> None:
    sample = recorded(name)

    async def talk(floor: Floor) -> None:
        client = floor.connect()
        client.ping()
        client.subscribe("deal")
        client.subscribe("deal", "NOPE_USDT")
        await asyncio.sleep(0.1)
        (frame,) = client.of(sample["channel"])
        assert frame.keys() == sample.keys()
        assert type(frame["data"]) is type(sample["data"])

    on_the_floor(talk)


def test_changed_details_are_pushed_as_rest_gives_them() -> None:
    sample = recorded("push.contract")
    needed = {key for key in sample["data"] if "Rate" in key or "Vol" in key or "Unit" in key}

    async def talk(floor: Floor) -> None:
        client = floor.connect()
        client.subscribe("contract", symbol=None)
        await asyncio.sleep(0.1)
        before = await floor.data("detail?symbol=BTC_USDT")
        floor.begin(FaultKind.CONTRACT_CHANGED, symbol="BTC_USDT")
        await asyncio.sleep(0.1)
        (frame,) = client.of("push.contract")
        assert frame.keys() == sample.keys()
        assert frame["data"] == await floor.data("detail?symbol=BTC_USDT")
        assert frame["data"]["maxLeverage"] == before["maxLeverage"] / 2
        assert frame["data"].keys() >= needed

    on_the_floor(talk)
