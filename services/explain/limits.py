"""Which setting a reason was measured against."""

from collections.abc import Mapping
from typing import Final

from services.kernel.reasons import Reason

LIMITS: Final[Mapping[str, str]] = {
    Reason.DAILY_DRAWDOWN: "MAX_DAILY_DRAWDOWN_PCT",
    Reason.EQUITY_DRAWDOWN: "CIRCUIT_BREAKER_THRESHOLD_PCT",
    Reason.SPREAD_ANOMALY: "MAX_SPREAD_MULTIPLIER",
    Reason.PRICE_JUMP: "MAX_PRICE_JUMP_PCT",
    Reason.SLIPPAGE_SEEN: "MAX_SLIPPAGE_PCT",
    Reason.DATA_STALE: "DATA_STALE_TIMEOUT_SEC",
    Reason.SIGNAL_TOO_OLD: "MAX_SIGNAL_AGE_SEC",
    Reason.SLIPPAGE_EXPECTED: "MAX_SLIPPAGE_PCT",
    Reason.COST_TOO_HIGH: "MAX_COST_SHARE",
    Reason.EXPOSURE_LIMIT: "MAX_TOTAL_EXPOSURE_PCT",
    Reason.CORRELATED_EXPOSURE: "MAX_CORRELATED_EXPOSURE_PCT",
    Reason.POSITION_LIMIT: "MAX_POSITION_PCT",
    Reason.VOLUME_LIMIT: "MAX_VOLUME_SHARE",
    Reason.TRADE_FREQUENCY: "MAX_TRADES_PER_HOUR",
}
"""The setting that is a reason's limit: at the measured value or above, the layer passes."""
