"""What a validation found: which rule is broken, where, and how."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

KEPT: Final = 200
"""Findings that are kept word by word; all are counted."""


class Rule(StrEnum):
    """What must hold in every record. `MEANINGS` says it in words."""

    CHAIN = "CHAIN"
    TICKS = "TICKS"
    HEADS = "HEADS"
    SCHEMA = "SCHEMA"
    ORDER = "ORDER"
    COMPLETE = "COMPLETE"
    CAUSATION = "CAUSATION"
    ONE_DECISION = "ONE_DECISION"
    ONE_ORDER = "ONE_ORDER"
    APPROVED = "APPROVED"
    ONE_END = "ONE_END"
    FILLED_ONCE = "FILLED_ONCE"
    POSITIONS = "POSITIONS"
    MARGIN = "MARGIN"
    STOPS = "STOPS"
    NO_ENTRY_IN_DOUBT = "NO_ENTRY_IN_DOUBT"


MEANINGS: Final[dict[Rule, str]] = {
    Rule.CHAIN: "every row's chain hash follows from the row before it and its own text",
    Rule.TICKS: "every committed batch of ticks has the digest that the chain holds",
    Rule.HEADS: "the chain is what was said of it while it was written, and none of it is cut off",
    Rule.SCHEMA: "every row is an event of the schema, with the id and type its columns say",
    Rule.ORDER: "seq grows from row to row",
    Rule.COMPLETE: "each topic's numbers have no hole",
    Rule.CAUSATION: "what an event names as its cause is recorded before it",
    Rule.ONE_DECISION: "every signal has exactly one decision",
    Rule.ONE_ORDER: "every approved decision has exactly one order, as approved",
    Rule.APPROVED: "every order that was not refused was approved",
    Rule.ONE_END: "every order has exactly one final result",
    Rule.FILLED_ONCE: "no order is filled for more than its quantity",
    Rule.POSITIONS: "positions are the sum of the fills",
    Rule.MARGIN: "no isolated position loses more than its margin; equity is never below zero",
    Rule.STOPS: "no entry loses more than RISK_PER_TRADE_PCT of equity at its stop, before costs",
    Rule.NO_ENTRY_IN_DOUBT: "no entry was approved while trading was not active",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where a rule is broken.

    Attributes:
        seq: The row; None where it is missing.
        event_id: The event, as far as it is known.
    """

    rule: Rule
    seq: int | None
    event_id: str | None
    message: str


class Findings:
    """Collects findings.

    Attributes:
        by_rule: How many there are.
        first: The first ones, as they were met.
    """

    def __init__(self) -> None:
        self.by_rule: Counter[Rule] = Counter()
        self.first: list[Finding] = []

    def add(self, rule: Rule, seq: int | None, event_id: str | None, message: str) -> None:
        """Note one."""
        self.by_rule[rule] += 1
        if len(self.first) < KEPT:
            self.first.append(Finding(rule, seq, event_id, message))

    @property
    def total(self) -> int:
        """How many there are."""
        return self.by_rule.total()
