"""Execution alone, for tests: approves, submits, ticks, and reads its own results back."""

from decimal import Decimal
from typing import Any

from services.kernel.events import (
    Alert,
    Event,
    Order,
    OrderResult,
    OrderStatus,
    Side,
)
from services.kernel.execution.stage import ExecutionStage
from tests import builders
from tests.builders import BTC, ETH, NOON, Number

FREE = {"SIM_HALF_SPREAD_PCT": "0", "SIM_IMPACT_PCT": "0"}
LATER = 100

Levels = list[tuple[Number, Number]]


class Broker:
    """The execution stage alone; what it publishes it reads back, as it would from the bus."""

    def __init__(self, settings: dict[str, str] | None = None, *symbols: str) -> None:
        self.stage = ExecutionStage()
        self.now = NOON
        self.alerts: list[Alert] = []
        self.others: list[Event] = []
        self.feed(builders.run_started(settings))
        known = map(builders.instrument, symbols or (BTC, ETH))
        self.feed(builders.instruments(*known))
        self.feed(builders.clock())

    def feed(self, event: Event) -> list[OrderResult]:
        outputs = self.stage.handle(event)
        results = builders.of_type(outputs, OrderResult)
        self.alerts += builders.of_type(outputs, Alert)
        self.others += [o for o in outputs if not isinstance(o, Alert | OrderResult)]
        for output in outputs:
            if output.TOPIC in self.stage.topics:
                results += self.feed(output)
        return results

    def submit(self, order: Order, *, approved: Number | bool | None = True) -> list[OrderResult]:
        """Risk approves the order, or a quantity of it, or nothing; then it comes."""
        if approved is not False:
            quantity = None if approved is True else approved
            self.feed(builders.decision(order, quantity=quantity))
        return self.feed(order)

    def trade(self, price: Number, after_ms: int = 0, symbol: str = BTC) -> list[OrderResult]:
        self.now += after_ms
        return self.feed(builders.trade(symbol, price, self.now, 1000))

    def quote(self, bid: Number | None, ask: Number | None, after_ms: int = 0) -> list[OrderResult]:
        self.now += after_ms
        return self.feed(builders.quote(BTC, bid, ask, self.now))

    def holds(self, quantity: Number, price: Number = 100) -> "Broker":
        """A position that came about earlier."""
        side = Side.BUY if Decimal(quantity) > 0 else Side.SELL
        self.stage.handle(builders.result(BTC, side, abs(Decimal(quantity)), price))
        self.stage.state.unconfirmed.clear()
        return self


class Exchange(Broker):
    """A `Broker` at 100 whose trades have the volume that the test gives them."""

    def __init__(self, settings: dict[str, str] | None = None) -> None:
        super().__init__(FREE | (settings or {}))
        self.trade(100)

    def prints(self, price: Number, volume: Number = 1000) -> list[OrderResult]:
        self.now += LATER
        return self.feed(builders.trade(BTC, price, self.now, volume))

    def book(self, bids: Levels, asks: Levels) -> list[OrderResult]:
        self.now += LATER
        return self.feed(builders.depth(BTC, bids, asks, self.now))

    def order(
        self, side: Side = Side.BUY, quantity: Number = 1, price: Number = 100, **terms: Any
    ) -> list[OrderResult]:
        return self.submit(builders.order(BTC, side, quantity, price, self.now, **terms))


def fills_of(results: list[OrderResult]) -> list[tuple[Decimal, Decimal | None, str | None]]:
    return [(r.filled_quantity, r.filled_price, r.liquidity) for r in results if r.filled_quantity]


def status_of(results: list[OrderResult]) -> list[tuple[OrderStatus, str | None]]:
    return [(result.status, result.reason) for result in results]


REJECTED, CANCELLED, FILLED = OrderStatus.REJECTED, OrderStatus.CANCELLED, OrderStatus.FILLED
