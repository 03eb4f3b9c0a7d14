"""What became of a situation: everything that its expectations ask for, gathered as it happens."""

from collections import Counter
from decimal import Decimal
from typing import Final

from services.kernel.events import (
    Alert,
    AlertPhase,
    Event,
    Order,
    OrderResult,
    OrderStatus,
    RiskDecision,
    TradingState,
    TradingStateChanged,
    Verdict,
)
from services.kernel.portfolio.portfolio import Portfolio
from services.kernel.reasons import Reason

ZERO: Final = Decimal(0)


class Story:
    """Takes every event in its order, and answers afterwards.

    Args:
        portfolio: The orchestrator's fold, which sees the same events.

    Attributes:
        reasons: How often a decision, a result or a state change gave each reason.
        rejected: Entry signals that risk refused.
        offences: Orders and fills that would increase a position although the state forbade it, as
            state and what happened.
        trapped: Exits that risk refused although something was open.
        exits_while_closed: Exits that were decided while trading was not active.
    """

    def __init__(self, portfolio: Portfolio) -> None:
        self._portfolio = portfolio
        self._changes: dict[str | None, list[tuple[int, TradingState]]] = {}
        self._seq: dict[str, int] = {}
        self._open_exits: dict[str, RiskDecision] = {}
        self._positions: dict[str, Decimal] = {}
        self._filled = False
        self.account = TradingState.ACTIVE
        self.halts = self.releases = self.fills = self.entries = self.exits = 0
        self.approved = self.rejected = 0
        self.reasons: Counter[str] = Counter()
        self.alerts: Counter[str] = Counter()
        self.origins: Counter[str] = Counter()
        self.offences: list[tuple[TradingState, str]] = []
        self.trapped: list[str] = []
        self.exits_while_closed = 0
        self.max_exposure_pct = ZERO
        self.most_positions = 0

    def begin(self) -> None:
        """The next input event comes; causes lie in what it leads to."""
        self._seq.clear()
        if self._filled and self.equity > 0:
            exposure = self._portfolio.gross_exposure / self.equity
            self.max_exposure_pct = max(self.max_exposure_pct, exposure)
        self._filled = False

    def see(self, event: Event) -> None:
        """Take one event that was published."""
        self._seq[event.event_id] = event.seq
        match event:
            case TradingStateChanged():
                self._on_state(event)
            case RiskDecision():
                self._on_decision(event)
            case Order() if not event.reduce_only and event.approved_by is not None:
                self._note_offence(event, f"order {event.order_id[:8]}")
            case OrderResult():
                self._on_result(event)
            case Alert() if event.phase is AlertPhase.BEGAN:
                self.alerts[event.code] += 1

    @property
    def unfilled_exits(self) -> int:
        """Exits that were approved and not filled."""
        return len(self._open_exits)

    @property
    def equity(self) -> Decimal:
        """At the end, in quote."""
        return self._portfolio.equity

    @property
    def open_positions(self) -> int:
        """Positions that are open at the end."""
        return len(self._portfolio.state.positions)

    @property
    def max_drawdown_pct(self) -> Decimal:
        """Largest loss from the highest equity."""
        return self._portfolio.state.max_drawdown_pct

    @property
    def worst_day_pct(self) -> Decimal:
        """Largest loss within a UTC day."""
        return self._portfolio.state.worst_day_pct

    @property
    def funding(self) -> Decimal:
        """Received less paid, in quote."""
        return self._portfolio.state.funding

    def _on_state(self, event: TradingStateChanged) -> None:
        self._changes.setdefault(event.symbol, []).append((event.seq, event.state))
        self.reasons[event.reason] += event.state is not event.previous
        if event.symbol is None:
            was_halted = event.previous is TradingState.HALTED
            is_halted = event.state is TradingState.HALTED
            self.halts += is_halted and not was_halted
            self.releases += was_halted and not is_halted
            self.account = event.state

    def _on_decision(self, event: RiskDecision) -> None:
        if event.reason is not None:
            self.reasons[event.reason] += 1
        refused = event.verdict is Verdict.REJECTED
        if not event.reduce_only:
            self.rejected += refused
            self.approved += not refused
            return
        self.origins[event.origin] += not refused
        if refused:
            if event.reason != Reason.NOTHING_TO_REDUCE:
                self.trapped.append(f"{event.symbol}: {event.reason}")
            return
        assert event.order_id is not None, "an approved exit is ordered"
        self._open_exits[event.order_id] = event
        closed = [s for s in self._states(event) if s is not TradingState.ACTIVE]
        self.exits_while_closed += bool(closed)

    def _on_result(self, event: OrderResult) -> None:
        if event.reason is not None:
            self.reasons[event.reason] += 1
        if event.status is OrderStatus.FILLED or event.reason == Reason.NOTHING_TO_REDUCE:
            self._open_exits.pop(event.order_id, None)
        if not event.filled_quantity:
            return
        self.fills += 1
        before = self._positions.get(event.symbol, ZERO)
        after = before + event.filled_quantity * event.side.sign
        self._positions[event.symbol] = after
        if event.reduce_only:
            self.exits += 1
        else:
            self.entries += 1
            if abs(after) > abs(before):
                self._note_offence(event, f"fill of {event.symbol}")
        self.most_positions = max(
            self.most_positions, sum(1 for q in self._positions.values() if q)
        )
        self._filled = True

    def _note_offence(self, event: Order | OrderResult, what: str) -> None:
        for state in self._states(event):
            if state is not TradingState.ACTIVE:
                self.offences.append((state, what))

    def _states(self, event: RiskDecision | Order | OrderResult) -> tuple[TradingState, ...]:
        """The account's and the symbol's state when what caused this event was published."""
        cause = self._seq.get(event.causation_id or "", event.seq)
        found = []
        for scope in (None, event.symbol):
            known = [state for seq, state in self._changes.get(scope, ()) if seq < cause]
            found.append(known[-1] if known else TradingState.ACTIVE)
        return tuple(found)
