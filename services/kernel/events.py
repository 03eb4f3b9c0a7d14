"""The events: every message on every topic, typed, frozen, and one JSON object each.

Units, in every event: ``timestamp`` is event time in Unix milliseconds (UTC); prices are in quote
currency per unit of base; ``quantity`` and ``volume`` are in units of base; fees, notional, profit
and equity are in quote (settle) currency; names ending in ``_pct`` are decimals (0.10 is 10 %).
"""

from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from msgspec import Struct

from services.kernel import topics
from services.kernel.instruments import Instrument

SCHEMA_VERSION = 1


class Side(StrEnum):
    """Direction of a signal, side of an order or of the taker of a trade."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> "Side":
        """The other side."""
        return Side.SELL if self is Side.BUY else Side.BUY

    @property
    def sign(self) -> int:
        """+1 for BUY, -1 for SELL."""
        return 1 if self is Side.BUY else -1


class MarketDataKind(StrEnum):
    """What a market data event tells; only trades move windows, bars and volume."""

    TRADE = "trade"
    QUOTE = "quote"
    DEPTH = "depth"
    MARK = "mark"
    FUNDING = "funding"


class Verdict(StrEnum):
    """What risk decided."""

    APPROVED = "APPROVED"
    TRIMMED = "TRIMMED"
    REJECTED = "REJECTED"


class LayerVerdict(StrEnum):
    """What one risk layer said."""

    PASS = "PASS"  # noqa: S105  a verdict, not a password
    FAIL = "FAIL"
    NOT_APPLICABLE = "NOT_APPLICABLE"


class TradingState(StrEnum):
    """What trading is allowed, for the account or for one symbol. Exits are always allowed."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    STALE = "STALE"
    QUARANTINED = "QUARANTINED"
    HALTED = "HALTED"


class Origin(StrEnum):
    """What an order comes from."""

    SIGNAL = "signal"
    STOP_LOSS = "stop_loss"
    LIQUIDATION = "liquidation"
    EMERGENCY_STOP = "emergency_stop"
    EXTERNAL = "external"


class OrderType(StrEnum):
    """How an order is to be filled."""

    MARKET = "MARKET"


class OrderStatus(StrEnum):
    """The states of an order; all but PENDING and PARTIALLY_FILLED are final."""

    PENDING = "PENDING"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


class AlertLevel(StrEnum):
    """How urgent an alert is."""

    INFO = "INFO"
    WARNING = "WARNING"
    CRITICAL = "CRITICAL"


class AlertPhase(StrEnum):
    """Where in its life the condition behind an alert is."""

    BEGAN = "BEGAN"
    ONGOING = "ONGOING"
    CLEARED = "CLEARED"


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag_field="type"):
    """The envelope that every event has.

    ``seq`` (position in the one total order) and ``topic_seq`` (dense per topic) are set by the
    bus; both are 0 in an event that was not published by it.
    """

    TOPIC: ClassVar[str]

    event_id: str
    run_id: str
    producer: str
    schema_version: int
    timestamp: int
    causation_id: str | None
    correlation_id: str | None
    external: bool = False
    seq: int = 0
    topic_seq: int = 0


PriceLevel = tuple[Decimal, Decimal]
"""Price and quantity (base) of one level of a book."""


class MarketData(Event, frozen=True, kw_only=True, tag="market_data"):
    """One observation of one market."""

    TOPIC: ClassVar[str] = topics.MARKET_DATA

    kind: MarketDataKind
    symbol: str
    source: str
    price: Decimal | None = None
    volume: Decimal | None = None
    side: Side | None = None
    trade_id: str | None = None
    bid: Decimal | None = None
    ask: Decimal | None = None
    bid_size: Decimal | None = None
    ask_size: Decimal | None = None
    bids: tuple[PriceLevel, ...] | None = None
    asks: tuple[PriceLevel, ...] | None = None
    mark_price: Decimal | None = None
    index_price: Decimal | None = None
    funding_rate: Decimal | None = None
    next_funding_time: int | None = None
    pct_change: Decimal | None = None
    backfill: bool = False


class Clock(Event, frozen=True, kw_only=True, tag="clock"):
    """Event time has reached ``timestamp``; strictly increasing within a run."""

    TOPIC: ClassVar[str] = topics.CLOCK


