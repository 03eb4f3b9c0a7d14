"""What trading must conserve: one decision a signal, one order an approval, one end an order."""

from decimal import Decimal
from typing import Final

from msgspec import Struct

from services.kernel.events import (
    AnyEvent,
    Order,
    OrderResult,
    OrderStatus,
    Origin,
    Recovered,
    RiskDecision,
    RunEnded,
    RunStarted,
    Signal,
    Verdict,
)
from services.kernel.reasons import Reason
from services.kernel.risk.state.recent_ids import RecentIds
from services.proof.validation.findings import Findings, Rule

ZERO: Final = Decimal(0)
_OPEN: Final = frozenset({OrderStatus.PENDING, OrderStatus.PARTIALLY_FILLED})


class _Open(Struct):
    """An order that has not ended."""

    order: Order
    filled: Decimal = ZERO


class TradingCheck:
    """Follows every signal to its end.

    Args:
        findings: Where to report.

    Attributes:
        counts: Signals, decisions, orders, results and fills that were seen.
        pending: What a run in progress has not answered yet.
        excused: What lies in a part that is recorded as lost.
    """

    def __init__(self, findings: Findings) -> None:
        self.counts = dict.fromkeys(("signals", "decisions", "orders", "results", "fills"), 0)
        self.pending = 0
        self.excused = 0
        self._findings = findings
        self._run_open = False
        self._undecided: dict[str, Signal] = {}
        self._unordered: dict[str, RiskDecision] = {}
        self._decided = RecentIds()
        self._ordered: set[str] = set()
        self._ended: set[str] = set()
        self._open: dict[str, _Open] = {}
        self._may_be_lost: set[str] = set()

    def see(self, event: AnyEvent) -> None:
        """Take the next event that is no tick."""
        if isinstance(event, Signal):
            self.counts["signals"] += 1
            self._undecided[event.event_id] = event
        elif isinstance(event, RiskDecision):
            self._on_decision(event)
        elif isinstance(event, Order):
            self._on_order(event)
        elif isinstance(event, OrderResult):
            self._on_result(event)
        elif isinstance(event, RunStarted):
            self._run_open = True
            self._decided = RecentIds()
        elif isinstance(event, RunEnded):
            self._run_open = False
        elif isinstance(event, Recovered):
            # Answers to what is recorded are made again; those that nobody could make again never.
            self._may_be_lost.update(self._undecided, self._unordered, self._open)

    def finish(self) -> None:
        """All were seen; only a run in progress may leave something open."""
        undecided = [s for s in self._undecided.values() if not self._is_excused(s.event_id)]
        unordered = [d for name, d in self._unordered.items() if not self._is_excused(name)]
        unended = [e.order for e in self._open.values() if not self._is_excused(e.order.order_id)]
        if self._run_open:
            self.pending = len(undecided) + len(unordered) + len(unended)
            return
        for signal in undecided:
            message = f"signal {signal.signal_id} has no decision"
            self._findings.add(Rule.ONE_DECISION, signal.seq, signal.event_id, message)
        for decision in unordered:
            self._no_order(decision)
        for order in unended:
            message = f"order {order.order_id} has no final result"
            self._findings.add(Rule.ONE_END, order.seq, order.event_id, message)

    def _is_excused(self, answered_by: str) -> bool:
        """Whether the answer that will not come lies in a part that is recorded as lost."""
        excused = answered_by in self._may_be_lost
        self.excused += excused
        return excused

    def _on_decision(self, decision: RiskDecision) -> None:
        self.counts["decisions"] += 1
        self._overtaken(decision)
        if decision.signal_id is not None:
            self._decide(decision, decision.signal_id)
        if decision.verdict is not Verdict.REJECTED and decision.order_id is not None:
            self._unordered[decision.order_id] = decision

    def _decide(self, decision: RiskDecision, signal_id: str) -> None:
        known = self._undecided.pop(decision.causation_id or "", None) is not None
        first = self._decided.add(signal_id)
        refused = decision.reason == Reason.DUPLICATE_SIGNAL
        if known and first is not refused:
            return
        if first and refused:
            message = f"signal {signal_id} is refused as a duplicate, and is the first of its id"
        elif first:
            message = f"signal {signal_id} is decided and is not recorded"
        else:
            message = f"signal {signal_id} is decided a second time"
        self._findings.add(Rule.ONE_DECISION, decision.seq, decision.event_id, message)

    def _overtaken(self, decision: RiskDecision) -> None:
        """Risk answers in order: what it has passed over gets no answer any more."""
        answered = self._undecided.get(decision.causation_id or "")
        if answered is not None:
            for signal in [s for s in self._undecided.values() if s.seq < answered.seq]:
                if not self._is_excused(signal.event_id):
                    message = f"signal {signal.signal_id} has no decision, and later ones have"
                    self._findings.add(Rule.ONE_DECISION, signal.seq, signal.event_id, message)
                del self._undecided[signal.event_id]
        passed = [d for d in self._unordered.values() if d.causation_id != decision.causation_id]
        for earlier in passed:
            order_id = str(earlier.order_id)
            if not self._is_excused(order_id):
                self._no_order(earlier)
            del self._unordered[order_id]

    def _no_order(self, decision: RiskDecision) -> None:
        message = f"decision {decision.decision_id} approved an order that was never published"
        self._findings.add(Rule.ONE_ORDER, decision.seq, decision.event_id, message)

    def _on_order(self, order: Order) -> None:
        self.counts["orders"] += 1
        if order.external:
            return  # execution refuses it on the record; `_on_result` sees to that
        decision = self._unordered.pop(order.order_id, None)
        if decision is None:
            again = "is published a second time" if order.order_id in self._ordered else ""
            message = f"order {order.order_id} {again or 'was approved by no decision'}"
            rule = Rule.ONE_ORDER if again else Rule.APPROVED
            self._findings.add(rule, order.seq, order.event_id, message)
        elif (order.symbol, order.side, order.quantity, order.reduce_only) != (
            decision.symbol,
            decision.side,
            decision.quantity,
            decision.reduce_only,
        ):
            message = (
                f"order {order.order_id} is {order.side} {order.quantity} {order.symbol}, approved"
                f" was {decision.side} {decision.quantity} {decision.symbol}"
            )
            self._findings.add(Rule.ONE_ORDER, order.seq, order.event_id, message)
        self._ordered.add(order.order_id)
        self._may_be_lost.discard(order.order_id)
        self._open[order.order_id] = _Open(order)

    def _on_result(self, result: OrderResult) -> None:
        self.counts["results"] += 1
        filled = result.filled_quantity > 0
        self.counts["fills"] += filled
        foreign = result.origin is Origin.EXTERNAL or result.reason == Reason.DUPLICATE_ORDER
        if foreign:
            if filled:
                message = f"order {result.order_id} was filled without approval"
                self._findings.add(Rule.APPROVED, result.seq, result.event_id, message)
            return
        entry = self._open.get(result.order_id)
        if entry is None:
            ended = result.order_id in self._ended
            detail = "has ended before" if ended else "is not recorded"
            message = f"result {result.status} for order {result.order_id}, which {detail}"
            self._findings.add(Rule.ONE_END, result.seq, result.event_id, message)
            return
        entry.filled += result.filled_quantity
        if entry.filled > entry.order.quantity:
            message = (
                f"order {result.order_id} of {entry.order.quantity} is filled for {entry.filled}"
            )
            self._findings.add(Rule.FILLED_ONCE, result.seq, result.event_id, message)
        if result.status not in _OPEN:
            del self._open[result.order_id]
            self._ended.add(result.order_id)
