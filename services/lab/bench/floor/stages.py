"""The benchmark's floor: the same bus, services and hops, with handlers that only pass on.

`python -m services.lab.bench.floor.core` runs in the place of cdb_core, its neighbours in those of
cdb_risk and cdb_execution: every 500th trade becomes a signal, a signal a decision and an order,
and the next trade of the order's symbol its result. Nothing is decided, counted or marked.
"""

from decimal import Decimal
from typing import ClassVar

import msgspec
from msgspec import Struct

from services.kernel.emitter import Emitter
from services.kernel.events import (
    Event,
    MarketData,
    Order,
    OrderResult,
    OrderStatus,
    OrderType,
    Origin,
    RiskDecision,
    RunStarted,
    Side,
    Signal,
    TradingState,
    Verdict,
    topics,
)
from services.runtime.consumer.stage_worker import StageWorker
from services.runtime.service.shell import run

TICKS_PER_SIGNAL = 500
ONE = Decimal(1)


class _State(Struct):
    run_id: str = ""
    ticks: int = 0
    waiting: str | None = None


class PassThrough:
    """What the three stages have in common: a run, a counter, and nothing else."""

    name: ClassVar[str]
    topics: ClassVar[frozenset[str]]

    def __init__(self) -> None:
        self._state = _State()
        self._emitter = Emitter(self.name)

    def handle(self, event: Event) -> list[Event]:
        """Pass on what is this stage's to pass on."""
        if isinstance(event, RunStarted):
            self._state = _State(run_id=event.run_id)
            self._emitter.run_id = event.run_id
        return []

    def snapshot(self) -> bytes:
        """The state as JSON."""
        return msgspec.json.encode(self._state)

    def restore(self, snapshot: bytes) -> None:
        """Become what `snapshot` was made from."""
        self._state = msgspec.json.decode(snapshot, type=_State)
        self._emitter.run_id = self._state.run_id

    def status(self) -> dict[str, object]:
        """The counter."""
        return {"ticks": self._state.ticks}


class PassCore(PassThrough):
    """Every 500th trade becomes a signal."""

    name: ClassVar[str] = topics.CORE
    topics: ClassVar[frozenset[str]] = topics.CONSUMES[topics.CORE]

    def handle(self, event: Event) -> list[Event]:
        """Count trades."""
        if not isinstance(event, MarketData):
            return super().handle(event)
        self._state.ticks += 1
        if self._state.ticks % TICKS_PER_SIGNAL or event.price is None:
            return []
        self._emitter.begin(event)
        signal_id = self._emitter.next_id()
        self._emitter.emit(
            Signal,
            correlation_id=signal_id,
            signal_id=signal_id,
            symbol=event.symbol,
            direction=Side.BUY,
            strength=ONE,
            price=event.price,
            reason="floor",
            indicators={},
            reduce_only=False,
            strategy_id="floor",
        )
        return self._emitter.outputs()


class PassRisk(PassThrough):
    """A signal becomes a decision and an order."""

    name: ClassVar[str] = topics.RISK
    topics: ClassVar[frozenset[str]] = topics.CONSUMES[topics.RISK]

    def handle(self, event: Event) -> list[Event]:
        """Approve."""
        if not isinstance(event, Signal):
            return super().handle(event)
        self._emitter.begin(event)
        decision_id, order_id = self._emitter.next_id(), self._emitter.id_after_next()
        self._emitter.emit(
            RiskDecision,
            decision_id=decision_id,
            signal_id=event.signal_id,
            order_id=order_id,
            origin=Origin.SIGNAL,
            symbol=event.symbol,
            side=event.direction,
            reduce_only=False,
            verdict=Verdict.APPROVED,
            reason=None,
            binding_limit=None,
            requested_quantity=ONE,
            quantity=ONE,
            price=event.price,
            stop_loss_price=None,
            leverage=ONE,
            equity=ONE,
            trading_state=TradingState.ACTIVE,
            sizing={},
            layers=(),
        )
        self._emitter.emit(
            Order,
            order_id=order_id,
            signal_id=event.signal_id,
            origin=Origin.SIGNAL,
            symbol=event.symbol,
            side=event.direction,
            quantity=ONE,
            price=event.price,
            order_type=OrderType.MARKET,
            reduce_only=False,
            stop_loss_price=None,
            leverage=ONE,
            approved_by=decision_id,
            risk_checks={},
        )
        return self._emitter.outputs()


class PassExecution(PassThrough):
    """The next trade of an order's symbol is its result, without a fill."""

    name: ClassVar[str] = topics.EXECUTION
    topics: ClassVar[frozenset[str]] = topics.CONSUMES[topics.EXECUTION]

    def __init__(self) -> None:
        super().__init__()
        self._order: Order | None = None

    def handle(self, event: Event) -> list[Event]:
        """Answer an order with the next trade."""
        if isinstance(event, Order):
            self._order = event
            return []
        order = self._order
        if not isinstance(event, MarketData) or order is None or event.symbol != order.symbol:
            return super().handle(event)
        self._order = None
        self._emitter.begin(event)
        self._emitter.emit(
            OrderResult,
            correlation_id=order.correlation_id,
            order_id=order.order_id,
            signal_id=order.signal_id,
            origin=order.origin,
            status=OrderStatus.CANCELLED,
            symbol=order.symbol,
            side=order.side,
            reduce_only=False,
            quantity=order.quantity,
            filled_quantity=Decimal(0),
            filled_price=None,
            slippage_bps=None,
            fees=Decimal(0),
            liquidity=None,
            stop_loss_price=None,
            leverage=ONE,
            reason="floor",
            latency_ms=0,
            fill={},
        )
        return self._emitter.outputs()


STAGES = {stage.name: stage for stage in (PassCore, PassRisk, PassExecution)}


def main(service: str) -> int:
    """Run until SIGTERM; returns the exit code."""
    return run(service, lambda shell: StageWorker(shell, STAGES[service]()))
