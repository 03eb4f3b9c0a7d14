"""MEXC's REST: bodies, and asking the host that answers."""

import json
from decimal import Decimal
from typing import Any

import pytest

from services.cdb_ws.sources.live import SourceAwayError
from services.cdb_ws.sources.mexc.rest import MexcRest, hosts_for
from services.cdb_ws.sources.mexc.rest_messages import (
    RestError,
    decode_bars,
    decode_details,
    decode_funding_cycle,
    decode_movers,
    payload,
)
from tests.unit.cdb_ws.mexc.test_messages import recorded

pytestmark = pytest.mark.unit

DETAIL: dict[str, Any] = {
    "symbol": "BTC_USDT", "contractSize": 0.0001, "priceUnit": 0.1, "volUnit": 1, "state": 0,
    "maintenanceMarginRate": 0.001, "initialMarginRate": 0.002, "maxLeverage": 500,
    "takerFeeRate": 0.0004, "riskLimitMode": "CUSTOM",
    "riskLimitCustom": [
        {"level": 1, "maxVol": 50000, "mmr": 0.001, "imr": 0.002, "maxLeverage": 500},
        {"level": 2, "maxVol": 60000, "mmr": 0.004, "imr": 0.005, "maxLeverage": 200},
    ],
}  # fmt: skip


def ok(data: object) -> bytes:
    return json.dumps({"success": True, "code": 0, "data": data}).encode()


def test_a_contracts_units_are_base_units_and_its_fees_are_those_of_the_api() -> None:
    contract = decode_details(ok([DETAIL]))[0]["BTC_USDT"]
    assert (contract.contract_size, contract.lot_size) == (Decimal("0.0001"), Decimal("0.0001"))
    assert (contract.tick_size, contract.taker_fee_rate) == (Decimal("0.1"), Decimal("0.0008"))
    assert [(t.max_quantity, t.maintenance_margin_rate) for t in contract.tiers] == [
        (Decimal(5), Decimal("0.001")), (Decimal(6), Decimal("0.004")),
    ]  # fmt: skip
    assert contract.generic is False


def test_tiers_by_increment_are_written_out() -> None:
    detail = DETAIL | {
        "riskLimitMode": "INCREASE", "riskBaseVol": 1000, "riskIncrVol": 500, "riskIncrMmr": 0.001,
        "riskIncrImr": 0.002, "riskLevelLimit": 3,
    }  # fmt: skip
    tiers = decode_details(ok([detail]))[0]["BTC_USDT"].tiers
    assert [str(tier.max_quantity) for tier in tiers] == ["0.1", "0.15", "0.2"]
    assert [str(tier.maintenance_margin_rate) for tier in tiers] == ["0.001", "0.002", "0.003"]
    assert [str(tier.max_leverage) for tier in tiers] == ["500", "250", "166.67"]


def test_one_bad_contract_does_not_spoil_the_others_and_closed_ones_are_left_out() -> None:
    rows = [DETAIL, {"symbol": "X_USDT"}, DETAIL | {"symbol": "OLD_USDT", "state": 3}, 7]
    contracts, unusable = decode_details(ok(rows))
    assert list(contracts) == ["BTC_USDT"]
    assert unusable == ("X_USDT", "None")


def test_bars_are_the_really_traded_ones_in_milliseconds() -> None:
    body = ok({
        "time": [120, 60], "open": [1, 1], "high": [2, 2], "low": [1, 1], "close": [2, 2],
        "vol": [10, 20.0], "realOpen": [1.5, 1.4], "realHigh": [2, 2], "realLow": [1.5, 1.4],
        "realClose": [1.7, 1.8],
    })  # fmt: skip
    bars = decode_bars(body)
    assert [opened for opened, _ in bars] == [60_000, 120_000]
    assert [(bar.open, bar.close, bar.volume) for _, bar in bars] == [
        (Decimal("1.4"), Decimal("1.8"), Decimal(20)),
        (Decimal("1.5"), Decimal("1.7"), Decimal(10)),
    ]  # fmt: skip


def test_unequal_columns_are_refused() -> None:
    body = ok({"time": [60], "open": [], "high": [1], "low": [1], "close": [1], "vol": [1]})
    with pytest.raises(ValueError, match="not all 1 long"):
        decode_bars(body)


def test_movers_are_sorted_by_the_size_of_their_move() -> None:
    rows = [{"symbol": name, "lastPrice": 1, "riseFallRate": rate} for name, rate in
            (("A", 0.01), ("B", -0.5), ("C", 0.2))]  # fmt: skip
    assert decode_movers(ok(rows)) == ("B", "C", "A")


def test_an_error_comes_with_http_200_and_says_whether_to_ask_again() -> None:
    for code, retry in ((1001, False), (510, True)):
        with pytest.raises(RestError, match=str(code)) as caught:
            payload(json.dumps({"success": False, "code": code, "message": "no"}).encode())
        assert caught.value.retry is retry


def test_every_recorded_body_is_decoded_or_rightly_refused() -> None:
    bodies = {entry["name"]: text.encode() for entry, text in recorded("rest_samples.jsonl")}
    contracts, unusable = decode_details(bodies["detail"])
    assert list(contracts) == ["BTC_USDT"]
    assert not unusable
    assert len(contracts["BTC_USDT"].tiers) == 6
    assert len(decode_bars(bodies["kline"])) == 5
    assert decode_movers(bodies["ticker"]) == ("BTC_USDT",)
    assert decode_funding_cycle(bodies["funding_rate"]) == 8
    for name in ("error.contract", "error.rate"):
        with pytest.raises(RestError):
            payload(bodies[name])
    for name, body in bodies.items():
        if not name.startswith("error."):
            assert payload(body)


class Hosts:
    """Two hosts, of which one is away."""

    def __init__(self, *away: str) -> None:
        self.away = away
        self.asked: list[str] = []

    def get(self, url: str) -> bytes:
        self.asked.append(url)
        if url.startswith(self.away):
            raise OSError("refused")
        return ok({"collectCycle": 4})


def test_the_other_host_is_asked_and_preferred_from_then_on() -> None:
    hosts = Hosts("http://a")
    rest = MexcRest(["http://a", "http://b"], hosts.get, lambda _: None)
    assert [rest.funding_hours("X_USDT"), rest.funding_hours("X_USDT")] == [4, 4]
    assert [url[:8] for url in hosts.asked] == ["http://a", "http://b", "http://b"]


def test_no_host_is_an_absence_that_says_why() -> None:
    rest = MexcRest(["http://a"], Hosts("http://a").get, lambda _: None)
    with pytest.raises(SourceAwayError, match="http://a: refused"):
        rest.contracts()


def test_only_the_venues_own_address_has_a_second_one() -> None:
    assert hosts_for("https://contract.mexc.com/") == (
        "https://contract.mexc.com", "https://api.mexc.com",
    )  # fmt: skip
    assert hosts_for("http://cdb_sim:9000") == ("http://cdb_sim:9000",)
