"""Whether stops hold what they promise: every fill of an entry held to what may be risked."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from services.kernel.events import Event, Order, OrderResult, OrderStatus, RunEnded, RunStarted
from services.kernel.settings.model import TradingSettings
from services.proof.validation.fill_ledger import ZERO, FillLedger
from services.proof.validation.findings import Findings, Rule

EQUITY: Final = "equity"
"""In a fill's arithmetic: the equity that its stop was set with."""
ALMOST: Final = Decimal("1E-6")
"""What losses may differ by because coins were rounded, in quote."""
_OPEN: Final = frozenset({OrderStatus.PENDING, OrderStatus.PARTIALLY_FILLED})


class StopCheck:
    """Computes what each filled entry loses at its stop, before costs, from the fills alone.

    Compared with `RISK_PER_TRADE_PCT` of equity are the whole order at this fill's price and the
    whole position; and the fill must lie before its stop and before the decision's. Fills that do
    not name the equity are of rules that promised less: they are not compared.

    Args:
        findings: Where to report.
    """

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._ledger = FillLedger()
        self._risk_pct = ZERO
        self._orders: dict[str, Order] = {}

    def see(self, event: Event) -> None:
        """Take the next event that is no tick."""
        self._ledger.see(event)
        if isinstance(event, Order):
            if not event.reduce_only:
                self._orders[event.order_id] = event
        elif isinstance(event, OrderResult):
            self._on_result(event)
        elif isinstance(event, RunStarted):
            self._risk_pct = TradingSettings.parse(event.settings)[0].risk_per_trade_pct
        elif isinstance(event, RunEnded):
            self._orders.clear()

    def _on_result(self, result: OrderResult) -> None:
        price = result.filled_price
        if price is not None and result.filled_quantity > 0:
            self._ledger.book(result, price)
            equity = result.fill.get(EQUITY)
            if not result.reduce_only and equity is not None:
                for fault in self._faults(result, price, self._risk_pct * equity):
                    message = f"order {result.order_id} is filled at {price}: {fault}"
                    self._findings.add(Rule.STOPS, result.seq, result.event_id, message)
        if result.status not in _OPEN:
            self._orders.pop(result.order_id, None)

    def _faults(self, result: OrderResult, price: Decimal, risked: Decimal) -> Iterator[str]:
        symbol, stop, sign = result.symbol, result.stop_loss_price, result.side.sign
        held = self._ledger.held.get(symbol)
        if held is None or held.quantity * sign < 0:
            return  # it only closed what was open the other way round
        if stop is None:
            yield "it has no stop"
            return
        if (price - stop) * sign <= 0:
            yield f"its stop {stop} is not beyond that price"
        order = self._orders.get(result.order_id)
        decided = None if order is None else order.stop_loss_price
        if decided is not None and (price - decided) * sign <= 0:
            yield f"the decision's stop {decided} is not beyond that price"
        lost = (price - stop) * sign * self._ledger.base(symbol, result.quantity, price)
        if lost > risked + ALMOST:
            yield f"the order loses {lost:f} at its stop {stop}; {risked:f} may be risked"
        coins = held.cost if self._ledger.is_inverse(symbol) else abs(held.quantity)
        paid = abs(held.quantity) if self._ledger.is_inverse(symbol) else held.cost
        lost = (paid - stop * coins) * sign
        if lost > risked + ALMOST:
            yield f"the position loses {lost:f} at its stop {stop}; {risked:f} may be risked"
