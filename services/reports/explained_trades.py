"""Each closed position with its story: signal, decision, every layer, fills, exit."""

from collections.abc import Iterable
from typing import NamedTuple

from services.explain.figures import layer_line, number
from services.kernel.events import Order, OrderResult, RiskDecision, Signal, Verdict
from services.reports.round_trips import RoundTrip, round_trips
from services.reports.run_facts import RunFacts


class ExplainedTrade(NamedTuple):
    """A closed position and why it was opened and closed.

    Attributes:
        lines: The story, one fact a line.
    """

    trip: RoundTrip
    lines: tuple[str, ...]


def explained_trades(facts: RunFacts) -> list[ExplainedTrade]:
    """The closed positions of a run, in the order of their closing."""
    index = _Index(facts)
    return [ExplainedTrade(trip, tuple(index.story(trip))) for trip in round_trips(facts)]


class _Index:
    """A run's events by what asks for them."""

    def __init__(self, facts: RunFacts) -> None:
        self.signals: dict[str, Signal] = {signal.signal_id: signal for signal in facts.signals}
        self.decisions: dict[str, RiskDecision] = {
            decision.order_id: decision for decision in facts.decisions if decision.order_id
        }
        self.orders: dict[str, Order] = {order.order_id: order for order in facts.orders}
        self.fills: dict[str, list[OrderResult]] = {}
        for result in facts.results:
            if result.filled_quantity > 0:
                self.fills.setdefault(result.symbol, []).append(result)

    def story(self, trip: RoundTrip) -> Iterable[str]:
        """Lines about the opening orders, then about the closing ones."""
        inside = [
            fill
            for fill in self.fills[trip.symbol]
            if trip.opened_at <= fill.timestamp <= trip.closed_at and fill.side is trip.side
        ]
        for order_id in dict.fromkeys(fill.order_id for fill in inside):
            yield from self._order("Entry", order_id, layers=True)
        for order_id in trip.order_ids:
            yield from self._order("Exit", order_id, layers=False)

    def _order(self, what: str, order_id: str, *, layers: bool) -> Iterable[str]:
        decision = self.decisions.get(order_id)
        if decision is None:
            yield f"{what}: order {order_id[:12]}, whose decision is not in this run"
            return
        signal = self.signals.get(decision.signal_id or "")
        why = signal.reason if signal else decision.origin.value.replace("_", " ")
        yield f"{what}: {why} (order {order_id[:12]})"
        if decision.verdict is Verdict.TRIMMED:
            asked, got = number(decision.requested_quantity), number(decision.quantity)
            yield f"Trimmed by {decision.binding_limit}: {asked} asked, {got} ordered"
        if layers:
            for layer in decision.layers:
                yield f"Layer {layer.layer} {layer.name}: {layer_line(layer)}"


def fieldnames() -> tuple[str, ...]:
    """Columns of `rows`."""
    return (
        *("symbol", "side", "quantity", "entry_price", "exit_price", "opened_at_ms"),
        *("closed_at_ms", "net", "gross", "fees", "funding", "spread", "impact", "exit_reason"),
        "fills",
    )


def rows(facts: RunFacts) -> Iterable[tuple[str, ...]]:
    """The closed positions as rows of text, for a CSV file; money and prices as plain decimals."""
    for trip in round_trips(facts):
        yield (
            *(trip.symbol, trip.side.value, number(trip.quantity), number(trip.entry_price)),
            *(number(trip.exit_price), str(trip.opened_at), str(trip.closed_at)),
            *(number(trip.net), number(trip.gross), number(trip.fees), number(trip.funding)),
            *(number(trip.spread), number(trip.impact), trip.exit_reason, str(trip.fills)),
        )
