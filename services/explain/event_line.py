"""An event in one line, for lists."""

from services.explain.printable import one_line
from services.kernel.events import (
    Alert,
    AnyEvent,
    MarketData,
    Order,
    OrderResult,
    RiskDecision,
    Signal,
    TradingStateChanged,
)


def describe(event: AnyEvent) -> str:
    """What an event says, in one line."""
    match event:
        case Signal():
            kind = " reduce-only" if event.reduce_only else ""
            text = f"{event.direction} {event.symbol} at {event.price}{kind}: {event.reason}"
        case RiskDecision():
            why = event.reason or event.binding_limit or event.origin
            text = f"{event.verdict} {event.side} {event.quantity} {event.symbol}: {why}"
        case TradingStateChanged():
            whom = event.symbol or "account"
            text = f"{whom} {event.previous} -> {event.state}: {event.message}"
        case Order():
            text = f"{event.side} {event.quantity} {event.symbol} at {event.price} ({event.origin})"
        case OrderResult():
            filled = f"{event.side} {event.filled_quantity} {event.symbol}"
            at = f" at {event.filled_price}" if event.filled_price is not None else ""
            text = f"{event.status} {filled}{at} {event.reason or ''}"
        case Alert():
            text = f"{event.level} {event.code} {event.phase}: {event.message}"
        case MarketData():
            price = event.price or event.mark_price or event.bid
            text = f"{event.kind} {event.symbol} {price}"
        case _:
            detail = getattr(event, "reason", None) or getattr(event, "detail", "")
            text = f"{event.__struct_config__.tag} {detail}"
    return one_line(text.rstrip())
