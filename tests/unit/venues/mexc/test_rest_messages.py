"""MEXC's REST bodies: units, bad rows, errors that come with HTTP 200."""

import json
from decimal import Decimal
from typing import Any

import pytest

from services.venues.mexc.rest_messages import (
    FundingSettlement,
    RestError,
    decode_bars,
    decode_details,
    decode_fair_price,
    decode_funding_cycle,
    decode_funding_history,
    decode_movers,
    decode_tickers,
    decode_trades,
    payload,
)

pytestmark = pytest.mark.unit

NOW = 1_700_000_000_000

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


def test_trades_are_oldest_first_and_keep_the_venues_order_within_a_millisecond() -> None:
    rows = [{"p": price, "v": 1, "T": 1, "O": 1, "M": 2, "t": NOW + t} for price, t in
            ((4, 20), (3, 20), (2, 10), (1, 10))]  # fmt: skip
    found = decode_trades(ok(rows))
    assert [trade.price for trade in found] == [1, 2, 3, 4]
    assert {trade.trade_id for trade in found} == {None}
    assert decode_trades(ok([])) == ()


@pytest.mark.parametrize("row", [{"p": 0, "v": 1, "T": 1, "t": NOW}, {"p": 1, "v": 1, "T": 1}, 7])
def test_a_trade_that_cannot_be_read_refuses_the_whole_window(row: object) -> None:
    """A window with a row missing would prove a hole that is none."""
    with pytest.raises(ValueError):  # noqa: PT011 - any message: the venue's fault
        decode_trades(ok([row]))


def test_summaries_of_one_symbol_or_of_all() -> None:
    row = {"symbol": "A_USDT", "lastPrice": 1, "fairPrice": 1.5, "bid1": 0.9, "ask1": 1.1}
    one = decode_tickers(ok(row))
    assert decode_tickers(ok([row, {"symbol": "NEW_USDT"}])) == one
    assert (one[0].fair_price, one[0].bid, one[0].ask) == tuple(map(Decimal, ("1.5", "0.9", "1.1")))


def test_settled_funding_rates() -> None:
    rows = [{"symbol": "A_USDT", "fundingRate": 1e-05, "settleTime": NOW}]
    body = ok(
        {"pageSize": 20, "totalCount": 1, "totalPage": 1, "currentPage": 1, "resultList": rows}
    )
    assert decode_funding_history(body) == (FundingSettlement("A_USDT", Decimal("0.00001"), NOW),)


@pytest.mark.parametrize("value", [-1, 1e15, "NaN"])
@pytest.mark.parametrize("column", ["open", "low", "vol"])
def test_a_bar_with_an_absurd_number_is_refused(column: str, value: object) -> None:
    names = ("open", "high", "low", "close", "vol")
    columns = {"time": [NOW // 1000]} | {name: [1] for name in names} | {column: [value]}
    with pytest.raises((ValueError, ArithmeticError)):
        decode_bars(ok(columns))


def test_a_funding_cycle_that_is_not_reported_is_eight_hours() -> None:
    assert decode_funding_cycle(ok({"collectCycle": 4})) == 4
    assert decode_funding_cycle(ok({})) == decode_funding_cycle(ok({"collectCycle": 0})) == 8


def test_a_price_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="none that a market can have"):
        decode_fair_price(ok({"symbol": "A_USDT", "fairPrice": 0, "timestamp": 1}))
