"""Settings that exclude each other: refused at start where nothing could ever trade."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from services.kernel.instruments.contracts import (
    GENERIC_MAINTENANCE_MARGIN_RATE,
    TAKER_FEE_RATE,
)
from services.kernel.instruments.perpetuals import liquidation_distance
from services.kernel.settings.model import TradingSettings
from services.kernel.units import ONE


@dataclass(frozen=True, slots=True)
class Inconsistency:
    """Settings that do not go together.

    Attributes:
        names: The variables it lies between.
        fatal: No entry could ever pass (the start is refused); otherwise every entry is only made
            smaller, or a limit is reached at once (a warning).
        message: What excludes what, with the values, and what to change.
    """

    names: tuple[str, ...]
    fatal: bool
    message: str


def inconsistencies(settings: TradingSettings) -> tuple[Inconsistency, ...]:
    """Everything in these settings that excludes something else, the fatal ones first."""
    found = [problem for rule in RULES for problem in (rule(settings),) if problem is not None]
    return tuple(sorted(found, key=lambda problem: not problem.fatal))


def largest_entry_pct(settings: TradingSettings) -> Decimal:
    """Notional of the largest entry that sizing allows, as a fraction of equity."""
    return min(
        settings.risk_per_trade_pct / settings.stop_loss_pct,
        settings.max_position_pct,
        settings.max_total_exposure_pct,
    )


def _leverage_against_liquidation(settings: TradingSettings) -> Inconsistency | None:
    distance = liquidation_distance(settings.max_leverage, GENERIC_MAINTENANCE_MARGIN_RATE)
    wanted = settings.min_liquidation_distance
    if distance >= wanted:
        return None
    highest = ONE / (wanted + GENERIC_MAINTENANCE_MARGIN_RATE)
    return Inconsistency(
        ("MAX_LEVERAGE", "MIN_LIQUIDATION_DISTANCE"),
        True,
        f"MAX_LEVERAGE={settings.max_leverage} puts liquidation {_pct(distance)} from the entry"
        f" price (1/leverage less {_pct(GENERIC_MAINTENANCE_MARGIN_RATE)} maintenance margin), but"
        f" MIN_LIQUIDATION_DISTANCE={wanted} asks for {_pct(wanted)}: no entry could ever pass."
        f" Set MAX_LEVERAGE to at most {_down(highest)} or MIN_LIQUIDATION_DISTANCE to at most"
        f" {_down(distance)}",
    )


def _stop_behind_liquidation(settings: TradingSettings) -> Inconsistency | None:
    distance = liquidation_distance(settings.max_leverage, GENERIC_MAINTENANCE_MARGIN_RATE)
    stop = settings.stop_loss_pct
    if stop < distance:
        return None
    return Inconsistency(
        ("MAX_LEVERAGE", "STOP_LOSS_PCT"),
        True,
        f"STOP_LOSS_PCT={stop} lies behind the liquidation price, which MAX_LEVERAGE="
        f"{settings.max_leverage} puts {_pct(distance)} from the entry price: the stop would never"
        f" be reached, so no entry could ever pass. Set STOP_LOSS_PCT below {_down(distance)} or"
        " lower MAX_LEVERAGE",
    )


def _entry_below_minimum(settings: TradingSettings) -> Inconsistency | None:
    largest = largest_entry_pct(settings)
    notional = settings.account_equity * largest
    if notional >= settings.min_notional:
        return None
    return Inconsistency(
        (
            "ACCOUNT_EQUITY",
            "RISK_PER_TRADE_PCT",
            "STOP_LOSS_PCT",
            "MAX_POSITION_PCT",
            "MAX_TOTAL_EXPOSURE_PCT",
            "MIN_NOTIONAL",
        ),
        True,
        f"the largest entry is {_pct(largest)} of ACCOUNT_EQUITY={settings.account_equity}, which"
        f" is {notional.normalize():f}, the smallest of RISK_PER_TRADE_PCT="
        f"{settings.risk_per_trade_pct} / STOP_LOSS_PCT={settings.stop_loss_pct}, MAX_POSITION_PCT="
        f"{settings.max_position_pct} and MAX_TOTAL_EXPOSURE_PCT={settings.max_total_exposure_pct};"
        f" MIN_NOTIONAL={settings.min_notional} asks for more: no entry could ever pass. Raise the"
        " smallest of them or ACCOUNT_EQUITY, or lower MIN_NOTIONAL",
    )


def _slippage_model_against_its_limit(settings: TradingSettings) -> Inconsistency | None:
    half_spread, limit = settings.sim_half_spread_pct, settings.max_slippage_pct
    whole = half_spread + settings.sim_impact_pct
    if whole <= limit:
        return None
    if half_spread > limit:
        return Inconsistency(
            ("SIM_HALF_SPREAD_PCT", "MAX_SLIPPAGE_PCT"),
            True,
            f"SIM_HALF_SPREAD_PCT={half_spread} makes every fill without a quote slip"
            f" {_pct(half_spread)}, and MAX_SLIPPAGE_PCT={limit} rejects entries that slip more"
            f" than {_pct(limit)}: no entry could ever pass. Set MAX_SLIPPAGE_PCT above"
            f" {half_spread} or SIM_HALF_SPREAD_PCT to at most {limit}",
        )
    return Inconsistency(
        ("SIM_HALF_SPREAD_PCT", "SIM_IMPACT_PCT", "MAX_SLIPPAGE_PCT"),
        False,
        f"SIM_HALF_SPREAD_PCT={half_spread} and SIM_IMPACT_PCT={settings.sim_impact_pct} make an"
        f" entry as large as the last minute's volume slip {_pct(whole)}; MAX_SLIPPAGE_PCT={limit}"
        f" rejects it. Set MAX_SLIPPAGE_PCT to at least {whole} to trade quiet markets",
    )


def _cost_against_the_stop(settings: TradingSettings) -> Inconsistency | None:
    cost = 2 * (TAKER_FEE_RATE + settings.sim_half_spread_pct)
    stop, limit = settings.stop_loss_pct, settings.max_cost_share
    if cost <= limit * stop:
        return None
    return Inconsistency(
        ("MAX_COST_SHARE", "STOP_LOSS_PCT", "SIM_HALF_SPREAD_PCT"),
        True,
        f"fees of {_pct(TAKER_FEE_RATE)} and SIM_HALF_SPREAD_PCT={settings.sim_half_spread_pct}"
        f" cost {_pct(cost)} for entry and exit, {_down(cost / stop)} of the distance to a stop at"
        f" STOP_LOSS_PCT={stop}; MAX_COST_SHARE={limit} blocks what costs more: no entry could ever"
        f" pass. Set STOP_LOSS_PCT above {_up(cost / limit)} or MAX_COST_SHARE above"
        f" {_up(cost / stop)}",
    )


def _expiry_before_latency(settings: TradingSettings) -> Inconsistency | None:
    if settings.sim_latency_ms <= settings.order_expiry_sec * 1000:
        return None
    return Inconsistency(
        ("ORDER_EXPIRY_SEC", "SIM_LATENCY_MS"),
        True,
        f"ORDER_EXPIRY_SEC={settings.order_expiry_sec} cancels an entry before SIM_LATENCY_MS="
        f"{settings.sim_latency_ms} lets it be filled: no entry could ever pass. Set"
        f" ORDER_EXPIRY_SEC to at least {-(-settings.sim_latency_ms // 1000)} or lower"
        " SIM_LATENCY_MS",
    )


def _risk_against_limits(settings: TradingSettings) -> Inconsistency | None:
    asked = settings.risk_per_trade_pct / settings.stop_loss_pct
    largest = largest_entry_pct(settings)
    if asked <= largest:
        return None
    lost = largest * settings.stop_loss_pct
    name = "MAX_TOTAL_EXPOSURE_PCT"
    if settings.max_position_pct == largest:
        name = "MAX_POSITION_PCT"
    return Inconsistency(
        ("RISK_PER_TRADE_PCT", "STOP_LOSS_PCT", name),
        False,
        f"RISK_PER_TRADE_PCT={settings.risk_per_trade_pct} with STOP_LOSS_PCT="
        f"{settings.stop_loss_pct} asks for {_pct(asked)} of equity, {name}={largest} allows"
        f" {_pct(largest)}: every entry is trimmed, and risks {_pct(lost)} at its"
        f" stop. Set RISK_PER_TRADE_PCT to {_down(lost)} to ask for what is allowed",
    )


def _one_stop_ends_the_day(settings: TradingSettings) -> Inconsistency | None:
    lost = largest_entry_pct(settings) * settings.stop_loss_pct
    if lost < settings.max_daily_drawdown_pct:
        return None
    return Inconsistency(
        ("RISK_PER_TRADE_PCT", "MAX_DAILY_DRAWDOWN_PCT"),
        False,
        f"one stopped entry loses {_pct(lost)} of equity, MAX_DAILY_DRAWDOWN_PCT="
        f"{settings.max_daily_drawdown_pct} halts at {_pct(settings.max_daily_drawdown_pct)}: the"
        " first loss ends trading until a reset. Lower RISK_PER_TRADE_PCT",
    )


RULES: tuple[Callable[[TradingSettings], Inconsistency | None], ...] = (
    _leverage_against_liquidation,
    _stop_behind_liquidation,
    _entry_below_minimum,
    _slippage_model_against_its_limit,
    _cost_against_the_stop,
    _expiry_before_latency,
    _risk_against_limits,
    _one_stop_ends_the_day,
)


def _pct(fraction: Decimal) -> str:
    return f"{_down(fraction * 100)} %"


def _down(value: Decimal, rounding: str = ROUND_FLOOR) -> str:
    """At most four decimals, rounded down, without trailing zeros."""
    text = f"{value.quantize(Decimal('0.0001'), rounding):f}"
    return text.rstrip("0").rstrip(".")


def _up(value: Decimal) -> str:
    """At most four decimals, rounded up, without trailing zeros."""
    return _down(value, ROUND_CEILING)
