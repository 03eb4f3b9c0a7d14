"""A run's result from its facts: the same figures as `run_result` computes from the tables."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

from services.kernel.events import OrderStatus, Origin, TradingState, Verdict
from services.kernel.settings.model import TradingSettings
from services.reports.data_notes import SymbolData, notes_of
from services.reports.run_facts import RunFacts, SymbolFacts
from services.reports.run_result import (
    Decisions,
    PriceGap,
    RunResult,
    StateChange,
    why_no_signals,
)

ZERO = Decimal(0)


def result_of(facts: RunFacts) -> RunResult:
    """The result of a run that was watched from its beginning to its end."""
    last = facts.last
    changes = state_changes(facts)
    return RunResult(
        run_id=facts.run_id,
        ticks=facts.ticks,
        signals=len(facts.signals),
        decisions=decisions_by_verdict(facts),
        exits=sum(decision.signal_id is None for decision in facts.decisions),
        orders=sum(order.approved_by is not None for order in facts.orders),
        fills=sum(result.filled_quantity > 0 for result in facts.results),
        trades=len(facts.trades),
        rejected_orders=sum(result.status is OrderStatus.REJECTED for result in facts.results),
        equity_start=facts.start_equity,
        equity_end=facts.end_equity,
        max_drawdown_pct=last.max_drawdown_pct if last else ZERO,
        worst_day_pct=last.worst_day_pct if last else ZERO,
        halts=sum(change.state == TradingState.HALTED for change in changes),
        releases=sum(change.previous == TradingState.HALTED for change in changes),
        fees=last.fees if last else ZERO,
        last_seq=facts.last_seq,
        lost=0,
        duplicates=0,
        seconds=round(facts.seconds, 3),
        decisions_hash=facts.decisions_hash,
        state_changes=changes,
        price_gaps=tuple(price_gaps(facts)),
        notes=notes(facts),
    )


def decisions_by_verdict(facts: RunFacts) -> Decisions:
    """Risk's answers to signals."""
    answers = [decision for decision in facts.decisions if decision.signal_id is not None]
    verdicts = Counter(decision.verdict for decision in answers)
    rejected = Counter(
        decision.reason or "UNKNOWN" for decision in answers if decision.verdict is Verdict.REJECTED
    )
    return Decisions(
        verdicts[Verdict.APPROVED], verdicts[Verdict.TRIMMED], dict(sorted(rejected.items()))
    )


def state_changes(facts: RunFacts) -> tuple[StateChange, ...]:
    """The halts of the account, and their releases, in order."""
    return tuple(
        StateChange(
            at=change.timestamp,
            previous=change.previous.value,
            state=change.state.value,
            reason=change.reason,
            message=change.message,
            reset_reason=facts.resets.get(change.causation_id or ""),
        )
        for change in facts.states
        if change.symbol is None
        and TradingState.HALTED in (change.previous, change.state)
        and change.previous is not change.state
    )


def price_gaps(facts: RunFacts) -> Iterator[PriceGap]:
    """The exits that were triggered beyond their stop, in order of their fills."""
    stops = {
        decision.order_id: decision
        for decision in facts.decisions
        if decision.origin is Origin.STOP_LOSS and decision.order_id is not None
    }
    closed = {fill.event_id: fill.trade for fill in facts.trades}
    for result in facts.results:
        decision, filled = stops.get(result.order_id), result.filled_price
        if decision is None or filled is None or result.filled_quantity <= 0:
            continue
        stop, trigger = decision.stop_loss_price, result.fill.get("start", decision.price)
        if stop is None or trigger is None or trigger == stop:
            continue
        coins, trade = result.filled_quantity, closed.get(result.event_id)
        if facts.symbols[result.symbol].contract.inverse:
            coins /= trade.entry_price if trade is not None else decision.price or trigger
        yield PriceGap(
            at=result.timestamp,
            symbol=result.symbol,
            stop_loss_price=stop,
            trigger_price=trigger,
            filled_price=filled,
            gap_pct=abs(trigger - stop) / stop,
            loss=abs(trigger - stop) * coins,
        )


def notes(facts: RunFacts) -> tuple[str, ...]:
    """Why there was no signal, and what the data is too coarse for or lacks."""
    settings = TradingSettings.parse(facts.started.settings)[0]
    missing = (
        () if facts.signals else (why_no_signals(settings, facts.first_tick, facts.last_tick),)
    )
    known = [
        SymbolData(symbol, frozenset(market.kinds), market.newest, _usual_gap(market))
        for symbol, market in sorted(facts.symbols.items())
        if market.kinds
    ]
    return (*missing, *notes_of(known, settings))


def _usual_gap(market: SymbolFacts) -> int | None:
    """The median time between two points of bars, the lower one of two in the middle."""
    total, passed = sum(market.point_gaps.values()), 0
    for gap, times in sorted(market.point_gaps.items()):
        passed += times
        if passed * 2 >= total:
            return gap
    return None
