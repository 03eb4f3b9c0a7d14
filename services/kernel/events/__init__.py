"""The events: every message on every topic, typed, frozen, and one JSON object each.

Units, in every event: ``timestamp`` is event time in Unix milliseconds (UTC); prices are in quote
currency per unit of base; ``quantity`` and ``volume`` are in units of base; fees, notional, profit
and equity are in quote (settle) currency; names ending in ``_pct`` are decimals (0.10 is 10 %).
"""

from services.kernel.events.control import (
    Condition,
    ConditionName,
    ConditionPhase,
    Halt,
    Instruments,
    OpeningAccount,
    OpeningPosition,
    Pause,
    Recovered,
    Reset,
    Resume,
    RunEnded,
    RunStarted,
)
from services.kernel.events.envelope import SCHEMA_VERSION, Event, Side
from services.kernel.events.market import Clock, MarketData, MarketDataKind, PriceLevel
from services.kernel.events.reports import (
    Alert,
    AlertLevel,
    AlertPhase,
    PortfolioSnapshot,
    PositionView,
)
from services.kernel.events.trading import (
    LayerResult,
    LayerVerdict,
    Order,
    OrderResult,
    OrderStatus,
    OrderType,
    Origin,
    RiskDecision,
    Signal,
    TradingState,
    TradingStateChanged,
    Verdict,
)

ControlEvent = (
    RunStarted | RunEnded | Instruments | Halt | Reset | Pause | Resume | Condition | Recovered
)
AnyEvent = (
    MarketData
    | Clock
    | Signal
    | RiskDecision
    | TradingStateChanged
    | Order
    | OrderResult
    | Alert
    | ControlEvent
    | PortfolioSnapshot
)
EVENT_TYPES: tuple[type[Event], ...] = (
    MarketData,
    Clock,
    Signal,
    RiskDecision,
    TradingStateChanged,
    Order,
    OrderResult,
    Alert,
    RunStarted,
    RunEnded,
    Instruments,
    Halt,
    Reset,
    Pause,
    Resume,
    Condition,
    Recovered,
    PortfolioSnapshot,
)

__all__ = [
    "EVENT_TYPES",
    "SCHEMA_VERSION",
    "Alert",
    "AlertLevel",
    "AlertPhase",
    "AnyEvent",
    "Clock",
    "Condition",
    "ConditionName",
    "ConditionPhase",
    "ControlEvent",
    "Event",
    "Halt",
    "Instruments",
    "LayerResult",
    "LayerVerdict",
    "MarketData",
    "MarketDataKind",
    "OpeningAccount",
    "OpeningPosition",
    "Order",
    "OrderResult",
    "OrderStatus",
    "OrderType",
    "Origin",
    "Pause",
    "PortfolioSnapshot",
    "PositionView",
    "PriceLevel",
    "Recovered",
    "Reset",
    "Resume",
    "RiskDecision",
    "RunEnded",
    "RunStarted",
    "Side",
    "Signal",
    "TradingState",
    "TradingStateChanged",
    "Verdict",
]
