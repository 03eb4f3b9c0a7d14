"""Closed positions: all fills that closed one position are one trade."""

from decimal import Decimal
from typing import NamedTuple

from services.kernel.events import Side
from services.kernel.portfolio.portfolio import ClosedTrade
from services.reports.run_facts import RunFacts

ZERO = Decimal(0)


class RoundTrip(NamedTuple):
    """A position from its opening to the last fill that closed a part of it; money in quote.

    Attributes:
        side: BUY for a long position.
        quantity: Closed, in the contract's unit.
        entry_price, exit_price: Averages.
        net: After fees and funding.
        gross: From the prices of the fills.
        spread, impact: Costs contained in ``gross``.
        exit_reason: Of the last closing fill.
        fills: How many fills closed it.
        order_ids: Of the closing orders, in order.
    """

    symbol: str
    side: Side
    quantity: Decimal
    entry_price: Decimal
    exit_price: Decimal
    opened_at: int
    closed_at: int
    net: Decimal
    gross: Decimal
    fees: Decimal
    funding: Decimal
    spread: Decimal
    impact: Decimal
    exit_reason: str
    fills: int
    order_ids: tuple[str, ...]


def round_trips(facts: RunFacts) -> list[RoundTrip]:
    """The closed positions of a run, by the time of their last closing fill.

    What is still open is left out; of a position closed in part, the closed part counts.
    """
    grouped: dict[tuple[str, int, Side], list[ClosedTrade]] = {}
    for fill in facts.trades:
        trade = fill.trade
        grouped.setdefault((trade.symbol, trade.opened_at, trade.side), []).append(trade)
    trips = [_joined(facts, parts) for parts in grouped.values()]
    return sorted(trips, key=lambda trip: (trip.closed_at, trip.symbol))


def _joined(facts: RunFacts, parts: list[ClosedTrade]) -> RoundTrip:
    last = parts[-1]
    inverse = facts.symbols[last.symbol].contract.inverse
    quantity = _total(parts, "quantity")
    fees = _total(parts, "fees_open") + _total(parts, "fees_close")
    return RoundTrip(
        symbol=last.symbol,
        side=last.side,
        quantity=quantity,
        entry_price=_average([(p.quantity, p.entry_price) for p in parts], inverse=inverse),
        exit_price=_average([(p.quantity, p.exit_price) for p in parts], inverse=inverse),
        opened_at=last.opened_at,
        closed_at=last.closed_at,
        net=sum((part.profit_loss for part in parts), ZERO),
        gross=_total(parts, "gross_profit"),
        fees=fees,
        funding=_total(parts, "funding"),
        spread=_total(parts, "spread_cost"),
        impact=_total(parts, "impact_cost"),
        exit_reason=last.exit_reason,
        fills=len(parts),
        order_ids=tuple(dict.fromkeys(part.order_id for part in parts)),
    )


def _total(parts: list[ClosedTrade], name: str) -> Decimal:
    return sum((getattr(part, name) for part in parts), ZERO)


def _average(priced: list[tuple[Decimal, Decimal]], *, inverse: bool) -> Decimal:
    """The average price; an inverse contract's quantity is in quote, so its coins are weighed."""
    quantity = sum((amount for amount, _ in priced), ZERO)
    if inverse:
        return quantity / sum((amount / price for amount, price in priced), ZERO)
    return sum((amount * price for amount, price in priced), ZERO) / quantity
