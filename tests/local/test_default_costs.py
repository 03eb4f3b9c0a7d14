"""The defaults on a month of each recorded spot market: they trade, and rarely enough."""

from decimal import Decimal
from pathlib import Path

import pytest

from services.lab.bench.default_results import FileResult, market_files, play

pytestmark = [pytest.mark.local_only, pytest.mark.slow, pytest.mark.timeout(3600)]

MOST_COSTS = Decimal("0.02")
ROUNDING_BP = Decimal("0.01")
"""Money is rounded at each fill."""


@pytest.fixture(scope="module")
def results(recorded: Path) -> list[FileResult]:
    months = [run for run in market_files(recorded) if run[0].name.startswith("mexc-spot_")]
    if not months:
        pytest.skip("CDB_TEST_DATA has no mexc-spot_* files")
    return [play(paths, {}) for paths in months]


def test_a_month_costs_less_than_two_per_cent_of_equity(results: list[FileResult]) -> None:
    costs = {result.file: result.paid_pct for result in results}
    assert {file: share for file, share in costs.items() if share >= MOST_COSTS} == {}


def test_at_least_half_of_the_markets_are_traded(results: list[FileResult]) -> None:
    traded = [result.file for result in results if result.entries]
    assert len(traded) * 2 >= len(results)


def test_no_account_loses_what_stops_trading(results: list[FileResult]) -> None:
    assert {result.file: result.halted_for for result in results if result.halted_at} == {}


def test_no_margin_and_no_stop_breaks_its_promise(results: list[FileResult]) -> None:
    assert {result.file: result.broken for result in results if result.broken} == {}


def test_no_fill_on_bars_drifts_in_our_favour(results: list[FileResult]) -> None:
    for result in results:
        for kind, drift in result.drift.items():
            assert drift.bp is None or drift.bp > -ROUNDING_BP, (result.file, kind)
