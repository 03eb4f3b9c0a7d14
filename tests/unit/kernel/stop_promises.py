"""A watch over a total order: every entry's fill keeps what its stop promises."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from services.kernel.events import Clock, Event, MarketData, Order, OrderResult, RunStarted
from services.kernel.portfolio.portfolio import Portfolio
from services.kernel.settings.model import TradingSettings

DUST = Decimal("1E-9")
"""Of quote; the entry price is a ratio of rounded amounts."""


@dataclass
class StopPromises:
    """Judges each fill of an entry by the order, the result and the fold's position alone.

    Attributes:
        kept: Fills that kept all promises.
        broken: What the others did.
    """

    kept: int = 0
    broken: list[str] = field(default_factory=list)
    fold: Portfolio = field(default_factory=Portfolio)
    equity: Decimal = Decimal(0)
    risk_pct: Decimal = Decimal(0)
    orders: dict[str, Order] = field(default_factory=dict)

    def watch(self, events: Iterable[Event]) -> "StopPromises":
        """Take all events of a run in their order."""
        for event in events:
            self.fold.apply(event)
            if isinstance(event, RunStarted):
                self.risk_pct = TradingSettings.parse(event.settings)[0].risk_per_trade_pct
            elif isinstance(event, MarketData | Clock):
                self.equity = self.fold.equity
            elif isinstance(event, Order):
                self.orders[event.order_id] = event
            elif isinstance(event, OrderResult) and _is_entry(event):
                self._judge(event)
        return self

    def _judge(self, result: OrderResult) -> None:
        faults = list(self._faults(result))
        self.broken += [f"{result.order_id} {result.side} {result.symbol}: {f}" for f in faults]
        self.kept += not faults

    def _faults(self, result: OrderResult) -> Iterable[str]:
        price, stop, sign = result.filled_price, result.stop_loss_price, result.side.sign
        order, position = self.orders[result.order_id], self.fold.state.positions.get(result.symbol)
        assert price is not None
        if position is None or position.side is not result.side:
            return  # it only closed what was open the other way round
        if stop is None or order.stop_loss_price is None or position.stop_loss_price is None:
            yield "no stop"
            return
        risked = self.risk_pct * self.equity
        ordered = order.quantity / price if position.inverse else order.quantity
        if (price - stop) * sign * ordered > risked:
            yield f"the order loses {(price - stop) * sign * ordered} at its stop, not {risked}"
        whole = (position.entry_price - position.stop_loss_price) * position.base
        if whole > risked + DUST:
            yield f"the position loses {whole} at its stop, not {risked}"
        fraction = (order.price - order.stop_loss_price) * sign / order.price
        if (price - stop) * sign > fraction * price:
            yield f"the stop is {(price - stop) / price} away, the order's is {fraction}"
        if (price - order.stop_loss_price) * sign <= 0:
            yield f"filled at {price}, beyond the decision's stop {order.stop_loss_price}"
        if (position.mark_price - position.stop_loss_price) * sign <= 0:
            yield f"valued at {position.mark_price}, beyond its stop {position.stop_loss_price}"


def _is_entry(result: OrderResult) -> bool:
    return result.filled_quantity > 0 and not result.reduce_only
