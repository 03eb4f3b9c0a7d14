"""What a stack's record shows after the faults: nothing lost, nothing doubled, nothing diverging.

Three witnesses that know nothing of each other: the generated market itself, made again here from
its seed and compared with the recorded ticks one by one; the history checker of ``claire
validate``; and the re-execution of ``claire verify``.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import psycopg

from services.cdb_ws.sources.synthetic import Synthetic
from services.kernel.events import Clock, Instruments, MarketData, Recovered, RunStarted, topics
from services.kernel.events.codec import decode
from services.proof.validation import validation
from services.proof.verification import report
from services.proof.verification.reexecution import reexecute
from services.record.database import DatabaseRecord
from services.record.reading import Record, Span
from tests.e2e.stack import Stack

_ORDERS: Final = """
    SELECT count(*) FROM events e LEFT JOIN orders o ON o.event_id = e.event_id
    WHERE e.type = 'order' AND o.order_id IS NULL
      AND e.seq <= (SELECT seq FROM execution_cursor)
"""
"""Published orders without a row of their own, as far as execution's tables have come."""
_GHOSTS: Final = """
    SELECT count(*) FROM orders o LEFT JOIN events e ON e.event_id = o.event_id
    WHERE e.event_id IS NULL
"""
"""Orders that have a row, and that nobody recorded."""


@dataclass(slots=True)
class Inspection:
    """What was found between two seqs.

    Attributes:
        span: What was looked at.
        ticks: Recorded events of the market.
        lost: Ticks of the market, and outputs of stages, that are not recorded, without an excuse.
        named: Ticks that are not recorded and lie in a part that ``recovered`` names. Outputs have
            no such excuse: their stage makes them again.
        doubled: Ticks and outputs that are recorded more than once.
        divergences: Outputs that the stages make differently from the same input.
        findings: Broken rules of the history checker, and the first ones in words.
        decisions: Outputs that were compared.
        counts: Signals, decisions, orders, results, fills.
    """

    span: Span
    ticks: int = 0
    lost: int = 0
    named: int = 0
    doubled: int = 0
    divergences: int = 0
    findings: int = 0
    decisions: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether everything is as it must be."""
        return not (self.lost or self.doubled or self.divergences or self.findings)


def inspect(stack: Stack) -> Inspection:
    """Look at the whole record of a stack, up to its last complete point."""
    with psycopg.connect(
        host="127.0.0.1",
        port=stack.port("cdb_postgres"),
        dbname="claire_de_binare",
        user="claire_user",
        password=stack.env["POSTGRES_PASSWORD"],
        connect_timeout=10,
    ) as connection:
        record = DatabaseRecord(connection)
        try:
            row = connection.execute(_ORDERS).fetchone()
            found = _inspect(record)
            if row and row[0]:
                found.lost += int(row[0])
                found.words.append(f"{row[0]} orders have no row in `orders`")
            row = connection.execute(_GHOSTS).fetchone()
            if row and row[0]:
                found.doubled += int(row[0])
                found.words.append(f"{row[0]} rows of `orders` are of no recorded order")
            return found
        finally:
            record.close()


def _inspect(record: Record) -> Inspection:
    span = record.whole()
    found = Inspection(span)
    _compare_market(record, found)
    validated = validation.validate(record, span)
    found.findings = validated.findings.total
    found.counts = dict(validated.counts)
    found.words += [f"{f.rule} at {f.seq}: {f.message}" for f in validated.findings.first[:10]]
    again = reexecute(record.bodies(span))
    found.decisions = sum(again.comparison.compared.values())
    found.divergences = again.comparison.divergences
    if again.comparison.excused:
        found.lost += again.comparison.excused
        found.words.append(f"{again.comparison.excused} outputs were lost and not made again")
    if again.comparison.first is not None:
        shown: dict[str, Any] = report.to_json(again, record, span)["first_divergence"]
        found.words.append(f"divergence: {shown}"[:3000])
    return found


def _compare_market(record: Record, found: Inspection) -> None:
    """Hold the recorded ticks to the market, which anybody can make again from its seed."""
    expected: Iterator[str] = iter(())
    seen: Counter[str] = Counter()
    recovered = False
    for body in record.bodies(found.span):
        event = decode(body)
        if isinstance(event, RunStarted):
            expected = _market(event)
        elif isinstance(event, Recovered):
            recovered = True
        elif isinstance(event, Clock | MarketData | Instruments) and event.producer == topics.WS:
            seen[event.event_id] += 1
            found.ticks += 1
            if seen[event.event_id] > 1:
                found.doubled += 1
                found.words.append(f"tick {event.event_id} at {event.seq} is recorded again")
                continue
            missing = _count_until(expected, event.event_id)
            if missing and recovered:
                found.named += missing
            elif missing:
                found.lost += missing
                found.words.append(f"{missing} ticks are missing before {event.seq}")
            recovered = False


def _count_until(expected: Iterator[str], event_id: str) -> int:
    for skipped, wanted in enumerate(expected):
        if wanted == event_id:
            return skipped
        assert skipped < 1_000_000, f"the market never makes the recorded tick {event_id}"
    raise AssertionError("the market has ended")


def _market(run: RunStarted) -> Iterator[str]:
    symbols = run.settings.get("SYMBOL_WHITELIST", "").replace(",", " ").split()
    look_back = int(run.settings["LOOKBACK_MINUTES"])
    market = Synthetic(run.run_id, run.seed, symbols, look_back)
    return (event.event_id for _, event in market.steps(0))


def to_json(found: Inspection) -> dict[str, Any]:
    """The figures."""
    built: dict[str, Any] = msgspec.to_builtins(found)
    return built
