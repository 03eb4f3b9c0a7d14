"""Trading settings as the stages read them: how a run's recorded settings are parsed.

They reach the stages only through ``run_started``; nothing in the kernel reads an environment.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from msgspec import Struct

from services.kernel.settings.parameters import (
    ALIASES,
    ALL_SPECS,
    CHOICE_SPECS,
    SETTING_SPECS,
    ChoiceSpec,
    MarginMode,
    SettingSpec,
    SizingMethod,
    StrategyName,
)


class SettingError(ValueError):
    """A setting that cannot be understood; the message names it, its value and the remedy."""


@dataclass(frozen=True, slots=True)
class SettingProblem:
    """A value out of its range, and the value that is used instead."""

    name: str
    given: Decimal
    used: Decimal
    message: str


class TradingSettings(Struct, frozen=True, kw_only=True, gc=False):
    """Every setting that shapes a decision; units and ranges are in `SETTING_SPECS`."""

    account_equity: Decimal
    lookback_minutes: int
    signal_threshold_pct: Decimal
    signal_cooldown_sec: int
    volume_floor: Decimal
    risk_per_trade_pct: Decimal
    min_notional: Decimal
    max_daily_drawdown_pct: Decimal
    circuit_breaker_threshold_pct: Decimal
    max_spread_multiplier: Decimal
    max_price_jump_pct: Decimal
    max_slippage_pct: Decimal
    max_cost_share: Decimal
    data_stale_timeout_sec: int
    max_signal_age_sec: Decimal
    max_total_exposure_pct: Decimal
    max_correlated_exposure_pct: Decimal
    correlation_threshold: Decimal
    max_position_pct: Decimal
    max_leverage: Decimal
    min_liquidation_distance: Decimal
    max_volume_share: Decimal
    stop_loss_pct: Decimal
    take_profit_pct: Decimal
    trailing_stop_pct: Decimal
    max_trades_per_hour: int
    max_consecutive_losses: int
    loss_cooldown_sec: int
    sim_latency_ms: int
    sim_half_spread_pct: Decimal
    sim_impact_pct: Decimal
    order_expiry_sec: int
    volatility_target_pct: Decimal
    atr_multiple: Decimal
    sizing_bar_minutes: int
    kelly_fraction: Decimal
    kelly_min_trades: int
    strategy: StrategyName
    margin_mode: MarginMode
    sizing_method: SizingMethod

    @classmethod
    def parse(
        cls, values: Mapping[str, str]
    ) -> "tuple[TradingSettings, tuple[SettingProblem, ...]]":
        """Read settings from environment-style names; names that are not settings are ignored.

        Args:
            values: Name to text. A missing or empty value is the default.

        Returns:
            The settings, and one problem for each value that was out of range: the default is
            used instead, or the nearest bound where the given value was stricter than the default.

        Raises:
            SettingError: A value is not a number, not whole where it has to be, or not one of
                the words.
        """
        problems: list[SettingProblem] = []
        fields: dict[str, Any] = {}
        for spec in SETTING_SPECS:
            value, problem = _read(spec, values)
            fields[spec.field] = int(value) if spec.integer else value
            if problem is not None:
                problems.append(problem)
        fields |= {spec.field: _choice(spec, values) for spec in CHOICE_SPECS}
        return cls(**fields), tuple(problems)

    def to_mapping(self) -> dict[str, str]:
        """Environment-style names to canonical text; `parse` reads it back to an equal value."""
        return {spec.name: str(getattr(self, spec.field)) for spec in ALL_SPECS}


def _read(spec: SettingSpec, values: Mapping[str, str]) -> tuple[Decimal, SettingProblem | None]:
    text = values.get(spec.name, "").strip()
    name = spec.name
    if not text:
        for alias, target in ALIASES.items():
            if target == spec.name and values.get(alias, "").strip():
                text, name = values[alias].strip(), alias
    if not text:
        return spec.default, None
    try:
        given = Decimal(text)
    except InvalidOperation:
        raise SettingError(f"{name}={text!r} is not a number; set it to {_range(spec)}") from None
    if not given.is_finite() or (spec.integer and given != given.to_integral_value()):
        raise SettingError(f"{name}={text!r} is not usable; set it to {_range(spec)}")
    if spec.low <= given <= spec.high:
        return given, None
    used = _fallback(spec, given)
    message = f"{name}={given} is out of range; {used} is used, set it to {_range(spec)}"
    return used, SettingProblem(name, given, used, message)


def _choice(spec: ChoiceSpec, values: Mapping[str, str]) -> StrEnum:
    text = values.get(spec.name, "").strip()
    word = text.lower().replace("-", "_")
    if not word:
        return spec.default
    try:
        return type(spec.default)(word)
    except ValueError:
        message = f"{spec.name}={text!r} is not known; set it to one of {spec.allowed}"
        raise SettingError(message) from None


def _fallback(spec: SettingSpec, given: Decimal) -> Decimal:
    if spec.stricter == "lower" and given < spec.low:
        return spec.low
    if spec.stricter == "higher" and given > spec.high:
        return spec.high
    return spec.default


def _range(spec: SettingSpec) -> str:
    kind = "a whole number" if spec.integer else "a number"
    return f"{kind} from {spec.low} to {spec.high} ({spec.unit}; default {spec.default})"
