"""In plain words: what would have to change for a trade to pass."""

from collections.abc import Mapping
from typing import Final

from services.explain.figures import measured, number, times
from services.explain.funnel import Funnel, Miss
from services.explain.limits import LIMITS
from services.kernel.reasons import REASONS, Reason

OTHERWISE: Final[Mapping[str, str]] = {
    Reason.HALTED: 'a person looks at the halt and gives `claire reset --reason "..."`',
    Reason.PAUSED: 'a person gives `claire resume --reason "..."`',
    Reason.QUARANTINED: 'a person gives `claire resume --symbol SYMBOL --reason "..."`',
    Reason.RECORD_LOST: "a person checks what was lost, and resets",
    Reason.CHECKSUM_MISMATCH: 'a person gives `claire reset --reason "..."`, which begins a new run'
    " with the account that the record makes; `claire verify` names the service that is wrong",
    Reason.RECORD_BROKEN: 'a person gives `claire reset --reason "..."`, which begins a new run'
    " with this account; `claire verify` names what is missing",
    Reason.CONDITION_OPEN: "database, data feed and lag recover; `claire status` names which",
    Reason.LIQUIDATION_DISTANCE: "a lower MAX_LEVERAGE puts liquidation further away",
    Reason.NOT_IN_UNIVERSE: "SYMBOL_WHITELIST names it, or it is one of the TOP_N movers again",
    Reason.BELOW_MINIMUM: "more equity, or a higher RISK_PER_TRADE_PCT",
    Reason.LOSS_COOLDOWN: "the rest ends by itself; MAX_CONSECUTIVE_LOSSES begins it, and"
    " LOSS_COOLDOWN_SEC is its length",
    Reason.EXPIRED: "a longer ORDER_EXPIRY_SEC, or a market whose ticks are closer together",
    Reason.SLIPPAGE_EXCEEDED: "a higher MAX_SLIPPAGE_PCT, or smaller orders",
    Reason.NOT_FILLED_AT_ONCE: "time in force GTC instead of IOC or FOK, or smaller orders",
    Reason.POST_ONLY_WOULD_CROSS: "a limit price on the own side of the spread, or no post-only",
    Reason.PRICE_UNCONFIRMED: "the next trade confirms the price, or it does not",
}


def remedies(found: Funnel) -> list[str]:
    """One sentence for each loss between signals and trades, the largest first.

    Signals that risk rejected and entries that ended without a fill are losses. An exit for which
    no position was open is none: it would have been no trade.
    """
    if not found.trades_seen:
        return ["no live trade reached the strategy: look at the feed with `claire status`"]
    if not found.signals:
        return [
            "no signal: the price has not moved by SIGNAL_THRESHOLD_PCT within LOOKBACK_MINUTES, or"
            " there is less data than that"
        ]
    rejected = found.rejected
    del rejected[Reason.NOTHING_TO_REDUCE]
    losses = [(count, reason, "") for reason, count in rejected.items()]
    losses += [(count, reason, " after approval") for reason, count in found.unfilled.items()]
    losses.sort(key=lambda loss: -loss[0])
    lines = [_remedy(reason, count, when, found) for count, reason, when in losses]
    return lines or ["nothing: every signal that could became an order"]


def miss_line(miss: Miss) -> str:
    """One near miss, with the value that the setting would have needed."""
    value, limit = measured(miss.value, miss.unit), measured(miss.limit, miss.unit)
    text = f"{miss.side} {miss.symbol}: layer {miss.layer} {miss.name} {value} against {limit}"
    name = LIMITS.get(miss.reason)
    return f"{text}; {_enough(name, miss)}" if name else text


def _enough(name: str, miss: Miss) -> str:
    return f"{name}={number(miss.value)} or more would have let it pass"


def _remedy(reason: str, count: int, when: str, found: Funnel) -> str:
    meaning = REASONS[Reason(reason)].meaning if reason in Reason.__members__ else "not known here"
    text = f"{reason}{when}, {times(count)} ({meaning})"
    if reason in OTHERWISE:
        return f"{text}: {OTHERWISE[reason]}"
    name = LIMITS.get(reason)
    if name is None:
        return text
    nearest = next((miss for miss in found.nearest if miss.reason == reason), None)
    return f"{text}: {_enough(name, nearest) if nearest else f'a higher {name}'}"
