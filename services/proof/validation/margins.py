"""Margin as a cap, held to every closing fill and every snapshot."""

from decimal import Decimal
from typing import Final

from services.kernel.events import Event, OrderResult, PortfolioSnapshot, RunStarted
from services.proof.validation.fill_ledger import ZERO, Closed, FillLedger
from services.proof.validation.findings import Findings, Rule

ISOLATED: Final = "isolated"
ALMOST: Final = Decimal("1E-9")
"""What amounts may differ by because they were rounded, in settle currency."""


class MarginCheck:
    """Compares every closing fill with the margin of what it closes, and looks at every snapshot.

    With cross margin the account backs all positions: only its equity is looked at.

    Args:
        findings: Where to report.
    """

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._isolated = True
        self._ledger = FillLedger()

    def see(self, event: Event) -> None:
        """Take the next event that is no tick."""
        self._ledger.see(event)
        if isinstance(event, OrderResult):
            if event.filled_quantity > 0 and event.filled_price is not None:
                closed = self._ledger.book(event, event.filled_price)
                if closed is not None and self._isolated:
                    self._compare(event, closed, event.filled_price)
        elif isinstance(event, PortfolioSnapshot):
            self._on_snapshot(event)
        elif isinstance(event, RunStarted):
            self._isolated = (event.settings.get("MARGIN_MODE") or ISOLATED).lower() == ISOLATED

    def _compare(self, fill: OrderResult, closed: Closed, price: Decimal) -> None:
        """The fill may lie one tick beyond the bankruptcy price: it is on a tick."""
        margin = closed.cost / closed.leverage
        best = price - self._ledger.tick_sizes.get(fill.symbol, ZERO) * fill.side.sign
        lost = self._loss(fill, closed, price)
        if best > 0 and self._loss(fill, closed, best) > margin + ALMOST:
            message = (
                f"order {fill.order_id} closes {closed.quantity} {fill.symbol} at {price} with a"
                f" loss of {lost:f}; its margin was {margin:f}"
            )
            self._findings.add(Rule.MARGIN, fill.seq, fill.event_id, message)

    def _loss(self, fill: OrderResult, closed: Closed, price: Decimal) -> Decimal:
        """In settle currency: quote, or base in an inverse contract."""
        lost = closed.cost - self._ledger.value(fill.symbol, closed.quantity, price)
        was_long = fill.side.sign < 0
        return lost if was_long is not self._ledger.is_inverse(fill.symbol) else -lost

    def _on_snapshot(self, snapshot: PortfolioSnapshot) -> None:
        if snapshot.equity < 0:
            message = f"equity is {snapshot.equity}"
            self._findings.add(Rule.MARGIN, snapshot.seq, snapshot.event_id, message)
        if not self._isolated:
            return
        for view in snapshot.positions:
            if view.margin and view.unrealised_profit < -view.margin - ALMOST:
                message = (
                    f"{view.symbol} is valued at {view.unrealised_profit}; its margin is"
                    f" {view.margin}"
                )
                self._findings.add(Rule.MARGIN, snapshot.seq, snapshot.event_id, message)
