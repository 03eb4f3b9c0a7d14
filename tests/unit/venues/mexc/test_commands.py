"""What is sent to the venue: as plain text, and as the recorded clients send it."""

import json

import pytest

from services.venues.mexc.commands import CHANNELS, CONTRACTS, PING, subscription, unsubscription
from tests.unit.venues.mexc.recorded_samples import recorded

pytestmark = pytest.mark.unit


def test_a_subscription_asks_for_plain_text() -> None:
    assert json.loads(subscription("depth.full", "BTC_USDT")) == {
        "method": "sub.depth.full", "param": {"symbol": "BTC_USDT", "limit": 20}, "gzip": False,
    }  # fmt: skip


def test_trades_are_asked_for_one_by_one_as_rest_reports_them() -> None:
    assert json.loads(subscription("deal", "BTC_USDT"))["param"]["compress"] is False


def test_what_we_send_is_what_the_recorded_clients_send() -> None:
    sent = {
        entry["name"]: entry["message"]
        for entry, _ in recorded("ws_samples.jsonl")
        if entry["direction"] == "client"
    }
    assert json.loads(PING) == sent["ping"]
    assert json.loads(CONTRACTS) == sent["sub.contract"] | {"gzip": False}
    for channel in CHANNELS:
        name = "sub.deal.uncompressed" if channel == "deal" else f"sub.{channel}"
        ours = json.loads(subscription(channel, "BTC_USDT"))
        assert ours == sent[name] | {"gzip": False}
        theirs = sent.get(f"unsub.{channel}")
        if theirs is not None:
            ended = json.loads(unsubscription(channel, "BTC_USDT"))
            assert ended["method"] == theirs["method"]
            assert ended["param"]["symbol"] == theirs["param"]["symbol"]
