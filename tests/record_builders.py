"""Events of a trade from signal to result, for tests of the record."""

from decimal import Decimal
from typing import Any

from services.kernel.events import (
    Alert,
    AlertLevel,
    AlertPhase,
    LayerResult,
    LayerVerdict,
    MarketData,
    MarketDataKind,
    Order,
    OrderResult,
    OrderStatus,
    OrderType,
    Origin,
    RiskDecision,
    Side,
    Signal,
    TradingState,
    Verdict,
    topics,
)
from services.kernel.events.ids import make_id
from tests.bus_builders import envelope

SYMBOL = "BTC_USDT"


def signal(number: int, *, direction: Side = Side.BUY, **over: Any) -> Signal:
    fields: dict[str, Any] = {
        "signal_id": make_id("signal", number),
        "symbol": SYMBOL,
        "direction": direction,
        "strength": Decimal("0.5"),
        "price": Decimal(100),
        "reason": "momentum",
        "indicators": {"pct_change": Decimal("0.012")},
        "reduce_only": False,
        "strategy_id": "momentum",
    }
    event_id = make_id("signal event", number)
    return Signal(**envelope(event_id, topics.CORE, at=number), **(fields | over))


def decision(number: int, *, verdict: Verdict = Verdict.APPROVED, **over: Any) -> RiskDecision:
    layer = LayerResult(
        layer=4,
        name="exposure",
        verdict=LayerVerdict.PASS,
        value=Decimal("0.05"),
        limit=Decimal("0.30"),
        headroom=Decimal("0.25"),
        unit="fraction",
        detail="",
    )
    fields: dict[str, Any] = {
        "decision_id": make_id("decision", number),
        "signal_id": make_id("signal", number),
        "order_id": make_id("order", number),
        "origin": Origin.SIGNAL,
        "symbol": SYMBOL,
        "side": Side.BUY,
        "reduce_only": False,
        "verdict": verdict,
        "reason": None,
        "binding_limit": None,
        "requested_quantity": Decimal(2),
        "quantity": Decimal(2),
        "price": Decimal(100),
        "stop_loss_price": Decimal(98),
        "leverage": Decimal(1),
        "equity": Decimal(100_000),
        "trading_state": TradingState.ACTIVE,
        "sizing": {"risk_fraction": Decimal("0.002")},
        "layers": (layer,),
    }
    event_id = make_id("decision event", number)
    return RiskDecision(**envelope(event_id, topics.RISK, at=number), **(fields | over))


def order(number: int, *, side: Side = Side.BUY, **over: Any) -> Order:
    fields: dict[str, Any] = {
        "order_id": make_id("order", number),
        "signal_id": make_id("signal", number),
        "origin": Origin.SIGNAL,
        "symbol": SYMBOL,
        "side": side,
        "quantity": Decimal(2),
        "price": Decimal(100),
        "order_type": OrderType.MARKET,
        "reduce_only": False,
        "stop_loss_price": Decimal(98),
        "leverage": Decimal(1),
        "approved_by": make_id("decision", number),
        "risk_checks": {"4": LayerVerdict.PASS},
    }
    event_id = make_id("order event", number)
    return Order(**envelope(event_id, topics.RISK, at=number), **(fields | over))


def result(
    number: int,
    *,
    side: Side = Side.BUY,
    price: str = "100",
    quantity: str = "2",
    part: int = 0,
    **over: Any,
) -> OrderResult:
    """What became of order ``number``: filled at ``price``; ``part`` distinguishes its fills."""
    fields: dict[str, Any] = {
        "order_id": make_id("order", number),
        "signal_id": make_id("signal", number),
        "origin": Origin.SIGNAL,
        "status": OrderStatus.FILLED,
        "symbol": SYMBOL,
        "side": side,
        "reduce_only": False,
        "quantity": Decimal(2),
        "filled_quantity": Decimal(quantity),
        "filled_price": Decimal(price),
        "slippage_bps": Decimal("1.5"),
        "fees": Decimal("0.16"),
        "liquidity": "taker",
        "stop_loss_price": Decimal(98),
        "leverage": Decimal(1),
        "reason": None,
        "latency_ms": 250,
        "fill": {"half_spread": Decimal("0.0001")},
    }
    event_id = make_id("result event", number, part)
    return OrderResult(**envelope(event_id, topics.EXECUTION, at=number), **(fields | over))


def alert(number: int, **over: Any) -> Alert:
    fields: dict[str, Any] = {
        "level": AlertLevel.WARNING,
        "code": "DATA_STALE",
        "message": "no data",
        "symbol": SYMBOL,
        "layer": 3,
        "phase": AlertPhase.BEGAN,
        "count": 1,
        "context": {"age_sec": "61"},
    }
    event_id = make_id("alert event", number)
    return Alert(**envelope(event_id, topics.RISK, at=number), **(fields | over))


def funding(number: int, *, rate: str, due: int) -> MarketData:
    """The rate that is settled at ``due`` (Unix milliseconds)."""
    return MarketData(
        **envelope(make_id("funding", number), topics.WS, at=number),
        kind=MarketDataKind.FUNDING,
        symbol=SYMBOL,
        source="synthetic",
        funding_rate=Decimal(rate),
        next_funding_time=due,
    )