class Signal(Event, frozen=True, kw_only=True, tag="signal"):
    """What a strategy wants; what becomes of it is risk's decision."""

    TOPIC: ClassVar[str] = topics.SIGNALS

    signal_id: str
    symbol: str
    direction: Side
    strength: Decimal
    price: Decimal
    reason: str
    indicators: dict[str, Decimal]
    reduce_only: bool
    strategy_id: str
    quantity: Decimal | None = None


class LayerResult(Struct, frozen=True, kw_only=True, gc=False):
    """What one risk layer measured, what it allows, and how much room is left."""

    layer: int
    name: str
    verdict: LayerVerdict
    value: Decimal | None
    limit: Decimal | None
    headroom: Decimal | None
    unit: str
    detail: str


class RiskDecision(Event, frozen=True, kw_only=True, tag="risk_decision"):
    """Risk's answer to one signal, or its own exit."""

    TOPIC: ClassVar[str] = topics.RISK_DECISIONS

    decision_id: str
    signal_id: str | None
    order_id: str | None
    origin: Origin
    symbol: str
    side: Side
    reduce_only: bool
    verdict: Verdict
    reason: str | None
    binding_limit: str | None
    requested_quantity: Decimal
    quantity: Decimal
    price: Decimal | None
    stop_loss_price: Decimal | None
    leverage: Decimal
    equity: Decimal
    trading_state: TradingState
    sizing: dict[str, Decimal]
    layers: tuple[LayerResult, ...]


class TradingStateChanged(Event, frozen=True, kw_only=True, tag="trading_state"):
    """The trading state of the account (``symbol`` null) or of one symbol changed."""

    TOPIC: ClassVar[str] = topics.RISK_DECISIONS

    symbol: str | None
    previous: TradingState
    state: TradingState
    layer: int | None
    reason: str
    message: str
    values: dict[str, Decimal]


class Order(Event, frozen=True, kw_only=True, tag="order"):
    """An order, approved by risk (``approved_by``) or, from outside, by nobody (null)."""

    TOPIC: ClassVar[str] = topics.ORDERS

    order_id: str
    signal_id: str | None
    origin: Origin
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    order_type: OrderType
    reduce_only: bool
    stop_loss_price: Decimal | None
    leverage: Decimal
    approved_by: str | None
    risk_checks: dict[str, LayerVerdict]


class OrderResult(Event, frozen=True, kw_only=True, tag="order_result"):
    """What became of an order. ``filled_quantity`` is what this result filled, not the total."""

    TOPIC: ClassVar[str] = topics.ORDER_RESULTS

    order_id: str
    signal_id: str | None
    origin: Origin
    status: OrderStatus
    symbol: str
    side: Side
    reduce_only: bool
    quantity: Decimal
    filled_quantity: Decimal
    filled_price: Decimal | None
    slippage_bps: Decimal | None
    fees: Decimal
    liquidity: str | None
    stop_loss_price: Decimal | None
    leverage: Decimal
    reason: str | None
    latency_ms: int | None
    fill: dict[str, Decimal]


class Alert(Event, frozen=True, kw_only=True, tag="alert"):
    """A change that a person should know: a condition began, goes on (counted), or cleared."""

    TOPIC: ClassVar[str] = topics.ALERTS

    level: AlertLevel
    code: str
    message: str
    symbol: str | None
    layer: int | None
    phase: AlertPhase
    count: int
    context: dict[str, str]


class OpeningPosition(Struct, frozen=True, kw_only=True, gc=False):
    """A position that a run begins with."""

    symbol: str
    quantity: Decimal
    entry_price: Decimal
    mark_price: Decimal
    stop_loss_price: Decimal | None
    leverage: Decimal


class OpeningAccount(Struct, frozen=True, kw_only=True, gc=False):
    """The account a run begins with: fresh, or carried over from the run before.

    Attributes:
        cash: Equity without the unrealised profit of ``positions``.
        day: Days since 1970-01-01 (UTC) that ``day_start_equity`` belongs to; -1 in a fresh
            account, whose first clock opens its first day.
        halted: Reason of a halt that no reset has released yet.
        quarantined: Symbols that only a person may release.
    """

    cash: Decimal
    peak_equity: Decimal
    day_start_equity: Decimal
    day: int
    positions: tuple[OpeningPosition, ...] = ()
    halted: str | None = None
    quarantined: tuple[str, ...] = ()


