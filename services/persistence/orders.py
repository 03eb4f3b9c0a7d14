"""Orders and trades as rows: what each order became, and what each closing fill earned."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from heapq import merge
from typing import Any, Final, NamedTuple

import msgspec

from services.kernel.events import (
    AnyEvent,
    Instruments,
    Order,
    OrderResult,
    OrderStatus,
    RunStarted,
    topics,
)
from services.kernel.portfolio.ledger import book_funding
from services.kernel.portfolio.portfolio import (
    ClosedTrade,
    FundingPayment,
    Portfolio,
    PortfolioState,
)
from services.kernel.reasons import Reason
from services.persistence.tables import Row, clean, time_of, value_of

TOPICS: Final = frozenset({topics.ORDERS, topics.ORDER_RESULTS, topics.CONTROL})
"""What the rows follow from."""
FOLDED: Final = frozenset({RunStarted, Instruments})
"""Events beside results that decide how a trade is reckoned: account and kind of contract."""

ZERO: Final = Decimal(0)
ORDERS: Final = (
    *("order_id", "event_id", "seq", "run_id", "signal_id", "origin", "symbol", "side", "quantity"),
    *("price", "order_type", "reduce_only", "stop_loss_price", "leverage", "approved_by"),
    *("external", "correlation_id", "trigger_price", "time_in_force", "post_only"),
)
TRADES: Final = (
    *("trade_id", "order_id", "seq", "run_id", "symbol", "side", "quantity", "entry_price"),
    *("exit_price", "profit_loss", "slippage_bps", "opened_at", "closed_at", "correlation_id"),
    *("gross_profit", "fees_open", "fees_close", "funding", "slippage_cost", "spread_cost"),
    *("impact_cost", "exit_reason"),
)


class RecordedPayment(NamedTuple):
    """A funding payment, and the seq of the clock that settled it."""

    seq: int
    payment: FundingPayment


@dataclass(slots=True)
class OrderRows:
    """Rows that some events made, in the order of the events.

    Attributes:
        orders: New orders; columns ``ORDERS``, then time and status.
        results: Changes of orders, as ``order_store`` takes them.
        trades: New trades; columns ``TRADES``.
    """

    orders: list[Row] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    trades: list[Row] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.orders or self.results or self.trades)


class OrderProjector:
    """Folds orders, their results and funding payments into rows, in the total order.

    Entry prices and costs come from the portfolio's fold. It is fed no prices here: what a closed
    trade earned depends on its fills, and on the payments that the record has.
    """

    def __init__(self) -> None:
        self._portfolio = Portfolio()

    def apply(self, event: AnyEvent, rows: OrderRows) -> None:
        """Fold one event in and add the rows it makes."""
        if type(event) in FOLDED:
            self._portfolio.apply(event)
        elif type(event) is Order:
            self._on_order(event, rows)
        elif type(event) is OrderResult:
            self._on_result(event, rows)

    def fold(
        self, events: Iterable[AnyEvent], payments: Iterable[RecordedPayment], rows: OrderRows
    ) -> None:
        """Fold events and payments in, each at its place in the total order.

        Args:
            events: Of ``TOPICS``, by seq.
            payments: Of the same part of the record, by seq.
            rows: What they make is added here.
        """
        for item in merge(events, payments, key=lambda item: item.seq):
            if isinstance(item, RecordedPayment):
                self.fund(item.payment)
            else:
                self.apply(item, rows)

    def fund(self, payment: FundingPayment) -> None:
        """Book a settlement, at the place of its clock among the events."""
        if payment.symbol in self._portfolio.state.positions:
            book_funding(self._portfolio.state, payment)

    def snapshot(self) -> bytes:
        """The fold's whole state."""
        return msgspec.json.encode(self._portfolio.state)

    def restore(self, snapshot: bytes) -> None:
        """Become what ``snapshot`` was made from; empty bytes are the beginning."""
        self._portfolio.state = (
            msgspec.json.decode(snapshot, type=PortfolioState) if snapshot else PortfolioState()
        )

    @staticmethod
    def _on_order(event: Order, rows: OrderRows) -> None:
        fields = tuple(value_of(name, getattr(event, name)) for name in ORDERS)
        at = time_of(event.timestamp)
        rows.orders.append((*fields, OrderStatus.PENDING.value, at, at, event.seq))

    def _on_result(self, event: OrderResult, rows: OrderRows) -> None:
        for effect in self._portfolio.apply(event):
            if isinstance(effect, ClosedTrade):
                rows.trades.append(_trade(event, effect))
        if event.reason == Reason.DUPLICATE_ORDER:
            return  # of a second order with this id, which has no row
        value, base = self._filled(event)
        rows.results.append(
            {
                "order_id": clean(event.order_id),
                # One posted by hand may bear the id of a real order, whose row is not its own.
                "origin": event.origin.value,
                "status": event.status.value,
                "reason": value_of("reason", event.reason),
                "quantity": event.filled_quantity,
                "value": value,
                "base": base,
                "fees": event.fees,
                "slippage_bps": event.slippage_bps,
                "latency_ms": event.latency_ms,
                "filled_at": time_of(event.timestamp) if base else None,
                "at": time_of(event.timestamp),
                "seq": event.seq,
            }
        )

    def _filled(self, event: OrderResult) -> tuple[Decimal, Decimal]:
        """What a result filled, in quote and in base: the average price is one over the other."""
        quantity, price = event.filled_quantity, event.filled_price
        if quantity <= 0 or price is None:
            return ZERO, ZERO
        contract = self._portfolio.state.contracts.get(event.symbol)
        if contract is None:
            return quantity * price, quantity
        return quantity * contract.unit_value(price), contract.base_quantity(quantity, price)


def _trade(event: OrderResult, trade: ClosedTrade) -> Row:
    return (
        clean(event.event_id),
        clean(trade.order_id),
        event.seq,
        clean(event.run_id),
        clean(trade.symbol),
        trade.side.value,
        trade.quantity,
        trade.entry_price,
        trade.exit_price,
        trade.profit_loss,
        trade.slippage_bps,
        time_of(trade.opened_at),
        time_of(trade.closed_at),
        value_of("correlation_id", event.correlation_id),
        trade.gross_profit,
        trade.fees_open,
        trade.fees_close,
        trade.funding,
        trade.slippage_cost,
        trade.spread_cost,
        trade.impact_cost,
        trade.exit_reason,
    )
