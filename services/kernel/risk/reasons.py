"""Every reason for which an order or signal is refused or trading changes: one list, documented."""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why not, or no longer. `REASONS` tells source and meaning, and documents them."""

    HALTED = "HALTED"
    PAUSED = "PAUSED"
    DAILY_DRAWDOWN = "DAILY_DRAWDOWN"
    EQUITY_DRAWDOWN = "EQUITY_DRAWDOWN"
    SPREAD_ANOMALY = "SPREAD_ANOMALY"
    PRICE_JUMP = "PRICE_JUMP"
    SLIPPAGE_SEEN = "SLIPPAGE_SEEN"
    QUARANTINED = "QUARANTINED"
    ANOMALIES_IN_SEVERAL_SYMBOLS = "ANOMALIES_IN_SEVERAL_SYMBOLS"
    NO_MARKET_DATA = "NO_MARKET_DATA"
    DATA_STALE = "DATA_STALE"
    SIGNAL_TOO_OLD = "SIGNAL_TOO_OLD"
    IN_DOUBT = "IN_DOUBT"
    CHECKSUM_MISMATCH = "CHECKSUM_MISMATCH"
    RECORD_LOST = "RECORD_LOST"
    EXPOSURE_LIMIT = "EXPOSURE_LIMIT"
    EXPOSURE_EXCESSIVE = "EXPOSURE_EXCESSIVE"
    POSITION_LIMIT = "POSITION_LIMIT"
    LIQUIDATION_DISTANCE = "LIQUIDATION_DISTANCE"
    STOP_LOSS_INVALID = "STOP_LOSS_INVALID"
    TRADE_FREQUENCY = "TRADE_FREQUENCY"
    INVALID_SIGNAL = "INVALID_SIGNAL"
    BELOW_MINIMUM = "BELOW_MINIMUM"
    NOTHING_TO_REDUCE = "NOTHING_TO_REDUCE"
    NOT_APPROVED = "NOT_APPROVED"
    ALREADY_SEEN = "ALREADY_SEEN"
    LARGER_THAN_APPROVED = "LARGER_THAN_APPROVED"
    ABOVE_POSITION_GUARD = "ABOVE_POSITION_GUARD"
    SLIPPAGE_EXCEEDED = "SLIPPAGE_EXCEEDED"
    EXPIRED = "EXPIRED"
    RUN_ENDED = "RUN_ENDED"
    REDUCED_TO_POSITION = "REDUCED_TO_POSITION"
    RETRY_PASSED = "RETRY_PASSED"
    DATA_FRESH = "DATA_FRESH"
    OPERATOR = "OPERATOR"


@dataclass(frozen=True, slots=True)
class ReasonInfo:
    """Where a reason comes from (a layer's number, or who else) and what it means."""

    source: str
    meaning: str


REASONS: dict[Reason, ReasonInfo] = {
    Reason.HALTED: ReasonInfo("layer 1", "trading is halted until a person resets it"),
    Reason.PAUSED: ReasonInfo("layer 1", "an operator paused the account or the symbol"),
    Reason.DAILY_DRAWDOWN: ReasonInfo("layer 1", "loss of the UTC day reached its limit"),
    Reason.EQUITY_DRAWDOWN: ReasonInfo("layer 1", "loss from the equity peak reached its limit"),
    Reason.SPREAD_ANOMALY: ReasonInfo("layer 2", "spread is a multiple of its normal"),
    Reason.PRICE_JUMP: ReasonInfo("layer 2", "price jumped from one trade to the next"),
    Reason.SLIPPAGE_SEEN: ReasonInfo("layer 2", "a fill slipped more than allowed"),
    Reason.QUARANTINED: ReasonInfo("layer 2", "ten retries failed; a person must release it"),
    Reason.ANOMALIES_IN_SEVERAL_SYMBOLS: ReasonInfo(
        "layer 2", "three symbols were anomalous at once"
    ),
    Reason.NO_MARKET_DATA: ReasonInfo("layer 3", "no live tick or no contract of this symbol"),
    Reason.DATA_STALE: ReasonInfo("layer 3", "the symbol has been silent for too long"),
    Reason.SIGNAL_TOO_OLD: ReasonInfo("layer 3", "the signal is older than allowed"),
    Reason.IN_DOUBT: ReasonInfo(
        "layer 3", "a condition is open: database away, lag, gap, folds that differ"
    ),
    Reason.CHECKSUM_MISMATCH: ReasonInfo("layer 3", "two services disagree on the portfolio"),
    Reason.RECORD_LOST: ReasonInfo(
        "layer 3", "the bus came back with less than it had; check, then reset"
    ),
    Reason.EXPOSURE_LIMIT: ReasonInfo("layer 4", "total exposure would pass its limit"),
    Reason.EXPOSURE_EXCESSIVE: ReasonInfo("layer 4", "present exposure is above 0.80 of equity"),
    Reason.POSITION_LIMIT: ReasonInfo("layer 5", "the position would pass its limit"),
    Reason.LIQUIDATION_DISTANCE: ReasonInfo("layer 5", "liquidation would be too near"),
    Reason.STOP_LOSS_INVALID: ReasonInfo("layer 6", "no stop can be placed for this price"),
    Reason.TRADE_FREQUENCY: ReasonInfo("layer 7", "too many entries within the hour"),
    Reason.INVALID_SIGNAL: ReasonInfo("risk", "price or quantity cannot be traded"),
    Reason.BELOW_MINIMUM: ReasonInfo("risk", "what was asked for is below the smallest order"),
    Reason.NOTHING_TO_REDUCE: ReasonInfo("risk, execution", "no open position left to reduce"),
    Reason.NOT_APPROVED: ReasonInfo("execution", "risk has not approved this order"),
    Reason.ALREADY_SEEN: ReasonInfo("execution", "the order came twice"),
    Reason.LARGER_THAN_APPROVED: ReasonInfo("execution", "larger or other than approved"),
    Reason.ABOVE_POSITION_GUARD: ReasonInfo(
        "execution", "the position would pass 1.1 x MAX_POSITION_PCT"
    ),
    Reason.SLIPPAGE_EXCEEDED: ReasonInfo("execution", "the entry would slip more than allowed"),
    Reason.EXPIRED: ReasonInfo("execution", "no tick filled the entry in time"),
    Reason.RUN_ENDED: ReasonInfo("execution", "the run ended before the order was filled"),
    Reason.REDUCED_TO_POSITION: ReasonInfo(
        "execution", "the exit was larger than the position; the rest was dropped"
    ),
    Reason.RETRY_PASSED: ReasonInfo(
        "layer 2", "no anomaly since the last retry: the symbol trades again"
    ),
    Reason.DATA_FRESH: ReasonInfo("layer 3", "the symbol's data is fresh again: it trades again"),
    Reason.OPERATOR: ReasonInfo("operator", "a person gave the command"),
}
