"""The arithmetic of a candidate: what was asked, what each limit left, the smallest order."""

from decimal import Decimal
from typing import Any

import pytest

from services.explain.sizing_arithmetic import sizing_lines
from services.explain.two_versions import compared
from services.kernel.events import RiskDecision, Side, Verdict
from tests.record_builders import decision

pytestmark = pytest.mark.unit

FIGURES = {
    "equity": "100000", "risk_pct": "0.002", "stop_pct": "0.02", "price": "50", "lot_size": "0.1",
    "min_notional": "5", "unit_value": "50", "position": "0", "elsewhere": "0",
    "elsewhere_alike": "0", "max_total_exposure_pct": "0.3", "max_correlated_exposure_pct": "0.2",
    "max_position_pct": "0.05", "smallest": "0.1",
}  # fmt: skip


def sized(over: dict[str, str] | None = None, **fields: Any) -> RiskDecision:
    figures = {name: Decimal(value) for name, value in (FIGURES | (over or {})).items()}
    return decision(1, sizing=figures, **fields)


def test_what_was_asked_and_what_each_limit_leaves_can_be_reckoned_by_hand() -> None:
    assert sizing_lines(sized()) == [
        "sizing: equity 100000 x risk 0.002 / (price 50 x stop 0.02) = 200 asked",
        "limit on position: (0.05 x 100000) / 50 = 100",
        "limit on total exposure: (0.3 x 100000) / 50 = 600",
        "smallest order: 0.1 (lots of 0.1, worth at least 5)",
    ]


def test_what_is_held_already_and_elsewhere_counts() -> None:
    lines = sizing_lines(
        sized({"position": "-20", "elsewhere": "10000", "elsewhere_alike": "5000"}, side=Side.SELL)
    )
    assert "limit on position: (0.05 x 100000) / 50 - 20 held = 80" in lines
    assert "limit on total exposure: (0.3 x 100000 - 10000 elsewhere) / 50 - 20 held = 380" in lines
    assert (
        "limit on correlated exposure: (0.2 x 100000 - 5000 elsewhere) / 50 - 20 held = 280"
        in lines
    )
    against = sizing_lines(sized({"position": "-20"}, side=Side.BUY))
    assert "limit on position: (0.05 x 100000) / 50 + 20 held = 120" in against


def test_a_target_of_volatility_is_reckoned_beside_the_stop() -> None:
    lines = sizing_lines(sized({"volatility": "0.5", "volatility_target_pct": "0.1"}))
    assert lines[1] == (
        "or, if that is less: equity 100000 x target 0.1 / (volatility 0.5 x price 50) = 400"
    )


def test_who_trimmed_is_said_behind_the_limits() -> None:
    trimmed = sized(
        verdict=Verdict.TRIMMED, binding_limit="5 position", requested_quantity=Decimal(200),
        quantity=Decimal(100),
    )  # fmt: skip
    assert "trimmed from 200 to 100 by 5 position" in sizing_lines(trimmed)


def test_figures_of_an_older_record_are_reported_as_they_are() -> None:
    assert sizing_lines(decision(1)) == ["with risk fraction 0.002"]
    assert sizing_lines(decision(1, sizing={})) == []


def test_two_versions_share_the_lines_that_are_alike() -> None:
    before = sized(quantity=Decimal(200))
    after = sized({"max_position_pct": "0.01"}, quantity=Decimal(20))
    lines = compared(before, after)
    assert lines[:2] == [
        "- risk: APPROVED BUY 200 BTC_USDT",
        "+ risk: APPROVED BUY 20 BTC_USDT",
    ]
    assert "  limit on total exposure: (0.3 x 100000) / 50 = 600" in lines
    assert "+ limit on position: (0.01 x 100000) / 50 = 20" in lines
    assert compared(before, None)[-1] == "+ nothing"
