"""Two sets of decisions on one market, compared signal by signal."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from services.kernel.events import RiskDecision
from services.kernel.events.codec import encode
from services.proof.what_if.rerun import Decided

KEPT = 1000


class Change(StrEnum):
    """How a decision differs, the weightiest that applies."""

    ONLY_BEFORE = "ONLY_BEFORE"
    ONLY_AFTER = "ONLY_AFTER"
    VERDICT = "VERDICT"
    QUANTITY = "QUANTITY"
    FIGURES = "FIGURES"


MEANINGS: Final = {
    Change.VERDICT: "another verdict or reason",
    Change.QUANTITY: "another quantity",
    Change.FIGURES: "the same verdict and quantity from other figures",
    Change.ONLY_BEFORE: "decided before and not after",
    Change.ONLY_AFTER: "decided after and not before",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One decision that is another one.

    Attributes:
        before, after: The decision on both sides; None where there is none.
    """

    change: Change
    before: RiskDecision | None
    after: RiskDecision | None

    @property
    def decision(self) -> RiskDecision:
        """Either of the two."""
        found = self.after or self.before
        assert found is not None
        return found


@dataclass(frozen=True, slots=True)
class Compared:
    """All differences.

    Attributes:
        same: Decisions that are equal, byte for byte.
        by_change: Differences by kind.
        differences: The first ones, in the order of time.
        first: The first that is more than other figures; else the first of all.
    """

    same: int
    by_change: Counter[Change]
    differences: list[Difference]
    first: Difference | None

    @property
    def differ(self) -> int:
        """How many differ."""
        return self.by_change.total()


def compare(before: Decided, after: Decided) -> Compared:
    """Compare decision by decision, each with the one that answers the same signal or tick."""
    same, by_change = 0, Counter[Change]()
    differences: list[Difference] = []
    for key in before.decisions.keys() | after.decisions.keys():
        ours, theirs = before.decisions.get(key), after.decisions.get(key)
        change = _change(ours, theirs)
        if change is None:
            same += 1
        else:
            by_change[change] += 1
            differences.append(Difference(change, ours, theirs))
    differences.sort(key=lambda d: (d.decision.timestamp, d.decision.event_id))
    weighty = (d for d in differences if d.change is not Change.FIGURES)
    first = next(weighty, differences[0] if differences else None)
    return Compared(same, by_change, differences[:KEPT], first)


def _change(before: RiskDecision | None, after: RiskDecision | None) -> Change | None:
    if before is None:
        return Change.ONLY_AFTER
    if after is None:
        return Change.ONLY_BEFORE
    if _text(before) == _text(after):
        return None
    if (before.verdict, before.reason) != (after.verdict, after.reason):
        return Change.VERDICT
    return Change.QUANTITY if before.quantity != after.quantity else Change.FIGURES


def _text(decision: RiskDecision) -> bytes:
    return encode(msgspec.structs.replace(decision, seq=0, topic_seq=0))
