"""Every reason for which an order or signal is refused or trading changes: one list, documented."""

from dataclasses import dataclass
from enum import StrEnum

from services.kernel.events import AlertLevel


class Reason(StrEnum):
    """Why an order or signal was refused, or a trading state changed; see `REASONS`."""

    HALTED = "HALTED"
    PAUSED = "PAUSED"
    NO_EQUITY = "NO_EQUITY"
    DAILY_DRAWDOWN = "DAILY_DRAWDOWN"
    EQUITY_DRAWDOWN = "EQUITY_DRAWDOWN"
    SPREAD_ANOMALY = "SPREAD_ANOMALY"
    PRICE_JUMP = "PRICE_JUMP"
    PRICE_UNCONFIRMED = "PRICE_UNCONFIRMED"
    SLIPPAGE_SEEN = "SLIPPAGE_SEEN"
    SLIPPAGE_EXPECTED = "SLIPPAGE_EXPECTED"
    COST_TOO_HIGH = "COST_TOO_HIGH"
    QUARANTINED = "QUARANTINED"
    ANOMALIES_IN_SEVERAL_SYMBOLS = "ANOMALIES_IN_SEVERAL_SYMBOLS"
    NOT_IN_UNIVERSE = "NOT_IN_UNIVERSE"
    NO_MARKET_DATA = "NO_MARKET_DATA"
    DATA_STALE = "DATA_STALE"
    SIGNAL_TOO_OLD = "SIGNAL_TOO_OLD"
    SIGNAL_FROM_FUTURE = "SIGNAL_FROM_FUTURE"
    CONDITION_OPEN = "CONDITION_OPEN"
    CONDITION_CLEARED = "CONDITION_CLEARED"
    CHECKSUM_MISMATCH = "CHECKSUM_MISMATCH"
    RECORD_BROKEN = "RECORD_BROKEN"
    RECORD_LOST = "RECORD_LOST"
    EXPOSURE_LIMIT = "EXPOSURE_LIMIT"
    CORRELATED_EXPOSURE = "CORRELATED_EXPOSURE"
    EXPOSURE_EXCESSIVE = "EXPOSURE_EXCESSIVE"
    POSITION_LIMIT = "POSITION_LIMIT"
    LIQUIDATION_DISTANCE = "LIQUIDATION_DISTANCE"
    VOLUME_LIMIT = "VOLUME_LIMIT"
    STOP_LOSS_INVALID = "STOP_LOSS_INVALID"
    TRADE_FREQUENCY = "TRADE_FREQUENCY"
    LOSS_COOLDOWN = "LOSS_COOLDOWN"
    INVALID_SIGNAL = "INVALID_SIGNAL"
    DUPLICATE_SIGNAL = "DUPLICATE_SIGNAL"
    BELOW_MINIMUM = "BELOW_MINIMUM"
    NOTHING_TO_REDUCE = "NOTHING_TO_REDUCE"
    NOT_APPROVED = "NOT_APPROVED"
    DUPLICATE_ORDER = "DUPLICATE_ORDER"
    LARGER_THAN_APPROVED = "LARGER_THAN_APPROVED"
    ABOVE_POSITION_GUARD = "ABOVE_POSITION_GUARD"
    SLIPPAGE_EXCEEDED = "SLIPPAGE_EXCEEDED"
    STOP_PASSED = "STOP_PASSED"
    TRIGGERED = "TRIGGERED"
    POST_ONLY_WOULD_CROSS = "POST_ONLY_WOULD_CROSS"
    NOT_FILLED_AT_ONCE = "NOT_FILLED_AT_ONCE"
    CANCELLED_BY_EXIT = "CANCELLED_BY_EXIT"
    EXPIRED = "EXPIRED"
    RUN_ENDED = "RUN_ENDED"
    REDUCED_TO_POSITION = "REDUCED_TO_POSITION"
    RETRY_PASSED = "RETRY_PASSED"
    DATA_FRESH = "DATA_FRESH"
    OPERATOR = "OPERATOR"

    @property
    def info(self) -> "ReasonInfo":
        """Layer, unit, severity and meaning."""
        return REASONS[self]


