"""The events: every message on every topic, typed, frozen, and one JSON object each.

Units, in every event: ``timestamp`` is event time in Unix milliseconds (UTC); prices are in quote
currency per unit of base; ``volume`` is in units of base; ``quantity`` is in the contract's unit,
which is base, or quote (its face value) in an inverse contract; fees, notional, profit and equity
are in quote currency; names ending in ``_pct`` are decimals (0.10 is 10 %).
"""

from services.kernel.events.control import (
    RUN_BREAKING,
    CommandRepeated,
    Condition,
    ConditionName,
    ConditionPhase,
    Halt,
    Instruments,
    OpeningAccount,
    OpeningPause,
    OpeningPosition,
    OpeningStance,
    OpeningStreak,
    Pause,
    RecordHead,
    Recovered,
    Reset,
    Resume,
    RunEnded,
    RunStarted,
)
from services.kernel.events.envelope import SCHEMA_VERSION, Event, Side
from services.kernel.events.market import BarPoint, Clock, MarketData, MarketDataKind, PriceLevel
from services.kernel.events.reports import (
    Alert,
    AlertLevel,
    AlertPhase,
    PortfolioSnapshot,
    PositionView,
    SymbolView,
)
from services.kernel.events.trading import (
    CommandAnswered,
    LayerResult,
    LayerVerdict,
    Order,
    OrderResult,
    OrderStatus,
    OrderType,
    Origin,
    PriceSource,
    RiskDecision,
    Signal,
    StateChange,
    TimeInForce,
    TradingState,
    TradingStateChanged,
    Verdict,
)

ControlEvent = (
    RunStarted
    | RunEnded
    | Instruments
    | Halt
    | Reset
    | Pause
    | Resume
    | CommandRepeated
    | Condition
    | Recovered
    | RecordHead
)
AnyEvent = (
    MarketData
    | Clock
    | Signal
    | RiskDecision
    | TradingStateChanged
    | CommandAnswered
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
    CommandAnswered,
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
    CommandRepeated,
    Condition,
    Recovered,
    RecordHead,
    PortfolioSnapshot,
)

__all__ = [
    "EVENT_TYPES",
    "RUN_BREAKING",
    "SCHEMA_VERSION",
    "Alert",
    "AlertLevel",
    "AlertPhase",
    "AnyEvent",
    "BarPoint",
    "Clock",
    "CommandAnswered",
    "CommandRepeated",
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
    "OpeningPause",
    "OpeningPosition",
    "OpeningStance",
    "OpeningStreak",
    "Order",
    "OrderResult",
    "OrderStatus",
    "OrderType",
    "Origin",
    "Pause",
    "PortfolioSnapshot",
    "PositionView",
    "PriceLevel",
    "PriceSource",
    "RecordHead",
    "Recovered",
    "Reset",
    "Resume",
    "RiskDecision",
    "RunEnded",
    "RunStarted",
    "Side",
    "Signal",
    "StateChange",
    "SymbolView",
    "TimeInForce",
    "TradingState",
    "TradingStateChanged",
    "Verdict",
]
