"""The figures of one side of a replay: decisions by what was asked for, and what came of them."""

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from services.explain.answered import Answered
from services.kernel.events import Verdict
from services.proof.what_if.rerun import Decided


@dataclass(frozen=True, slots=True)
class Tally:
    """What was decided on one market, and what it came to. Money in quote.

    ``signals`` = entries + exits + undecided; ``decisions`` = entries + exits + own exits;
    ``orders`` = those approved or trimmed + own exits.

    Attributes:
        undecided: Signals without a decision yet, of a run in progress.
        entries, exits: Decisions on signals that open, and that only reduce.
        own_exits: Exits that risk made itself, by origin.
        orders: What was approved, whole or trimmed.
        equity, fees, max_drawdown_pct: Of the last snapshot; None before the first.
    """

    signals: int
    undecided: int
    entries: Answered
    exits: Answered
    own_exits: Counter[str]
    decisions: int
    orders: int
    fills: int
    equity: Decimal | None
    fees: Decimal | None
    max_drawdown_pct: Decimal | None

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values; decimals as text."""
        figures: dict[str, Any] = msgspec.to_builtins(self)
        return figures


def tally(decided: Decided) -> Tally:
    """Count one side."""
    entries, exits, own = Answered(), Answered(), Counter[str]()
    for decision in decided.decisions.values():
        if decision.signal_id is None:
            own[decision.origin.value] += 1
        else:
            kind = exits if decision.reduce_only else entries
            kind.add(decision.verdict, decision.reason)
    undecided = sum(signal not in decided.decisions for signal in decided.signals)
    last = decided.last
    return Tally(
        signals=entries.total + exits.total + undecided,
        undecided=undecided,
        entries=entries,
        exits=exits,
        own_exits=own,
        decisions=len(decided.decisions),
        orders=sum(d.verdict is not Verdict.REJECTED for d in decided.decisions.values()),
        fills=decided.fills,
        equity=last.equity if last else None,
        fees=last.fees if last else None,
        max_drawdown_pct=last.max_drawdown_pct if last else None,
    )
