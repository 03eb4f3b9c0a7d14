"""Positions as a plain sum of fills, held to every portfolio snapshot."""

from decimal import Decimal
from typing import Final

from services.kernel.events import (
    AnyEvent,
    Clock,
    OrderResult,
    PortfolioSnapshot,
    RunEnded,
    RunStarted,
)
from services.proof.validation.findings import Findings, Rule

ZERO: Final = Decimal(0)
KEPT: Final = 200
"""Clocks that a snapshot may refer back to."""


class PositionCheck:
    """A ledger of fills beside the portfolio's fold.

    Args:
        findings: Where to report.

    Attributes:
        snapshots: How many were compared.
    """

    def __init__(self, findings: Findings) -> None:
        self.snapshots = 0
        self._findings = findings
        self._ledger: dict[str, Decimal] = {}
        self._at: dict[str, dict[str, Decimal]] = {}
        self._changed = True
        self._copy: dict[str, Decimal] = {}
        self._run_id = ""

    def see(self, event: AnyEvent) -> None:
        """Take the next event of any topic."""
        if isinstance(event, Clock | RunEnded):
            self._remember(event.event_id)
        elif isinstance(event, OrderResult):
            if event.filled_quantity:
                self._book(event.symbol, event.filled_quantity * event.side.sign)
        elif isinstance(event, PortfolioSnapshot):
            self._compare(event)
        elif isinstance(event, RunStarted):
            self._ledger = {p.symbol: p.quantity for p in event.account.positions if p.quantity}
            self._changed = True
            self._run_id = event.run_id

    def _book(self, symbol: str, signed: Decimal) -> None:
        quantity = self._ledger.get(symbol, ZERO) + signed
        if quantity:
            self._ledger[symbol] = quantity
        else:
            self._ledger.pop(symbol, None)
        self._changed = True

    def _remember(self, event_id: str) -> None:
        if self._changed:
            self._copy = dict(self._ledger)
            self._changed = False
        self._at[event_id] = self._copy
        if len(self._at) > KEPT:
            del self._at[next(iter(self._at))]

    def _compare(self, snapshot: PortfolioSnapshot) -> None:
        expected = self._at.get(snapshot.causation_id or "")
        if expected is None or snapshot.run_id != self._run_id:
            return
        self.snapshots += 1
        published = {position.symbol: position.quantity for position in snapshot.positions}
        if published != expected:
            message = f"positions are {_text(published)}, the fills sum to {_text(expected)}"
            self._findings.add(Rule.POSITIONS, snapshot.seq, snapshot.event_id, message)


def _text(quantities: dict[str, Decimal]) -> str:
    return ", ".join(f"{symbol} {quantity}" for symbol, quantity in quantities.items()) or "flat"
