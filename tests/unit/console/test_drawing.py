"""What is drawn over candles, and how candles are put together."""

from typing import Any

import pytest

from services.console.candles import MINUTE_MS, Candle, merged
from services.console.chart import gaps, stop_lines

pytestmark = pytest.mark.unit


def opening(at: int, stop: str | None = "90") -> dict[str, Any]:
    return {"at": at, "reduce_only": False, "stop": stop}


def test_candles_of_a_longer_interval_begin_at_its_multiples() -> None:
    minutes = [Candle(minute * MINUTE_MS, 1, 2 + minute, 1, 2, 10) for minute in (3, 4, 5, 6)]

    found = merged(minutes, 5)

    assert [candle.at for candle in found] == [0, 5 * MINUTE_MS]
    assert found[0] == Candle(0, 1, 6, 1, 2, 20)
    assert found[1].high == 8


def test_a_joined_candle_opens_with_the_first_and_closes_with_the_last() -> None:
    first, second = Candle(0, 10, 12, 9, 11, 1), Candle(MINUTE_MS, 11, 11, 7, 8, 2)

    assert merged([first, second], 5) == [Candle(0, 10, 12, 7, 8, 3)]


def test_a_stop_is_drawn_from_the_fill_to_the_closing() -> None:
    assert stop_lines([opening(100)], [150, 300]) == [{"from": 100, "to": 150, "price": "90"}]


def test_the_stop_of_an_open_position_has_no_end() -> None:
    assert stop_lines([opening(200)], [150]) == [{"from": 200, "to": None, "price": "90"}]


def test_a_second_entry_ends_the_first_one_s_stop() -> None:
    newest_first = [opening(200, "95"), opening(100, "90")]

    assert [(line["from"], line["to"]) for line in stop_lines(newest_first, [])] == [
        (100, 200),
        (200, None),
    ]


def test_exits_and_fills_without_a_stop_draw_none() -> None:
    exit_fill = {"at": 1, "reduce_only": True, "stop": "90"}

    assert stop_lines([exit_fill, opening(1, None)], []) == []


def test_a_gap_that_begins_twice_is_one_and_may_be_open() -> None:
    rows = [(1, "BEGAN", "socket"), (2, "BEGAN", "REST"), (5, "CLEARED", ""), (9, "BEGAN", "x")]

    assert gaps(rows) == [
        {"from": 1, "to": 5, "detail": "socket"},
        {"from": 9, "to": None, "detail": "x"},
    ]
