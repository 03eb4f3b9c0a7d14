"""The last few things that happened, for the status page."""

from collections import deque

import msgspec
from msgspec import Struct

from services.kernel.events import (
    Alert,
    AnyEvent,
    OrderResult,
    OrderStatus,
    RiskDecision,
    TradingStateChanged,
)

KEPT = 25


class Line(Struct, frozen=True):
    """One line of the page; ``at`` is event time in Unix milliseconds."""

    at: int
    what: str
    symbol: str | None
    text: str


class Recent:
    """The last decisions, results and alerts; the newest first."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[Line]] = {
            name: deque(maxlen=KEPT) for name in ("decisions", "results", "alerts")
        }

    def see(self, event: AnyEvent) -> None:
        """Keep it, if it is worth a line."""
        match event:
            case RiskDecision():
                why = event.reason or event.binding_limit or ""
                text = f"{event.side} {event.quantity.normalize():f} {why}".rstrip()
                self._add("decisions", event, event.verdict, event.symbol, text)
            case TradingStateChanged():
                text = f"{event.previous} -> {event.state}: {event.message}"
                self._add("alerts", event, event.reason, event.symbol, text)
            case OrderResult() if event.status is not OrderStatus.PENDING:
                price = f"at {event.filled_price}" if event.filled_price is not None else ""
                parts = (event.side, f"{event.filled_quantity:f}", price, event.reason or "")
                text = " ".join(part for part in parts if part)
                self._add("results", event, event.status, event.symbol, text)
            case Alert():
                self._add(
                    "alerts", event, f"{event.level} {event.code}", event.symbol, event.message
                )

    def lines(self) -> dict[str, list[dict[str, object]]]:
        """What is kept, JSON-able, by kind."""
        return {
            name: [msgspec.to_builtins(line) for line in reversed(lines)]
            for name, lines in self._lines.items()
        }

    def dump(self) -> dict[str, list[Line]]:
        """What is kept, oldest first."""
        return {name: list(lines) for name, lines in self._lines.items()}

    def load(self, lines: dict[str, list[Line]]) -> None:
        """Become what ``dump`` gave."""
        for name, kept in self._lines.items():
            kept.clear()
            kept.extend(lines.get(name, ()))

    def _add(self, kind: str, event: AnyEvent, what: str, symbol: str | None, text: str) -> None:
        self._lines[kind].append(Line(event.timestamp, what, symbol, text))
