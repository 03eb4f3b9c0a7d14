"""A watch over a total order: how far each fill at the market starts from its reference."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from services.kernel.events import Event, Order, OrderResult, Origin, RiskDecision

BPS = Decimal(10_000)


@dataclass
class FillDrift:
    """Basis points from the reference to the middle of the market at the fill; positive is against.

    The reference of a stop is the position's stop, that of all others the price decided at.

    Attributes:
        drifts: By ``entries``, ``exits`` and ``stops``, a figure for each fill.
    """

    drifts: dict[str, list[Decimal]] = field(default_factory=lambda: defaultdict(list))
    stops: dict[str, Decimal | None] = field(default_factory=dict)
    decided: dict[str, Decimal] = field(default_factory=dict)

    def watch(self, events: Iterable[Event]) -> "FillDrift":
        """Take all events of a run in their order."""
        for event in events:
            if isinstance(event, RiskDecision) and event.order_id is not None:
                if event.origin is Origin.STOP_LOSS:
                    self.stops[event.order_id] = event.stop_loss_price
            elif isinstance(event, Order):
                self.decided[event.order_id] = event.price
            elif isinstance(event, OrderResult) and event.filled_quantity:
                self._measure(event)
        return self

    def _measure(self, result: OrderResult) -> None:
        if "touch" not in result.fill:
            return
        sign = result.side.sign
        middle = result.fill["touch"] - result.fill["half_spread"] * sign
        kind = "exits" if result.reduce_only else "entries"
        reference = self.decided[result.order_id]
        if result.origin is Origin.STOP_LOSS:
            kind, stop = "stops", self.stops[result.order_id]
            assert stop is not None
            reference = stop
        self.drifts[kind].append((middle - reference) / reference * sign * BPS)

    @property
    def in_our_favour(self) -> int:
        """Fills that start at a better price than their reference."""
        return sum(drift < 0 for drifts in self.drifts.values() for drift in drifts)

    def mean(self, kind: str) -> Decimal:
        """The mean of one kind."""
        return sum(self.drifts[kind], Decimal(0)) / len(self.drifts[kind])
