"""Trading settings: ranges, fallbacks, aliases, and how a run's recorded settings are read."""

from decimal import Decimal

import pytest

from services.kernel.settings.model import SettingError, TradingSettings
from services.kernel.settings.parameters import (
    ALIASES,
    ALL_SPECS,
    SETTING_SPECS,
    SettingSpec,
    SizingMethod,
)

pytestmark = pytest.mark.unit

DOCUMENTED = {
    "MAX_DAILY_DRAWDOWN_PCT": ("0.05", "0.01", "0.20"),
    "CIRCUIT_BREAKER_THRESHOLD_PCT": ("0.10", "0.05", "0.30"),
    "MAX_SPREAD_MULTIPLIER": ("5.0", "2", "10"),
    "MAX_PRICE_JUMP_PCT": ("0.05", "0.01", "0.30"),
    "MAX_SLIPPAGE_PCT": ("0.02", "0.001", "0.05"),
    "MAX_COST_SHARE": ("0.25", "0.05", "1"),
    "DATA_STALE_TIMEOUT_SEC": ("60", "10", "120"),
    "MAX_SIGNAL_AGE_SEC": ("5", "1", "60"),
    "MAX_TOTAL_EXPOSURE_PCT": ("0.30", "0.10", "0.80"),
    "MAX_POSITION_PCT": ("0.10", "0.01", "0.25"),
    "MAX_LEVERAGE": ("3", "1", "10"),
    "MIN_LIQUIDATION_DISTANCE": ("0.15", "0.05", "0.50"),
    "MAX_VOLUME_SHARE": ("0.10", "0.01", "1"),
    "STOP_LOSS_PCT": ("0.02", "0.005", "0.10"),
    "MAX_TRADES_PER_HOUR": ("10", "1", "1000"),
    "RISK_PER_TRADE_PCT": ("0.002", "0.0005", "0.02"),
    "SIGNAL_THRESHOLD_PCT": ("0.01", "0.0005", "0.20"),
}
"""Default and range of the contract."""

BY_NAME = {spec.name: spec for spec in SETTING_SPECS}
STRICT_WHEN_LOW = [spec for spec in SETTING_SPECS if spec.stricter == "lower"]
STRICT_WHEN_HIGH = [spec for spec in SETTING_SPECS if spec.stricter == "higher"]


def by_name(spec: SettingSpec) -> str:
    return spec.name


def value_of(settings: TradingSettings, spec: SettingSpec) -> Decimal:
    return Decimal(getattr(settings, spec.field))


@pytest.mark.parametrize("name", DOCUMENTED)
def test_defaults_and_ranges_are_the_documented_ones(name: str) -> None:
    spec = BY_NAME[name]

    assert (spec.default, spec.low, spec.high) == tuple(map(Decimal, DOCUMENTED[name]))
    assert value_of(TradingSettings.parse({})[0], spec) == spec.default


def test_without_values_there_are_no_problems() -> None:
    assert TradingSettings.parse({})[1] == ()
    assert TradingSettings.parse({"MAX_POSITION_PCT": "  "})[1] == ()


@pytest.mark.parametrize("spec", SETTING_SPECS, ids=by_name)
def test_both_bounds_are_allowed_values(spec: SettingSpec) -> None:
    for bound in (spec.low, spec.high):
        settings, problems = TradingSettings.parse({spec.name: str(bound)})
        assert value_of(settings, spec) == bound
        assert problems == ()


@pytest.mark.parametrize("spec", STRICT_WHEN_LOW, ids=by_name)
def test_a_limit_too_strict_becomes_its_lower_bound_and_one_too_loose_its_default(
    spec: SettingSpec,
) -> None:
    strict, (problem,) = TradingSettings.parse({spec.name: str(spec.low - 1)})
    loose, problems = TradingSettings.parse({spec.name: str(spec.high + 1)})

    assert value_of(strict, spec) == problem.used == spec.low
    assert value_of(loose, spec) == problems[0].used == spec.default
    assert problem.given == spec.low - 1