class RunStarted(Event, frozen=True, kw_only=True, tag="run_started"):
    """A run begins: everything that shapes its decisions and is not market data."""

    TOPIC: ClassVar[str] = topics.CONTROL

    settings: dict[str, str]
    seed: int
    code_version: str
    source: str
    account: OpeningAccount


class RunEnded(Event, frozen=True, kw_only=True, tag="run_ended"):
    """The run is over: its data or its duration."""

    TOPIC: ClassVar[str] = topics.CONTROL

    reason: str


class Instruments(Event, frozen=True, kw_only=True, tag="instruments"):
    """Contract details: all of them after ``run_started``, the changed ones later."""

    TOPIC: ClassVar[str] = topics.CONTROL

    instruments: tuple[Instrument, ...]


class Halt(Event, frozen=True, kw_only=True, tag="halt"):
    """Operator: stop all entries until a person resets."""

    TOPIC: ClassVar[str] = topics.CONTROL

    reason: str


class Reset(Event, frozen=True, kw_only=True, tag="reset"):
    """Operator: release a halt; peak and day start become present equity."""

    TOPIC: ClassVar[str] = topics.CONTROL

    reason: str


class Pause(Event, frozen=True, kw_only=True, tag="pause"):
    """Operator: no entries, for the account (``symbol`` null) or one symbol, until resumed."""

    TOPIC: ClassVar[str] = topics.CONTROL

    reason: str
    symbol: str | None = None


class Resume(Event, frozen=True, kw_only=True, tag="resume"):
    """Operator: end a pause or release a quarantined symbol."""

    TOPIC: ClassVar[str] = topics.CONTROL

    reason: str
    symbol: str | None = None


class ConditionPhase(StrEnum):
    """Whether a condition holds from here on, or no longer."""

    BEGAN = "BEGAN"
    CLEARED = "CLEARED"


class ConditionName(StrEnum):
    """What a shell may see that changes decisions."""

    DATABASE_AWAY = "DATABASE_AWAY"
    LAG = "LAG"
    DATA_GAP = "DATA_GAP"
    CHECKSUM_MISMATCH = "CHECKSUM_MISMATCH"
    SOURCE_ENDED = "SOURCE_ENDED"
    SETTING_OUT_OF_RANGE = "SETTING_OUT_OF_RANGE"


class Condition(Event, frozen=True, kw_only=True, tag="condition"):
    """A shell saw something that changes decisions; while in doubt, no entry passes."""

    TOPIC: ClassVar[str] = topics.CONTROL

    name: ConditionName
    phase: ConditionPhase
    symbol: str | None
    detail: str


class Recovered(Event, frozen=True, kw_only=True, tag="recovered"):
    """The bus came back with less than it had; what lies between the bounds may be lost."""

    TOPIC: ClassVar[str] = topics.CONTROL

    epoch: str
    lost_from: int
    lost_to: int


class PositionView(Struct, frozen=True, kw_only=True, gc=False):
    """One open position in a portfolio snapshot; ``quantity`` is negative for a short."""

    symbol: str
    quantity: Decimal
    entry_price: Decimal
    mark_price: Decimal
    notional: Decimal
    unrealised_profit: Decimal
    stop_loss_price: Decimal | None
    leverage: Decimal


class PortfolioSnapshot(Event, frozen=True, kw_only=True, tag="portfolio_snapshot"):
    """The account at one instant: the fold's figures and the checksum that all folds share."""

    TOPIC: ClassVar[str] = topics.PORTFOLIO_SNAPSHOTS

    equity: Decimal
    cash: Decimal
    realised_profit: Decimal
    unrealised_profit: Decimal
    fees: Decimal
    funding: Decimal
    gross_exposure: Decimal
    exposure_pct: Decimal
    peak_equity: Decimal
    day_start_equity: Decimal
    daily_drawdown_pct: Decimal
    drawdown_pct: Decimal
    max_drawdown_pct: Decimal
    worst_day_pct: Decimal
    positions: tuple[PositionView, ...]
    checksum: str


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
