"""From a signal to what became of its order."""

from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from msgspec import Struct

from services.kernel.events import topics
from services.kernel.events.envelope import Event, Side


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
    """What trading is allowed, for the account or for one symbol. Exits are always allowed.

    REDUCE_ONLY ends by itself when what it waits for is there again (fresh data, a database);
    PAUSED by an operator or a passed retry; HALTED only by a person: the account's by a reset, a
    symbol's (its quarantine) by a resume.
    """

    ACTIVE = "ACTIVE"
    REDUCE_ONLY = "REDUCE_ONLY"
    PAUSED = "PAUSED"
    HALTED = "HALTED"

    @classmethod
    def _missing_(cls, value: object) -> "TradingState | None":
        """Names in older records: what they are called now."""
        return {"STALE": cls.REDUCE_ONLY, "QUARANTINED": cls.HALTED}.get(str(value))


class PriceSource(StrEnum):
    """Which price a position is valued at, and its stops work on."""

    MARK = "mark"
    LAST = "last"


class Origin(StrEnum):
    """What an order comes from."""

    SIGNAL = "signal"
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    LIQUIDATION = "liquidation"
    EMERGENCY_STOP = "emergency_stop"
    EXTERNAL = "external"


class OrderType(StrEnum):
    """How an order is to be filled."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    STOP_LIMIT = "STOP_LIMIT"


class TimeInForce(StrEnum):
    """How long an order works: until it ends, at once in part, or at once in whole."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class OrderStatus(StrEnum):
    """The states of an order; all but PENDING and PARTIALLY_FILLED are final."""

    PENDING = "PENDING"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


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
    order_type: OrderType = OrderType.MARKET
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False


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
    price_source: PriceSource | None = None


class TradingStateChanged(Event, frozen=True, kw_only=True, tag="trading_state"):
    """The trading state of the account (``symbol`` null) or of one symbol changed.

    Also the answer to an operator's command that changes nothing: ``previous`` equals ``state``.
    """

    TOPIC: ClassVar[str] = topics.RISK_DECISIONS

    symbol: str | None
    previous: TradingState
    state: TradingState
    layer: int | None
    reason: str
    message: str
    values: dict[str, Decimal]


class StateChange(Struct, frozen=True, kw_only=True, gc=False):
    """What a command did to one trading state; ``previous`` equals ``state`` where it did nothing.

    Attributes:
        symbol: None for the account's.
    """

    symbol: str | None
    previous: TradingState
    state: TradingState
    reason: str
    message: str
    values: dict[str, Decimal]


class CommandAnswered(Event, frozen=True, kw_only=True, tag="command_answered"):
    """Risk's answer to an operator's command, the same however often the command comes.

    Attributes:
        command: ``halt``, ``reset``, ``pause`` or ``resume``.
        repeated: Whether the command had been answered before.
    """

    TOPIC: ClassVar[str] = topics.RISK_DECISIONS

    command_id: str
    command: str
    changes: tuple[StateChange, ...]
    repeated: bool = False


class Order(Event, frozen=True, kw_only=True, tag="order"):
    """An order, approved by risk (``approved_by``) or, from outside, by nobody (null).

    Attributes:
        price: The limit price of a limit order; else the price that the order was decided at.
        trigger_price: Of a stop order: it works from when the mark price (while fresh, else the
            last trade) reaches it.
        post_only: A limit order that is refused if it would take liquidity.
    """

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
    trigger_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False


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