@dataclass(frozen=True, slots=True)
class ReasonInfo:
    """What there is to know of a reason.

    Attributes:
        source: Where it comes from: a layer's number, or who else.
        meaning: For people.
        unit: Of the figure that is compared with the limit; empty where nothing is measured.
        severity: Of the alert; None where only the decision reports the reason.
    """

    source: str
    meaning: str
    unit: str = ""
    severity: AlertLevel | None = None

    @property
    def layer(self) -> int | None:
        """The risk layer; None for what is outside of them."""
        name, _, number = self.source.partition(" ")
        return int(number) if name == "layer" else None


REASONS: dict[Reason, ReasonInfo] = {
    Reason.HALTED: ReasonInfo(
        "layer 1", "trading is halted until a person resets it", "fraction", AlertLevel.CRITICAL
    ),
    Reason.PAUSED: ReasonInfo(
        "layer 1", "an operator paused the account or the symbol", "fraction"
    ),
    Reason.NO_EQUITY: ReasonInfo("layer 1", "the account has no equity left", "fraction"),
    Reason.DAILY_DRAWDOWN: ReasonInfo(
        "layer 1", "loss of the UTC day reached its limit", "fraction", AlertLevel.CRITICAL
    ),
    Reason.EQUITY_DRAWDOWN: ReasonInfo(
        "layer 1", "loss from the equity peak reached its limit", "fraction", AlertLevel.CRITICAL
    ),
    Reason.SPREAD_ANOMALY: ReasonInfo(
        "layer 2", "spread is a multiple of its normal", "times", AlertLevel.WARNING
    ),
    Reason.PRICE_JUMP: ReasonInfo(
        "layer 2", "price jumped from one trade to the next", "fraction", AlertLevel.WARNING
    ),
    Reason.PRICE_UNCONFIRMED: ReasonInfo(
        "layer 2",
        "the price jumped from the last and the fair price; the next trade confirms it",
        "fraction",
        AlertLevel.WARNING,
    ),
    Reason.SLIPPAGE_EXPECTED: ReasonInfo(
        "layer 2", "the book would fill the entry at a bad price", "fraction"
    ),
    Reason.SLIPPAGE_SEEN: ReasonInfo(
        "layer 2", "a fill slipped more than allowed", "fraction", AlertLevel.WARNING
    ),
    Reason.COST_TOO_HIGH: ReasonInfo(
        "layer 2",
        "fees, spread and impact of entry and exit are too large a share of the stop's distance",
        "fraction",
        AlertLevel.INFO,
    ),
    Reason.QUARANTINED: ReasonInfo(
        "layer 2", "ten retries failed; a person must release it", "times", AlertLevel.WARNING
    ),
    Reason.ANOMALIES_IN_SEVERAL_SYMBOLS: ReasonInfo(
        "layer 2", "three symbols were anomalous at once", "symbols", AlertLevel.CRITICAL
    ),
    Reason.NOT_IN_UNIVERSE: ReasonInfo(
        "layer 3",
        "neither in the whitelist nor a mover: positions are only reduced",
        "seconds",
    ),
    Reason.NO_MARKET_DATA: ReasonInfo(
        "layer 3", "no live tick or no contract of this symbol", "seconds"
    ),
    Reason.DATA_STALE: ReasonInfo(
        "layer 3", "the symbol has been silent for too long", "seconds", AlertLevel.WARNING
    ),
    Reason.SIGNAL_TOO_OLD: ReasonInfo("layer 3", "the signal is older than allowed", "seconds"),
    Reason.SIGNAL_FROM_FUTURE: ReasonInfo(
        "layer 3", "the signal is dated more than five seconds ahead of the clock", "seconds"
    ),
    Reason.CONDITION_OPEN: ReasonInfo(
        "layer 3",
        "a condition is open: database away, lag, data gap, checksum mismatch",
        "seconds",
        AlertLevel.WARNING,
    ),
    Reason.CONDITION_CLEARED: ReasonInfo("layer 3", "no condition is open any more"),
    Reason.CHECKSUM_MISMATCH: ReasonInfo(
        "layer 3",
        "two services disagree on the portfolio; a reset begins a new run",
        "",
        AlertLevel.CRITICAL,
    ),
    Reason.RECORD_BROKEN: ReasonInfo(
        "layer 3",
        "an event of this run cannot be recorded; a reset begins a new run",
        "",
        AlertLevel.CRITICAL,
    ),
    Reason.RECORD_LOST: ReasonInfo(
        "layer 3",
        "the bus lost events; check the record, then reset",
        "events",
        AlertLevel.CRITICAL,
    ),
    Reason.EXPOSURE_LIMIT: ReasonInfo(
        "layer 4", "total exposure would pass its limit", "fraction", AlertLevel.INFO
    ),
    Reason.CORRELATED_EXPOSURE: ReasonInfo(
        "layer 4",
        "exposure to symbols that move alike would pass its limit",
        "fraction",
        AlertLevel.INFO,
    ),
    Reason.EXPOSURE_EXCESSIVE: ReasonInfo(
        "layer 4", "present exposure is above 0.80 of equity", "fraction", AlertLevel.CRITICAL
    ),
    Reason.POSITION_LIMIT: ReasonInfo(
        "layer 5", "the position would pass its limit", "fraction", AlertLevel.WARNING
    ),
    Reason.LIQUIDATION_DISTANCE: ReasonInfo(
        "layer 5", "liquidation would be too near", "fraction", AlertLevel.WARNING
    ),
    Reason.VOLUME_LIMIT: ReasonInfo(
        "layer 5",
        "the position would be too large a share of what the look-back window traded",
        "fraction",
    ),
    Reason.STOP_LOSS_INVALID: ReasonInfo(
        "layer 6", "no stop can be placed for this price", "fraction"
    ),
    Reason.TRADE_FREQUENCY: ReasonInfo(
        "layer 7", "too many entries within the hour", "entries", AlertLevel.INFO
    ),
    Reason.LOSS_COOLDOWN: ReasonInfo(
        "layer 7", "the symbol is in cooldown after losses in a row", "losses", AlertLevel.INFO
    ),
    Reason.DUPLICATE_SIGNAL: ReasonInfo(
        "risk", "a signal with this signal_id was decided before in this run"
    ),
    Reason.INVALID_SIGNAL: ReasonInfo(
        "risk", "price or quantity cannot be traded", "", AlertLevel.WARNING
    ),
    Reason.BELOW_MINIMUM: ReasonInfo(
        "risk", "what was asked for is below the smallest order", "quote"
    ),
    Reason.NOTHING_TO_REDUCE: ReasonInfo(
        "risk, execution", "no open position left to reduce", "base"
    ),
    Reason.NOT_APPROVED: ReasonInfo(
        "execution", "risk has not approved this order", "", AlertLevel.WARNING
    ),
    Reason.DUPLICATE_ORDER: ReasonInfo("execution", "the order came twice", "", AlertLevel.WARNING),
    Reason.LARGER_THAN_APPROVED: ReasonInfo(
        "execution", "larger or other than approved", "base", AlertLevel.WARNING
    ),
    Reason.ABOVE_POSITION_GUARD: ReasonInfo(
        "execution",
        "the position would pass 1.1 x MAX_POSITION_PCT",
        "fraction",
        AlertLevel.WARNING,
    ),
    Reason.SLIPPAGE_EXCEEDED: ReasonInfo(
        "execution", "the entry would slip more than allowed", "fraction", AlertLevel.WARNING
    ),
    Reason.STOP_PASSED: ReasonInfo(
        "execution", "the entry's fill or the valuing price is at or beyond its stop"
    ),
    Reason.TRIGGERED: ReasonInfo("execution", "the price reached the trigger: the order works now"),
    Reason.POST_ONLY_WOULD_CROSS: ReasonInfo(
        "execution", "a post-only order would have taken liquidity"
    ),
    Reason.NOT_FILLED_AT_ONCE: ReasonInfo(
        "execution", "an IOC or FOK order was not filled at once; the rest is cancelled"
    ),
    Reason.CANCELLED_BY_EXIT: ReasonInfo("execution", "an exit of the same position was decided"),
    Reason.EXPIRED: ReasonInfo("execution", "no tick filled the entry in time", "seconds"),
    Reason.RUN_ENDED: ReasonInfo("execution", "the run ended before the order was filled"),
    Reason.REDUCED_TO_POSITION: ReasonInfo(
        "execution", "the exit was larger than the position; the rest was dropped", "base"
    ),
    Reason.RETRY_PASSED: ReasonInfo(
        "layer 2", "no anomaly since the last retry: the symbol trades again"
    ),
    Reason.DATA_FRESH: ReasonInfo("layer 3", "the symbol's data is fresh again: it trades again"),
    Reason.OPERATOR: ReasonInfo("operator", "a person gave the command"),
}
