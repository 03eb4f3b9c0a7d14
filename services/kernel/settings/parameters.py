"""The trading settings one by one: name, default, range, unit and meaning."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Literal


@dataclass(frozen=True, slots=True)
class SettingSpec:
    """One setting's name, range and meaning.

    Attributes:
        name: Environment variable.
        default, low, high: In ``unit``; both bounds are allowed values.
        stricter: Which way the setting limits trading more; None where neither does.
        layer: Risk layer that it belongs to, None outside the layers.
        integer: Only whole numbers are allowed.
    """

    name: str
    default: Decimal
    low: Decimal
    high: Decimal
    unit: str
    doc: str
    stricter: Literal["lower", "higher"] | None = None
    layer: int | None = None
    integer: bool = False

    @property
    def field(self) -> str:
        """Attribute of `TradingSettings` that holds it."""
        return self.name.lower()

    @property
    def allowed(self) -> str:
        """What it may be set to."""
        return f"{self.low:f} to {self.high:f}"


class MarginMode(StrEnum):
    """What backs a position: its own margin, or the whole account."""

    ISOLATED = "isolated"
    CROSS = "cross"


class SizingMethod(StrEnum):
    """How large an entry asks to be; `services.kernel.risk.sizing` has the formulas."""

    FIXED_FRACTION = "fixed_fraction"
    VOLATILITY_TARGET = "volatility_target"
    ATR = "atr"
    KELLY = "kelly"


class StrategyName(StrEnum):
    """What makes the signals; `services.kernel.strategies.registry` has the classes."""

    MOMENTUM = "momentum"
    MEAN_REVERSION = "mean_reversion"


@dataclass(frozen=True, slots=True)
class ChoiceSpec:
    """One setting that is a word out of a list.

    Attributes:
        name: Environment variable.
        default: One of the words; its type holds all of them.
    """

    name: str
    default: StrEnum
    doc: str
    layer: int | None = None

    @property
    def field(self) -> str:
        """Attribute of `TradingSettings` that holds it."""
        return self.name.lower()

    @property
    def unit(self) -> str:
        """As of a number."""
        return "word"

    @property
    def allowed(self) -> str:
        """What it may be set to."""
        return ", ".join(type(self.default))


def _spec(
    name: str,
    default: str,
    low: str,
    high: str,
    unit: str,
    doc: str,
    stricter: Literal["lower", "higher"] | None = None,
    layer: int | None = None,
    *,
    integer: bool = False,
) -> SettingSpec:
    return SettingSpec(
        name, Decimal(default), Decimal(low), Decimal(high), unit, doc, stricter, layer, integer
    )


SETTING_SPECS: tuple[SettingSpec, ...] = (
    _spec("ACCOUNT_EQUITY", "100000", "1", "1e12", "quote", "Equity of a fresh account."),
    _spec("LOOKBACK_MINUTES", "15", "1", "1440", "minutes", "Strategy window.", integer=True),
    _spec(
        "SIGNAL_THRESHOLD_PCT", "0.01", "0.0005", "0.20", "fraction",
        "Price change over the window that makes a signal.", "higher",
    ),
    _spec(
        "SIGNAL_COOLDOWN_SEC", "60", "0", "86400", "seconds",
        "Rest after an exit signal before the next entry signal of that symbol.", "higher",
        integer=True,
    ),
    _spec(
        "VOLUME_FLOOR", "0", "0", "1e15", "quote",
        "Least volume traded in the window for an entry signal.", "higher",
    ),
    _spec(
        "RISK_PER_TRADE_PCT", "0.002", "0.0005", "0.02", "fraction",
        "Equity lost when a trade's stop is hit.", "lower",
    ),
    _spec("MIN_NOTIONAL", "5", "0", "1e6", "quote", "Smallest order.", "higher"),
    _spec(
        "MAX_DAILY_DRAWDOWN_PCT", "0.05", "0.01", "0.20", "fraction",
        "Loss from the equity at 00:00 UTC that halts trading.", "lower", 1,
    ),
    _spec(
        "CIRCUIT_BREAKER_THRESHOLD_PCT", "0.10", "0.05", "0.30", "fraction",
        "Loss from the equity peak that halts trading and closes all positions.", "lower", 1,
    ),
    _spec(
        "MAX_SPREAD_MULTIPLIER", "5.0", "2", "10", "times",
        "Spread against its normal that pauses a symbol.", "lower", 2,
    ),
    _spec(
        "MAX_PRICE_JUMP_PCT", "0.05", "0.01", "0.30", "fraction",
        "Change from one trade to the next that pauses a symbol.", "lower", 2,
    ),
    _spec(
        "MAX_SLIPPAGE_PCT", "0.02", "0.001", "0.05", "fraction",
        "Adverse difference of fill and order price that rejects an entry.", "lower", 2,
    ),
    _spec(
        "MAX_COST_SHARE", "0.25", "0.05", "1", "fraction",
        "Expected cost of an entry and its exit over the distance to its stop.", "lower", 2,
    ),
    _spec(
        "DATA_STALE_TIMEOUT_SEC", "60", "10", "120", "seconds",
        "Silence after which a symbol's entries pause.", "lower", 3, integer=True,
    ),
    _spec(
        "MAX_SIGNAL_AGE_SEC", "5", "1", "60", "seconds",
        "Oldest signal that may become an entry.", "lower", 3,
    ),
    _spec(
        "MAX_TOTAL_EXPOSURE_PCT", "0.30", "0.10", "0.80", "fraction",
        "Gross notional of all positions and pending entries over equity.", "lower", 4,
    ),
    _spec(
        "MAX_CORRELATED_EXPOSURE_PCT", "0.20", "0.05", "0.80", "fraction",
        "Notional of positions and entries that win and lose together, over equity.", "lower", 4,
    ),
    _spec(
        "CORRELATION_THRESHOLD", "0.8", "0.5", "1", "fraction",
        "Correlation of the last hour's minute returns from which on two symbols count as one.",
        "lower", 4,
    ),
    _spec(
        "MAX_POSITION_PCT", "0.10", "0.01", "0.25", "fraction",
        "Notional of one position over equity.", "lower", 5,
    ),
    _spec("MAX_LEVERAGE", "3", "1", "10", "times", "Leverage of a position.", "lower", 5),
    _spec(
        "MIN_LIQUIDATION_DISTANCE", "0.15", "0.05", "0.50", "fraction",
        "Least distance of the liquidation price from the entry price.", "higher", 5,
    ),
    _spec(
        "MAX_VOLUME_SHARE", "0.10", "0.01", "1", "fraction",
        "Position after an entry over the volume that the look-back window traded.", "lower", 5,
    ),
    _spec(
        "STOP_LOSS_PCT", "0.02", "0.005", "0.10", "fraction",
        "Distance of the stop from the entry price.", "lower", 6,
    ),
    _spec(
        "TAKE_PROFIT_PCT", "0", "0", "10", "fraction",
        "Gain on the entry price at which a position is closed; 0 is never.", layer=6,
    ),
    _spec(
        "TRAILING_STOP_PCT", "0", "0", "0.20", "fraction",
        "Distance at which the stop follows the best price since entry; 0 is never.", layer=6,
    ),
    _spec(
        "MAX_TRADES_PER_HOUR", "10", "1", "1000", "entries",
        "Entries approved within 60 minutes.", "lower", 7, integer=True,
    ),
    _spec(
        "MAX_CONSECUTIVE_LOSSES", "1", "1", "100", "losses",
        "Losses of a symbol in a row after which its entries rest.", "lower", 7, integer=True,
    ),
    _spec(
        "LOSS_COOLDOWN_SEC", "86400", "0", "86400", "seconds",
        "How long a symbol's entries rest after its losses in a row; 0 is never.", "higher", 7,
        integer=True,
    ),
    _spec(
        "SIM_LATENCY_MS", "50", "0", "10000", "ms",
        "Simulated time from an order to the first tick that may fill it.", integer=True,
    ),
    _spec(
        "SIM_HALF_SPREAD_PCT", "0.0002", "0", "0.01", "fraction",
        "Half-spread paid where no quote is known.",
    ),
    _spec(
        "SIM_IMPACT_PCT", "0.0005", "0", "0.01", "fraction",
        "Price impact of an order as large as the volume of the last minute (square-root law).",
    ),
    _spec(
        "ORDER_EXPIRY_SEC", "60", "1", "3600", "seconds",
        "Age at which an unfilled entry is cancelled; exits never expire.", integer=True,
    ),
    _spec(
        "VOLATILITY_TARGET_PCT", "0.20", "0.01", "2", "fraction",
        "Volatility a year that a position aims at, as a fraction of equity (volatility_target).",
        "lower",
    ),
    _spec(
        "ATR_MULTIPLE", "2", "0.5", "10", "times",
        "Distance of the stop in average true ranges (atr), never above STOP_LOSS_PCT.",
    ),
    _spec(
        "SIZING_BAR_MINUTES", "15", "1", "1440", "minutes",
        "Length of the bars that volatility and average true range are measured on.", integer=True,
    ),
    _spec(
        "KELLY_FRACTION", "0.25", "0.05", "1", "fraction",
        "Part of the Kelly stake that is risked (kelly), never above RISK_PER_TRADE_PCT.", "lower",
    ),
    _spec(
        "KELLY_MIN_TRADES", "30", "5", "100", "trades",
        "Closed positions before the Kelly stake is believed; fixed_fraction until then.",
        "higher", integer=True,
    ),
)  # fmt: skip

CHOICE_SPECS: tuple[ChoiceSpec, ...] = (
    ChoiceSpec("STRATEGY", StrategyName.MOMENTUM, "The strategy that makes the signals."),
    ChoiceSpec("MARGIN_MODE", MarginMode.ISOLATED, "What backs a position: margin or equity.", 5),
    ChoiceSpec("SIZING_METHOD", SizingMethod.FIXED_FRACTION, "How large an entry asks to be."),
)
"""Settings that are a word."""

ALL_SPECS: tuple[SettingSpec | ChoiceSpec, ...] = (*SETTING_SPECS, *CHOICE_SPECS)

ALIASES: dict[str, str] = {"MAX_EXPOSURE_PCT": "MAX_TOTAL_EXPOSURE_PCT"}
"""Deprecated names; the name they stand for wins where both are given."""
