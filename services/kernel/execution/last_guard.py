"""The last guard: what execution itself demands of an order, whatever risk may have done."""

from decimal import Decimal

from services.kernel.events import Side
from services.kernel.execution.approval import ApprovedOrder
from services.kernel.execution.state import ExecutionState
from services.kernel.reasons import Reason
from services.kernel.settings.model import TradingSettings

GUARD_FACTOR = Decimal("1.1")


def refuse(
    approved: ApprovedOrder,
    *,
    state: ExecutionState,
    settings: TradingSettings,
    position: Decimal,
    mark_price: Decimal | None,
    equity: Decimal,
) -> Reason | None:
    """Why this order is not accepted; None when it is.

    Args:
        approved: The order with risk's approval.
        state: Trading states and conditions.
        settings: For the limit on a position.
        position: Signed open quantity, base.
        mark_price: Quote per base; None before the symbol's first tick.
        equity: Quote.
    """
    order = approved.order
    if order.reduce_only:
        reducible_quantity = reducible(order.quantity, order.side, position)
        return None if reducible_quantity > 0 else Reason.NOTHING_TO_REDUCE
    forbidden = state.forbids_entries(order.symbol)
    if forbidden is not None:
        return forbidden
    instrument = state.instruments.get(order.symbol)
    if instrument is None:
        return Reason.NO_MARKET_DATA
    with_open = position + state.open_entries(order.symbol, order.side) * order.side.sign
    price = max(order.price, mark_price or order.price)
    signed = with_open + order.quantity * order.side.sign
    if is_too_large(signed, instrument.unit_value(price), equity, settings):
        return Reason.ABOVE_POSITION_GUARD
    return None


def is_too_large(
    position: Decimal, unit_value: Decimal, equity: Decimal, settings: TradingSettings
) -> bool:
    """Whether a position is above 1.1 x ``MAX_POSITION_PCT`` of equity.

    Args:
        position: Signed quantity after the entry.
        unit_value: What one unit of quantity is worth, in quote.
        equity: Quote.
        settings: For the limit.
    """
    notional = abs(position) * unit_value
    return notional > settings.max_position_pct * GUARD_FACTOR * equity


def reducible(quantity: Decimal, side: Side, position: Decimal) -> Decimal:
    """How much of a reduce-only quantity the open position (signed) allows."""
    return max(min(quantity, -position * side.sign), Decimal(0))
