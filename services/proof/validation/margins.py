"""Margin as a cap: a ledger of fills that shares nothing with the portfolio's fold."""

from decimal import Decimal
from typing import Final

from msgspec import Struct

from services.kernel.events import (
    AnyEvent,
    Instruments,
    OrderResult,
    PortfolioSnapshot,
    RunStarted,
)
from services.proof.validation.findings import Findings, Rule

ZERO: Final = Decimal(0)
ISOLATED: Final = "isolated"
ALMOST: Final = Decimal("1E-9")
"""What amounts may differ by because they were rounded, in settle currency."""


class _Held(Struct):
    """A signed quantity in the contract's unit, what it cost, and its leverage."""

    quantity: Decimal
    cost: Decimal
    leverage: Decimal


class MarginCheck:
    """Compares every closing fill with the margin of what it closes, and looks at every snapshot.

    With cross margin the account backs all positions: only its equity is looked at.

    Args:
        findings: Where to report.
    """

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._isolated = True
        self._held: dict[str, _Held] = {}
        self._inverse: dict[str, bool] = {}
        self._ticks: dict[str, Decimal] = {}

    def see(self, event: AnyEvent) -> None:
        """Take the next event that is no tick."""
        if isinstance(event, OrderResult):
            if event.filled_quantity > 0 and event.filled_price is not None:
                self._on_fill(event, event.filled_price)
        elif isinstance(event, PortfolioSnapshot):
            self._on_snapshot(event)
        elif isinstance(event, Instruments):
            for contract in event.instruments:
                self._inverse[contract.symbol] = contract.inverse
                self._ticks[contract.symbol] = contract.tick_size
        elif isinstance(event, RunStarted):
            self._on_run(event)

    def _on_run(self, run: RunStarted) -> None:
        self._isolated = (run.settings.get("MARGIN_MODE") or ISOLATED).lower() == ISOLATED
        self._held.clear()
        for opening in run.account.positions:
            self._inverse[opening.symbol] = opening.inverse
            cost = self._value(opening.symbol, abs(opening.quantity), opening.entry_price)
            self._held[opening.symbol] = _Held(opening.quantity, cost, opening.leverage)

    def _on_fill(self, fill: OrderResult, price: Decimal) -> None:
        symbol, left = fill.symbol, fill.filled_quantity
        held = self._held.get(symbol)
        if held is not None and held.quantity * fill.side.sign < 0:
            closed = min(left, abs(held.quantity))
            cost = held.cost * closed / abs(held.quantity)
            if self._isolated:
                self._compare(fill, held, closed, cost, price)
            left -= closed
            held.quantity += closed * fill.side.sign
            held.cost -= cost
            if not held.quantity:
                del self._held[symbol]
                held = None
        if not left:
            return
        if held is None:
            held = self._held[symbol] = _Held(ZERO, ZERO, fill.leverage)
        held.quantity += left * fill.side.sign
        held.cost += self._value(symbol, left, price)
        held.leverage = fill.leverage

    def _compare(
        self, fill: OrderResult, held: _Held, closed: Decimal, cost: Decimal, price: Decimal
    ) -> None:
        """The fill may lie one tick beyond the bankruptcy price: it is on a tick."""
        margin = cost / held.leverage
        best = price - self._ticks.get(fill.symbol, ZERO) * fill.side.sign
        lost = self._loss(fill, closed, cost, price)
        if best > 0 and self._loss(fill, closed, cost, best) > margin + ALMOST:
            message = (
                f"order {fill.order_id} closes {closed} {fill.symbol} at {price} with a loss of"
                f" {lost:f}; its margin was {margin:f}"
            )
            self._findings.add(Rule.MARGIN, fill.seq, fill.event_id, message)

    def _loss(self, fill: OrderResult, closed: Decimal, cost: Decimal, price: Decimal) -> Decimal:
        """In settle currency: quote, or base in an inverse contract."""
        lost = cost - self._value(fill.symbol, closed, price)
        was_long = fill.side.sign < 0
        return lost if was_long is not self._inverse.get(fill.symbol, False) else -lost

    def _value(self, symbol: str, quantity: Decimal, price: Decimal) -> Decimal:
        return quantity / price if self._inverse.get(symbol, False) else quantity * price

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
