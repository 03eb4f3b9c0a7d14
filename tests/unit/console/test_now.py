"""The Now screen: trading state with its causes, limits, positions, health of each service."""

from typing import Any

import pytest

from services.console.now import ServiceReading, limits, now_view, positions, trading_state
from services.kernel.events import topics

pytestmark = pytest.mark.unit


def reading(stage: dict[str, Any] | None = None, **status: Any) -> ServiceReading:
    return ServiceReading(True, {"status": "ok", "measured": {}}, {"stage": stage, **status})


def risk(**stage: Any) -> dict[str, ServiceReading]:
    return {topics.RISK: reading({"account": "ACTIVE", **stage})}


def test_an_active_desk_needs_no_cause_and_no_release() -> None:
    assert trading_state(risk()) == {"name": "ACTIVE", "why": [], "release": None}


def test_a_halt_names_every_cause_and_the_person_who_releases_it() -> None:
    found = trading_state(
        risk(account="HALTED", halt_reason="DAILY_DRAWDOWN: 5 %", further_halts=["OPERATOR"])
    )

    assert found["name"] == "HALTED"
    assert found["why"] == ["DAILY_DRAWDOWN: 5 %", "also OPERATOR"]
    assert "reset" in found["release"]


def test_a_condition_ends_by_itself() -> None:
    found = trading_state(risk(account="REDUCE_ONLY", conditions={"x": "the database is away"}))

    assert found["name"] == "REDUCE-ONLY"
    assert found["why"] == ["the database is away"]
    assert "by itself" in found["release"]


def test_without_an_answer_of_risk_nothing_is_said_to_be_allowed() -> None:
    assert trading_state({})["name"] == "UNKNOWN"


def test_a_limit_shows_the_share_that_is_used() -> None:
    account = {"daily_drawdown_pct": "0.02", "drawdown_pct": None, "exposure_pct": "0.15"}
    settings = {"MAX_DAILY_DRAWDOWN_PCT": "0.05", "MAX_TOTAL_EXPOSURE_PCT": "0.30"}

    found = {row["name"]: row["used"] for row in limits(account, settings)}

    assert found == {"daily drawdown": 0.4, "loss from the peak": None, "total exposure": 0.5}


def test_a_position_has_the_age_of_its_price_and_its_distances() -> None:
    account = {
        "clock_ms": 61_000,
        "positions": [
            {
                "symbol": "BTC_USDT",
                "mark_price": "100",
                "priced_at": 1_000,
                "stop_loss_price": "98",
                "liquidation_price": "70",
            }
        ],
    }

    (found,) = positions(account)

    assert found["price_age_s"] == 60
    assert found["stop_distance"] == pytest.approx(0.02)
    assert found["liquidation_distance"] == pytest.approx(0.30)


def test_a_service_that_does_not_answer_is_red_with_its_reason() -> None:
    dead = ServiceReading(False, {"reason": "does not answer (refused)"})

    rows = {row["name"]: row for row in now_view({topics.CORE: dead}, read_at=1)["services"]}

    assert rows[topics.CORE]["healthy"] is False
    assert "refused" in rows[topics.CORE]["why"]
    assert rows[topics.WS]["healthy"] is None
