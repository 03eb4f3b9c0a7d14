"""What has happened in a run so far, counted: the funnel from ticks to trades."""

from decimal import Decimal

from msgspec import Struct, field

from services.kernel.events import (
    AnyEvent,
    MarketData,
    Order,
    OrderResult,
    OrderStatus,
    RiskDecision,
    Signal,
    TradingState,
    TradingStateChanged,
    Verdict,
)

ZERO = Decimal(0)


class Statistics(Struct, kw_only=True):
    """Counts of one run.

    received = approved + trimmed + rejected holds at every moment when ``undecided`` is 0.

    Attributes:
        ticks: Market data of every kind, backfill included; ``backfill`` is how many of them.
        signals: Reduce-only ones included.
        rejected: Signals refused by risk, by reason.
        exits: Orders that risk made of its own accord.
        orders: Approved orders; those posted by hand are ``external_orders``.
        trades: Fills that closed a position or a part of one.
    """

    ticks: int = 0
    backfill: int = 0
    signals: int = 0
    approved: int = 0
    trimmed: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    exits: int = 0
    orders: int = 0
    external_orders: int = 0
    fills: int = 0
    trades: int = 0
    rejected_orders: int = 0
    halts: int = 0
    releases: int = 0

    @property
    def undecided(self) -> int:
        """Signals that risk has not answered yet."""
        return self.signals - self.approved - self.trimmed - sum(self.rejected.values())

    def count(self, event: AnyEvent, position: Decimal) -> None:
        """Count one event.

        Args:
            event: Published, of any topic.
            position: Signed quantity open in the event's symbol before it; 0 where it has none.
        """
        match event:
            case MarketData():
                self.ticks += 1
                self.backfill += event.backfill
            case Signal():
                self.signals += 1
            case RiskDecision():
                self._decision(event)
            case Order():
                if event.approved_by is None:
                    self.external_orders += 1
                else:
                    self.orders += 1
            case OrderResult():
                self._result(event, position)
            # A further cause of a halt, and an answer to a command, change nothing.
            case TradingStateChanged() if event.symbol is None and event.state != event.previous:
                self.halts += event.state is TradingState.HALTED
                self.releases += event.previous is TradingState.HALTED

    def funnel(self) -> dict[str, int]:
        """From signals to trades, in that order."""
        return {
            "signals": self.signals,
            "approved": self.approved,
            "trimmed": self.trimmed,
            "rejected": sum(self.rejected.values()),
            "undecided": self.undecided,
            "exits": self.exits,
            "orders": self.orders,
            "fills": self.fills,
            "trades": self.trades,
            "rejected_orders": self.rejected_orders,
        }

    def _decision(self, event: RiskDecision) -> None:
        if event.signal_id is None:
            self.exits += event.verdict is not Verdict.REJECTED
        elif event.verdict is Verdict.APPROVED:
            self.approved += 1
        elif event.verdict is Verdict.TRIMMED:
            self.trimmed += 1
        else:
            reason = event.reason or "UNKNOWN"
            self.rejected[reason] = self.rejected.get(reason, 0) + 1

    def _result(self, event: OrderResult, position: Decimal) -> None:
        if event.filled_quantity > ZERO:
            self.fills += 1
            self.trades += position * event.side.sign < ZERO
        self.rejected_orders += event.status is OrderStatus.REJECTED
