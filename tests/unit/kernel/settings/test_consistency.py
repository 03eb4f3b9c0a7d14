"""Settings that exclude each other: named with values and remedy, and true of the stages."""

from decimal import Decimal

import pytest

from services.kernel.events import OrderStatus, Verdict
from services.kernel.settings.consistency import inconsistencies
from services.kernel.settings.model import TradingSettings
from services.kernel.settings.parameters import SETTING_SPECS
from tests import builders
from tests.unit.kernel.desk import Desk

pytestmark = [pytest.mark.unit, pytest.mark.risk]

FATAL = {
    "leverage against liquidation distance": (
        {"MAX_LEVERAGE": "10"},
        "MAX_LEVERAGE=10 puts liquidation 9.5 % from the entry price",
        {"MAX_LEVERAGE": "6.4516"},
    ),
    "liquidation distance against leverage": (
        {"MIN_LIQUIDATION_DISTANCE": "0.50"},
        "MIN_LIQUIDATION_DISTANCE=0.50 asks for 50 %",
        {"MIN_LIQUIDATION_DISTANCE": "0.3283"},
    ),
    "stop behind liquidation": (
        {"MAX_LEVERAGE": "10", "MIN_LIQUIDATION_DISTANCE": "0.05", "STOP_LOSS_PCT": "0.10"},
        "STOP_LOSS_PCT=0.10 lies behind the liquidation price",
        {"STOP_LOSS_PCT": "0.0949"},
    ),
    "largest entry below the smallest order": (
        {"ACCOUNT_EQUITY": "40"},
        "MIN_NOTIONAL=5 asks for more",
        {"ACCOUNT_EQUITY": "60"},
    ),
    "risk too small for the smallest order": (
        {"RISK_PER_TRADE_PCT": "0.0005", "STOP_LOSS_PCT": "0.10", "MIN_NOTIONAL": "1000"},
        "the largest entry is 0.5 % of ACCOUNT_EQUITY=100000, which is 500",
        {"MIN_NOTIONAL": "499"},
    ),
    "half-spread above the limit": (
        {
            "SIM_HALF_SPREAD_PCT": "0.01",
            "MAX_SLIPPAGE_PCT": "0.005",
            "MAX_COST_SHARE": "1",
            "STOP_LOSS_PCT": "0.05",
        },
        "SIM_HALF_SPREAD_PCT=0.01 makes every fill without a quote slip 1 %",
        {"MAX_SLIPPAGE_PCT": "0.02"},
    ),
    "cost against the stop": (
        {"STOP_LOSS_PCT": "0.005"},
        "0.4 of the distance to a stop at STOP_LOSS_PCT=0.005; MAX_COST_SHARE=0.25 blocks",
        {"STOP_LOSS_PCT": "0.0081"},
    ),
    "half-spread against the stop": (
        {"SIM_HALF_SPREAD_PCT": "0.005"},
        "fees of 0.08 % and SIM_HALF_SPREAD_PCT=0.005 cost 1.16 % for entry and exit",
        {"MAX_COST_SHARE": "0.581"},
    ),
    "expiry before latency": (
        {"ORDER_EXPIRY_SEC": "1", "SIM_LATENCY_MS": "2500"},
        "Set ORDER_EXPIRY_SEC to at least 3",
        {"ORDER_EXPIRY_SEC": "3"},
    ),
}
"""Settings of which none alone is wrong, what is said of them, and the remedy that is offered."""


def parsed(values: dict[str, str]) -> TradingSettings:
    settings, problems = TradingSettings.parse(values)
    assert problems == ()
    return settings


def opened(values: dict[str, str]) -> bool:
    """Whether the stages let a plain entry through to a fill."""
    opening = builders.account(values.get("ACCOUNT_EQUITY", "100000"))
    desk = Desk(values, opening=opening)
    desk.trade(100, volume=10**9)
    if desk.signal(100).verdict is Verdict.REJECTED:
        return False
    for _ in range(3):
        desk.wait(1)
        desk.trade(100, volume=10**9)
    return desk.results[-1].status is OrderStatus.FILLED


def test_the_defaults_contradict_nothing() -> None:
    assert inconsistencies(parsed({})) == ()


@pytest.mark.parametrize("case", FATAL)
def test_what_could_never_trade_is_refused_and_the_contradiction_named(case: str) -> None:
    values, said, _ = FATAL[case]

    found = inconsistencies(parsed(values))

    assert found[0].fatal
    assert said in found[0].message
    assert "no entry could ever pass" in found[0].message
    for name in found[0].names:
        given = getattr(parsed(values), name.lower())
        assert f"{name}={given}" in found[0].message


@pytest.mark.parametrize("case", FATAL)
def test_the_stages_agree_that_nothing_passes_and_that_the_remedy_helps(case: str) -> None:
    values, _, remedy = FATAL[case]

    assert not opened(values)
    assert not any(found.fatal for found in inconsistencies(parsed(values | remedy)))
    assert opened(values | remedy)


