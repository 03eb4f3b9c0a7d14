"""One pass over a record with every check at once: the history checker."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec

from services.kernel.events import AnyEvent, RecordHead, topics
from services.kernel.events.codec import decode
from services.persistence import chain
from services.proof.validation.chain_check import ChainCheck
from services.proof.validation.envelopes import EnvelopeCheck
from services.proof.validation.findings import Findings, Rule
from services.proof.validation.margins import MarginCheck
from services.proof.validation.positions import PositionCheck
from services.proof.validation.stops import StopCheck
from services.proof.validation.trading import TradingCheck
from services.proof.validation.uncertainty import UncertaintyCheck
from services.record.reading import ChainLink, Record, Span

Progress = Callable[[int], None]
REPORT_EVERY: Final = 20_000
_TICKS: Final = frozenset({topics.MARKET_DATA, topics.CLOCK})


@dataclass(frozen=True, slots=True)
class Validated:
    """What a validation saw and found.

    Attributes:
        rows: Rows of the chain and ticks.
        chain_head: Chain hash behind the last row, hexadecimal.
        counts: Signals, decisions, orders, results, fills, compared snapshots.
        pending: What a run in progress has not answered yet.
        excused: What lies in a part that is recorded as lost.
    """

    rows: int
    span: Span
    chain_head: str
    counts: dict[str, int]
    pending: int
    excused: int
    findings: Findings

    def to_json(self) -> dict[str, Any]:
        """The figures, and the first findings."""
        return {
            "rows": self.rows,
            "from_seq": self.span.after + 1,
            "upto_seq": self.span.upto,
            "chain_head": self.chain_head,
            **self.counts,
            "pending": self.pending,
            "lost_and_named": self.excused,
            "findings": self.findings.total,
            "by_rule": {str(rule): n for rule, n in self.findings.by_rule.items()},
            "first_findings": [msgspec.to_builtins(finding) for finding in self.findings.first],
        }


class Head(NamedTuple):
    """A chain head that was noted elsewhere: in a log, on a status page, on paper.

    Attributes:
        seq: Where the record stood.
        chain_hash: Hexadecimal.
    """

    seq: int
    chain_hash: str


def validate(
    record: Record, span: Span, progress: Progress = lambda _: None, *, head: Head | None = None
) -> Validated:
    """Check a part of a record.

    Args:
        record: What is checked; read twice, the chain's rows first.
        span: From a ``run_started`` on, or the whole record.
        progress: Called with the number of rows read, now and then.
        head: What the record must contain.
    """
    return _Validation(record, span).run(progress, head)


class _Validation:
    def __init__(self, record: Record, span: Span) -> None:
        self._record = record
        self._span = span
        whole = record.whole()
        self.findings = findings = Findings()
        self._chain = ChainCheck(
            span,
            record.chain_hash_at(span.after),
            findings,
            whole_batches=span.after == whole.after,
        )
        self._envelopes = EnvelopeCheck(
            _named_causes(record, span), findings, from_beginning=span.after == 0
        )
        self._trading = TradingCheck(findings)
        self._positions = PositionCheck(findings)
        self._margins = MarginCheck(findings)
        self._stops = StopCheck(findings)
        self._uncertainty = UncertaintyCheck(findings)

    def run(self, progress: Progress, head: Head | None) -> Validated:
        rows = 0
        for row in self._record.rows(self._span):
            rows += 1
            if isinstance(row, ChainLink):
                self._see_link(row)
            else:
                self._see_tick(row)
            if rows % REPORT_EVERY == 0:
                progress(rows)
        progress(rows)
        if head is not None:
            self._chain.see_head(head.seq, head.chain_hash, "an earlier copy of the head")
        self._chain.finish()
        self._envelopes.finish(self._span.after + 1)
        self._trading.finish()
        self._uncertainty.finish(self._envelopes.seq_of)
        counts = self._trading.counts | {"snapshots": self._positions.snapshots}
        return Validated(
            rows=rows,
            span=self._span,
            chain_head=self._chain.head.hex(),
            counts=counts,
            pending=self._trading.pending,
            excused=self._trading.excused,
            findings=self.findings,
        )

    def _see_tick(self, body: bytes) -> None:
        self._chain.see_tick(body)
        event = self._decoded(body, None, None)
        if event is not None:
            if event.TOPIC not in _TICKS:
                message = f"a {event.TOPIC} event stands among the ticks"
                self.findings.add(Rule.SCHEMA, event.seq, event.event_id, message)
            self._see(event)

    def _see_link(self, link: ChainLink) -> None:
        self._chain.see_link(link)
        if link.kind == chain.TICK_BATCH:
            return
        event = self._decoded(link.body, link.seq, link.event_id)
        if event is None:
            return
        kind = str(type(event).__struct_config__.tag)
        if (event.seq, event.event_id, kind) != (link.seq, link.event_id, link.kind):
            message = f"its columns say {link.kind} {link.event_id} at {link.seq}, its text {kind}"
            self.findings.add(Rule.SCHEMA, link.seq, event.event_id, f"{message} at {event.seq}")
        if isinstance(event, RecordHead):
            source = f"the writer at {event.seq}"
            self._chain.see_head(event.committed_seq, event.chain_hash, source)
        self._see(event)

    def _see(self, event: AnyEvent) -> None:
        self._envelopes.see(event)
        self._positions.see(event)
        if event.TOPIC not in _TICKS:
            self._trading.see(event)
            self._margins.see(event)
            self._stops.see(event)
            self._uncertainty.see(event)

    def _decoded(self, body: bytes, seq: int | None, event_id: str | None) -> AnyEvent | None:
        try:
            event = decode(body)
        except msgspec.DecodeError as error:
            message = f"no event of this schema ({error}): {body[:120]!r}"
            self.findings.add(Rule.SCHEMA, seq, event_id, message)
            return None
        return event


class _Cause(msgspec.Struct):
    causation_id: str | None = None


_cause = msgspec.json.Decoder(_Cause)


def _named_causes(record: Record, span: Span) -> set[str]:
    """The ids that events name as their causes; few, compared with the ticks."""
    named: set[str] = set()
    for link in record.links(span):
        try:
            cause = _cause.decode(link.body).causation_id
        except msgspec.DecodeError:
            continue  # `_decoded` reports it
        if cause is not None:
            named.add(cause)
    return named
