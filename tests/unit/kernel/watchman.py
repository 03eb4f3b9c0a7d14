"""Watches what the stages publish, keeps its own books, and objects to what must never happen."""

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from services.kernel.events import (
    Event,
    Instruments,
    Order,
    OrderResult,
    OrderStatus,
    RiskDecision,
    Side,
    TradingState,
    TradingStateChanged,
    Verdict,
)
from services.kernel.portfolio.portfolio import Portfolio
from tests.unit.kernel.portfolio.reference_account import Account

OPEN = (OrderStatus.PENDING, OrderStatus.PARTIALLY_FILLED)
ZERO = Decimal(0)
CENT = Fraction(1, 10**8)
COST_QUANTUM = Fraction(1, 10**16)
"""A position's margin, a part of its cost, is rounded to this."""
"""Quantum of what is booked, in quote."""


@dataclass
class Working:
    """An order without a final result, as it was published."""

    order: Order
    left: Decimal


@dataclass
class Watchman:
    """Sees every event in its order.

    Args:
        accounts: A plain account for each symbol, all starting from nothing.
        start: Equity at the beginning.
        limit: Largest exposure over equity after an approval.
    """

    accounts: dict[str, Account]
    start: Decimal
    limit: Decimal
    fold: Portfolio
    fees: Decimal = ZERO
    fills: int = 0
    states: dict[str | None, list[tuple[int, TradingState]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    seq: dict[str, int] = field(default_factory=dict)
    approvals: dict[str, RiskDecision] = field(default_factory=dict)
    working: dict[str, Working] = field(default_factory=dict)
    positions: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    decisions: list[RiskDecision] = field(default_factory=list)
    universe: tuple[str, ...] | None = None

    def see(self, event: Event) -> None:
        """Take one published event; the fold has folded all before it."""
        self.books_balance()
        self.seq[event.event_id] = event.seq
        match event:
            case TradingStateChanged():
                self.states[event.symbol].append((event.seq, event.state))
            case RiskDecision():
                self._on_decision(event)
            case Instruments():
                self.universe = event.universe
            case Order() if event.approved_by is not None:
                self.working[event.order_id] = Working(event, event.quantity)
            case OrderResult():
                self._on_result(event)

    def books_balance(self) -> None:
        """Equity is start + realised + unrealised - fees + funding, after every event."""
        state = self.fold.state
        unrealised = sum((p.unrealised_profit for p in state.positions.values()), ZERO)
        assert state.unrealised_profit == unrealised
        reckoned = state.start_equity + state.realised_profit + unrealised
        assert state.equity == reckoned - state.fees + state.funding
        assert state.fees == self.fees

    def ledger_agrees(self) -> None:
        """Positions as the fills made them; money as a plain ledger has it, exactly if linear.

        No isolated position is worth less than minus its margin.
        """
        state = self.fold.state
        assert {s: q for s, q in self.positions.items() if q} == {
            symbol: position.quantity for symbol, position in state.positions.items()
        }
        profit, quantum = Fraction(0), Fraction(0)
        for symbol, account in self.accounts.items():
            position = state.positions.get(symbol)
            if position is not None:
                account.mark = Fraction(position.mark_price)
            profit += account.realised + account.unrealised
            least = account.least if account.size else None
            if least is not None and account.unrealised < least:
                profit += least - account.unrealised
                quantum += COST_QUANTUM
            if account.contract.inverse:
                # One quantum of a coin for every fill, worth what the coin is worth.
                quantum += (self.fills + 1) * CENT * account.mark
        equity = Fraction(self.start) + profit - Fraction(self.fees) + Fraction(state.funding)
        assert abs(equity - Fraction(state.equity)) <= quantum

    def settled(self, symbol: str, rate: Decimal, before: Decimal) -> None:
        """A settlement happened at the present mark price: once, rounded against the account."""
        position = self.fold.state.positions.get(symbol)
        paid = Fraction(self.fold.state.funding - before)
        if position is None:
            assert paid == 0
            return
        account = self.accounts[symbol]
        account.mark = Fraction(position.mark_price)
        account.funding = Fraction(0)
        account.settle(Fraction(rate))
        quantum = CENT + (CENT * account.mark if account.contract.inverse else 0)
        assert abs(paid - account.funding) <= quantum
        assert paid <= account.funding + (quantum - CENT)

    def _on_decision(self, decision: RiskDecision) -> None:
        self.decisions.append(decision)
        if decision.verdict is Verdict.REJECTED:
            return
        assert decision.order_id is not None
        assert decision.order_id not in self.approvals
        self.approvals[decision.order_id] = decision
        if decision.reduce_only:
            return
        assert decision.trading_state is TradingState.ACTIVE
        assert self.universe is None or decision.symbol in self.universe
        exposure = self._exposure_with(decision)
        assert exposure <= self.limit * decision.equity * Decimal("1.000000000001"), decision

    def _exposure_with(self, decision: RiskDecision) -> Decimal:
        """Notional of everything if all that waits and this entry were filled, the worst way."""
        waiting = [(w.order.symbol, w.order.side, w.left) for w in self.working.values()]
        waiting.append((decision.symbol, decision.side, decision.quantity))
        total = ZERO
        for symbol in {*self.positions, decision.symbol, *(s for s, _, _ in waiting)}:
            held = self.positions[symbol]
            sums = {
                side: sum((q for s, o, q in waiting if (s, o) == (symbol, side)), ZERO)
                for side in Side
            }
            worst = max(abs(held), abs(held + sums[Side.BUY]), abs(held - sums[Side.SELL]))
            if symbol == decision.symbol:
                worst = abs(held + sums[decision.side] * decision.side.sign)
            if self.accounts[symbol].contract.inverse:
                total += worst
                continue
            price = self.fold.mark_price(symbol)
            if symbol == decision.symbol:
                price = max(price or ZERO, decision.price or ZERO)
            total += worst * (price or ZERO)
        return total

    def _on_result(self, result: OrderResult) -> None:
        working = self.working.get(result.order_id)
        if result.filled_quantity:
            self._on_fill(result)
            assert working is not None
            working.left -= result.filled_quantity
            assert working.left >= 0
        if result.status not in OPEN and working is not None and not result.external:
            if result.reason == "NOT_APPROVED":  # an order by hand may bear any id
                return
            del self.working[result.order_id]

    def _on_fill(self, result: OrderResult) -> None:
        approval = self.approvals[result.order_id]
        assert (approval.symbol, approval.side) == (result.symbol, result.side)
        assert approval.reduce_only == result.reduce_only
        signed = result.filled_quantity * result.side.sign
        before = self.positions[result.symbol]
        after = before + signed
        if result.reduce_only:
            assert abs(after) < abs(before)
            assert before * after >= 0
        elif abs(after) > abs(before):
            cause = self.seq[result.causation_id or ""]
            assert self._state(None, cause) is TradingState.ACTIVE, result
            assert self._state(result.symbol, cause) is TradingState.ACTIVE, result
        self.positions[result.symbol] = after
        self.fees += result.fees
        self.fills += 1
        assert result.filled_price is not None
        self.accounts[result.symbol].fill(
            Fraction(signed), Fraction(result.filled_price), Fraction(0)
        )

    def _state(self, scope: str | None, seq: int) -> TradingState:
        known = [state for at, state in self.states[scope] if at < seq]
        return known[-1] if known else TradingState.ACTIVE
