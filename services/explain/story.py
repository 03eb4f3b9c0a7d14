"""The story of one event as a tree: what caused it, what was decided, what became of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec

from services.explain import narration
from services.explain.archive import Archive
from services.explain.figures import number
from services.kernel.events import (
    AnyEvent,
    Order,
    OrderResult,
    PortfolioSnapshot,
    RiskDecision,
    Signal,
)


@dataclass(slots=True)
class Node:
    """One event of a story.

    Attributes:
        title: What it is, in a few words.
        lines: The figures behind it.
        event: As it was recorded; None where it was not found.
        subject: Whether this is what was asked for.
        children: What it led to.
    """

    title: str
    lines: list[str]
    event: AnyEvent | None
    subject: bool = False
    children: list["Node"] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The node and all below it as JSON values."""
        event = None if self.event is None else msgspec.to_builtins(self.event)
        return {
            "title": self.title,
            "lines": self.lines,
            "subject": self.subject,
            "event": event,
            "children": [child.to_json() for child in self.children],
        }


def event_tree(archive: Archive, subject: AnyEvent) -> Node:
    """The whole story that an event belongs to.

    Args:
        archive: Where it is recorded.
        subject: Any event.

    Returns:
        The tree, from the market's event that began it.
    """
    return _Teller(archive, subject).report()


class _Teller:
    def __init__(self, archive: Archive, subject: AnyEvent) -> None:
        self._archive = archive
        self._subject = subject

    def report(self) -> Node:
        events = self._events()
        nodes = {event.event_id: self._node(event) for event in events}
        roots: list[Node] = []
        for event in events:
            parent = nodes.get(_parent_of(event, events) or "")
            node = nodes[event.event_id]
            if parent is not None and parent is not node:
                parent.children.append(node)
            else:
                roots.append(node)
        return self._under_cause(roots, events)

    def _events(self) -> list[AnyEvent]:
        """What belongs to the story, by seq: one signal's, or what one tick led risk to."""
        subject = self._subject
        if subject.correlation_id is not None:
            events = self._archive.story_of(subject.correlation_id)
        else:
            events = [subject]
            if isinstance(subject, RiskDecision | Order | OrderResult):
                events = self._own_exit(subject)
        if all(event.event_id != subject.event_id for event in events):
            events.append(subject)
        return sorted(events, key=lambda event: event.seq)

    def _own_exit(self, subject: RiskDecision | Order | OrderResult) -> list[AnyEvent]:
        """Risk's own exit has no signal: decision and order come from one tick."""
        order = self._archive.event(subject.order_id)
        if order is None:
            return [subject]
        found = self._archive.effects_of(order.causation_id or "")
        found = [e for e in found if getattr(e, "order_id", None) == subject.order_id]
        results = self._archive.results_of(str(subject.order_id))
        return [*found, *results]

    def _under_cause(self, roots: list[Node], events: list[AnyEvent]) -> Node:
        first = events[0]
        cause = self._archive.event(first.causation_id) or self._archive.tick(
            first.causation_id, first
        )
        if cause is None and len(roots) == 1:
            return roots[0]
        if cause is None:
            return Node("not caused by a recorded event", [], None, children=roots)
        node = self._node(cause)
        node.children = roots
        return node

    def _node(self, event: AnyEvent) -> Node:
        title, lines = narration.figures_of(event)
        if isinstance(event, OrderResult) and event.filled_quantity > 0:
            lines = [*lines, *self._effect(event)]
        subject = event.event_id == self._subject.event_id
        return Node(title, [*lines, narration.place(event)], event, subject=subject)

    def _effect(self, result: OrderResult) -> list[str]:
        """What a fill did to the portfolio."""
        before = self._position_before(result)
        signed = result.filled_quantity * result.side.sign
        lines = []
        if before is not None:
            after = before + signed
            lines.append(
                f"position {number(before)} {'+' if signed > 0 else '-'}"
                f" {number(abs(signed))} = {number(after)} {result.symbol}"
            )
        trades = self._archive.trades_of(result.order_id)
        return lines + [narration.trade_line(trade) for trade in trades]

    def _position_before(self, result: OrderResult) -> Decimal | None:
        """From the last snapshot and the fills since its clock."""
        snapshot = self._archive.snapshot_before(result)
        if snapshot is None:
            return sum(self._signed(self._archive.fills_between(result, 0), result), Decimal(0))
        clock = self._archive.tick(snapshot.causation_id, snapshot)
        if clock is None:
            return None
        fills = self._archive.fills_between(result, clock.seq)
        return _held(snapshot, result.symbol) + sum(self._signed(fills, result), Decimal(0))

    @staticmethod
    def _signed(fills: Iterable[OrderResult], result: OrderResult) -> Iterable[Decimal]:
        return (f.filled_quantity * f.side.sign for f in fills if f.symbol == result.symbol)


def _held(snapshot: PortfolioSnapshot, symbol: str) -> Decimal:
    return sum((p.quantity for p in snapshot.positions if p.symbol == symbol), Decimal(0))


def _parent_of(event: AnyEvent, events: list[AnyEvent]) -> str | None:
    """Whose child an event is, for a reader: results under their order, orders under approval."""
    if isinstance(event, OrderResult):
        return _first(events, Order, "order_id", event.order_id) or event.causation_id
    if isinstance(event, Order):
        return _first(events, RiskDecision, "order_id", event.order_id) or event.causation_id
    if isinstance(event, RiskDecision) and event.signal_id:
        return _first(events, Signal, "signal_id", event.signal_id) or event.causation_id
    return event.causation_id


def _first(events: list[AnyEvent], kind: type, name: str, value: str) -> str | None:
    for event in events:
        if isinstance(event, kind) and getattr(event, name) == value:
            return event.event_id
    return None
