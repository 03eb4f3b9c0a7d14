"""Hand-written stages for tests of the bus: little thinking, and every output shows its past."""

from collections import deque
from collections.abc import Callable, Iterable
from decimal import Decimal
from hashlib import sha256
from typing import Any

import msgspec

from services.kernel.events import (
    Alert,
    AlertLevel,
    AlertPhase,
    Event,
    MarketData,
    Order,
    OrderResult,
    OrderStatus,
    OrderType,
    Origin,
    Side,
    Signal,
    topics,
)
from services.kernel.events.ids import make_id
from tests.bus_builders import envelope

ONE = Decimal(1)


class _State(msgspec.Struct):
    handled: int = 0
    past: str = ""


class RelayStage:
    """Turns ticks into signals, signals into orders, orders into results; some inputs into two.

    Every output carries a digest of all inputs so far: one input too many, too few, or in another
    place changes everything that follows.

    Args:
        name: ``cdb_core``, ``cdb_risk`` or ``cdb_execution``.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.topics = topics.CONSUMES[name]
        self.state = _State()

    def handle(self, event: Event) -> list[Event]:
        self.state.handled += 1
        self.state.past = sha256(f"{self.state.past}{event.event_id}".encode()).hexdigest()[:16]
        return [
            make(self._envelope(event, index)) for index, make in enumerate(self._outputs(event))
        ]

    def snapshot(self) -> bytes:
        return msgspec.json.encode(self.state)

    def restore(self, snapshot: bytes) -> None:
        self.state = msgspec.json.decode(snapshot, type=_State)

    def status(self) -> dict[str, object]:
        return {"handled": self.state.handled}

    def _envelope(self, cause: Event, index: int) -> dict[str, Any]:
        return {
            **envelope(make_id(cause.run_id, self.name, cause.event_id, index), self.name),
            "timestamp": cause.timestamp,
            "causation_id": cause.event_id,
            "correlation_id": self.state.past,
        }

    def _outputs(self, event: Event) -> list[Callable[[dict[str, Any]], Event]]:
        if isinstance(event, MarketData):
            number = int(event.trade_id or 0)
            divisor, makes = _ON_TICKS[self.name]
            return makes if number % divisor == 0 else []
        return _ON_EVENTS.get((self.name, type(event)), [])


def fifo(inputs: Iterable[Event], stages: Iterable[RelayStage] | None = None) -> list[Event]:
    """The one-process queue: every input and every output, in the order of the kernel.

    Per event execution, then risk, then core; what they make goes to the end of the queue.
    """
    wired = list(stages or (RelayStage(name) for name in topics.STAGE_ORDER))
    order: list[Event] = []
    for given in inputs:
        queue = deque([given])
        while queue:
            event = queue.popleft()
            order.append(event)
            for stage in wired:
                if event.TOPIC in stage.topics:
                    queue.extend(stage.handle(event))
    return order


def _signal(fields: dict[str, Any]) -> Event:
    return Signal(
        **fields,
        signal_id=fields["event_id"],
        symbol="BTC_USDT",
        direction=Side.BUY,
        strength=ONE,
        price=ONE,
        reason="test",
        indicators={},
        reduce_only=False,
        strategy_id="relay",
    )


def _order(fields: dict[str, Any]) -> Event:
    return Order(
        **fields,
        order_id=fields["event_id"],
        signal_id=None,
        origin=Origin.SIGNAL,
        symbol="BTC_USDT",
        side=Side.BUY,
        quantity=ONE,
        price=ONE,
        order_type=OrderType.MARKET,
        reduce_only=False,
        stop_loss_price=None,
        leverage=ONE,
        approved_by=None,
        risk_checks={},
    )


def _result(fields: dict[str, Any]) -> Event:
    return OrderResult(
        **fields,
        order_id=fields["event_id"],
        signal_id=None,
        origin=Origin.SIGNAL,
        status=OrderStatus.FILLED,
        symbol="BTC_USDT",
        side=Side.BUY,
        reduce_only=False,
        quantity=ONE,
        filled_quantity=ONE,
        filled_price=ONE,
        slippage_bps=None,
        fees=ONE,
        liquidity=None,
        stop_loss_price=None,
        leverage=ONE,
        reason=None,
        latency_ms=None,
        fill={},
    )


def _alert(fields: dict[str, Any]) -> Event:
    return Alert(
        **fields,
        level=AlertLevel.INFO,
        code="TEST",
        message="test",
        symbol=None,
        layer=None,
        phase=AlertPhase.BEGAN,
        count=1,
        context={},
    )


_ON_TICKS = {
    topics.CORE: (3, [_signal]),
    topics.RISK: (5, [_order]),
    topics.EXECUTION: (4, [_result, _result]),
}
_ON_EVENTS = {
    (topics.RISK, Signal): [_order, _alert],
    (topics.RISK, OrderResult): [_alert],
    (topics.EXECUTION, Order): [_result],
}