@pytest.mark.parametrize(
    ("values", "names", "said"),
    [
        (
            {"RISK_PER_TRADE_PCT": "0.02"},
            ("RISK_PER_TRADE_PCT", "STOP_LOSS_PCT", "MAX_POSITION_PCT"),
            "asks for 100 % of equity, MAX_POSITION_PCT=0.10 allows 10 %: every entry is trimmed",
        ),
        (
            {"RISK_PER_TRADE_PCT": "0.004", "MAX_POSITION_PCT": "0.25",
             "MAX_TOTAL_EXPOSURE_PCT": "0.15"},
            ("RISK_PER_TRADE_PCT", "STOP_LOSS_PCT", "MAX_TOTAL_EXPOSURE_PCT"),
            "Set RISK_PER_TRADE_PCT to 0.003",
        ),
        (
            {"SIM_IMPACT_PCT": "0.01", "MAX_SLIPPAGE_PCT": "0.01"},
            ("SIM_HALF_SPREAD_PCT", "SIM_IMPACT_PCT", "MAX_SLIPPAGE_PCT"),
            "as large as the last minute's volume slip 1.02 %",
        ),
        (
            {"RISK_PER_TRADE_PCT": "0.02", "STOP_LOSS_PCT": "0.10", "MAX_POSITION_PCT": "0.20",
             "MAX_DAILY_DRAWDOWN_PCT": "0.02"},
            ("RISK_PER_TRADE_PCT", "MAX_DAILY_DRAWDOWN_PCT"),
            "the first loss ends trading until a reset",
        ),
    ],
)  # fmt: skip
def test_what_only_makes_entries_smaller_warns(
    values: dict[str, str], names: tuple[str, ...], said: str
) -> None:
    (found,) = inconsistencies(parsed(values))

    assert not found.fatal
    assert found.names == names
    assert said in found.message
    assert "SIM" in found.names[0] or opened(values)


def test_the_fatal_ones_come_first() -> None:
    found = inconsistencies(parsed({"RISK_PER_TRADE_PCT": "0.02", "MAX_LEVERAGE": "10"}))

    assert [problem.fatal for problem in found] == [True, False]


def test_every_name_is_a_setting() -> None:
    loud = {"MAX_LEVERAGE": "10", "STOP_LOSS_PCT": "0.10", "ACCOUNT_EQUITY": "1",
            "ORDER_EXPIRY_SEC": "1", "SIM_LATENCY_MS": "9000", "MAX_SLIPPAGE_PCT": "0.001",
            "SIM_HALF_SPREAD_PCT": "0.01"}  # fmt: skip
    known = {spec.name for spec in SETTING_SPECS}

    found = inconsistencies(parsed(loud))

    assert len(found) == 5
    assert all(set(problem.names) <= known for problem in found)


def test_the_bound_itself_is_allowed() -> None:
    exact = {"MIN_LIQUIDATION_DISTANCE": "0.095", "MAX_LEVERAGE": "10"}
    assert inconsistencies(parsed(exact)) == ()
    assert inconsistencies(parsed({"MAX_LEVERAGE": "10", "MIN_LIQUIDATION_DISTANCE": "0.0951"}))
    smallest = {"ACCOUNT_EQUITY": "50"}
    assert inconsistencies(parsed(smallest)) == ()
    assert parsed(smallest).account_equity * Decimal("0.10") == parsed(smallest).min_notional


@pytest.mark.parametrize(
    ("values", "advice"),
    [
        (
            {"MAX_LEVERAGE": "10"},
            "Set MAX_LEVERAGE to at most 6.4516 or MIN_LIQUIDATION_DISTANCE to at most 0.095",
        ),
        (
            {"SIM_HALF_SPREAD_PCT": "0.00033", "STOP_LOSS_PCT": "0.005"},
            "Set STOP_LOSS_PCT above 0.0091 or MAX_COST_SHARE above 0.452",
        ),
        (
            {"STOP_LOSS_PCT": "0.01", "MAX_COST_SHARE": "0.15"},
            "cost 0.2 % for entry and exit, 0.2 of the distance to a stop at STOP_LOSS_PCT=0.01;",
        ),
        ({"SIM_LATENCY_MS": "1001", "ORDER_EXPIRY_SEC": "1"}, "Set ORDER_EXPIRY_SEC to at least 2"),
    ],
)
def test_the_advice_has_figures_that_can_be_used(values: dict[str, str], advice: str) -> None:
    assert advice in inconsistencies(parsed(values))[0].message


@pytest.mark.parametrize(
    ("values", "fatal"),
    [
        # Fees of 0.16 % and a spread of 0.04 % are a quarter of 0.8 %.
        ({"STOP_LOSS_PCT": "0.008", "RISK_PER_TRADE_PCT": "0.0008"}, ()),
        ({"STOP_LOSS_PCT": "0.00799", "RISK_PER_TRADE_PCT": "0.0007"}, (True,)),
        ({"SIM_LATENCY_MS": "1000", "ORDER_EXPIRY_SEC": "1"}, ()),
        ({"SIM_LATENCY_MS": "1001", "ORDER_EXPIRY_SEC": "1"}, (True,)),
        ({"MAX_SLIPPAGE_PCT": "0.001", "SIM_IMPACT_PCT": "0.0008"}, ()),
        ({"MAX_SLIPPAGE_PCT": "0.001", "SIM_IMPACT_PCT": "0.0009"}, (False,)),
        (
            {"MAX_SLIPPAGE_PCT": "0.001", "SIM_HALF_SPREAD_PCT": "0.001", "MAX_COST_SHARE": "1"},
            (False,),
        ),
        (
            {"MAX_LEVERAGE": "10", "MIN_LIQUIDATION_DISTANCE": "0.05", "STOP_LOSS_PCT": "0.095"},
            (True,),
        ),
    ],
)
def test_where_each_rule_begins(values: dict[str, str], fatal: tuple[bool, ...]) -> None:
    assert tuple(problem.fatal for problem in inconsistencies(parsed(values))) == fatal