@pytest.mark.parametrize("spec", STRICT_WHEN_HIGH, ids=by_name)
def test_a_demand_too_strict_becomes_its_upper_bound_and_one_too_loose_its_default(
    spec: SettingSpec,
) -> None:
    strict, _ = TradingSettings.parse({spec.name: str(spec.high + 1)})
    loose, _ = TradingSettings.parse({spec.name: str(spec.low - 1)})

    assert value_of(strict, spec) == spec.high
    assert value_of(loose, spec) == spec.default


def test_where_neither_side_is_stricter_the_default_is_used() -> None:
    settings, (problem,) = TradingSettings.parse({"LOOKBACK_MINUTES": "100000"})

    assert settings.lookback_minutes == 15
    assert problem.name == "LOOKBACK_MINUTES"


def test_a_problem_says_name_value_what_is_used_and_the_remedy() -> None:
    _, (problem,) = TradingSettings.parse({"MAX_POSITION_PCT": "0.9"})

    assert problem.message == (
        "MAX_POSITION_PCT=0.9 is out of range; 0.10 is used, "
        "set it to a number from 0.01 to 0.25 (fraction; default 0.10)"
    )


@pytest.mark.parametrize("text", ["ten", "0,10", "10%", "NaN", "inf", "-Infinity", "0x10"])
def test_what_is_not_a_number_stops_the_service(text: str) -> None:
    with pytest.raises(SettingError, match=r"MAX_POSITION_PCT.*set it to a number from"):
        TradingSettings.parse({"MAX_POSITION_PCT": text})


def test_a_whole_number_is_needed_where_parts_make_no_sense() -> None:
    with pytest.raises(SettingError, match=r"MAX_TRADES_PER_HOUR='2\.5'.*whole number"):
        TradingSettings.parse({"MAX_TRADES_PER_HOUR": "2.5"})
    assert TradingSettings.parse({"MAX_TRADES_PER_HOUR": "2.0"})[0].max_trades_per_hour == 2


def test_the_deprecated_alias_counts_unless_the_real_name_is_given() -> None:
    alias, name = "MAX_EXPOSURE_PCT", "MAX_TOTAL_EXPOSURE_PCT"

    assert {alias: name} == ALIASES
    assert TradingSettings.parse({alias: "0.2"})[0].max_total_exposure_pct == Decimal("0.2")
    both = TradingSettings.parse({alias: "0.2", name: "0.4"})[0]
    assert both.max_total_exposure_pct == Decimal("0.4")
    empty = TradingSettings.parse({alias: "0.2", name: ""})[0]
    assert empty.max_total_exposure_pct == Decimal("0.2")


def test_a_problem_with_the_alias_names_the_alias() -> None:
    with pytest.raises(SettingError, match="MAX_EXPOSURE_PCT='much'"):
        TradingSettings.parse({"MAX_EXPOSURE_PCT": "much"})


def test_names_that_are_no_settings_are_left_alone() -> None:
    assert TradingSettings.parse({"CDB_SPEED": "max"}) == TradingSettings.parse({})


def test_settings_survive_the_way_into_the_record_and_back() -> None:
    given = {spec.name: str(spec.low) for spec in SETTING_SPECS}
    settings = TradingSettings.parse(given)[0]

    assert TradingSettings.parse(settings.to_mapping()) == (settings, ())


@pytest.mark.parametrize(
    ("text", "method"),
    [
        ("", SizingMethod.FIXED_FRACTION),
        ("kelly", SizingMethod.KELLY),
        (" Volatility-Target ", SizingMethod.VOLATILITY_TARGET),
    ],
)
def test_a_word_is_read_as_people_write_it(text: str, method: SizingMethod) -> None:
    assert TradingSettings.parse({"SIZING_METHOD": text})[0].sizing_method is method


def test_an_unknown_word_is_refused_with_the_known_ones() -> None:
    known = "fixed_fraction, volatility_target, atr, kelly"
    with pytest.raises(SettingError, match=f"SIZING_METHOD='kely' is not known; .*{known}"):
        TradingSettings.parse({"SIZING_METHOD": "kely"})


def test_every_setting_is_a_field_and_every_field_a_setting() -> None:
    assert {spec.field for spec in ALL_SPECS} == set(TradingSettings.__struct_fields__)
