"""The signal stage: market data in, what the strategy wants out."""

from collections.abc import Callable
from typing import ClassVar

import msgspec
from msgspec import Struct

from services.kernel import topics
from services.kernel.emitter import Emitter
from services.kernel.events import Event, MarketData, RunStarted, Signal
from services.kernel.settings import TradingSettings
from services.kernel.strategies import Momentum, Strategy


class _SignalState(Struct, kw_only=True):
    run_id: str
    settings: dict[str, str]
    strategy: msgspec.Raw


class SignalStage:
    """Feeds every tick to the strategy and publishes its intents as signals."""

    name: ClassVar[str] = topics.CORE
    topics: ClassVar[frozenset[str]] = topics.CONSUMES[topics.CORE]

    def __init__(self, make_strategy: Callable[[TradingSettings], Strategy] = Momentum) -> None:
        self._make_strategy = make_strategy
        self._emitter = Emitter(self.name)
        self._settings: dict[str, str] = {}
        self._strategy: Strategy | None = None

    def handle(self, event: Event) -> list[Event]:
        """Take one event; before ``run_started`` all others are ignored."""
        self._emitter.begin(event)
        if isinstance(event, MarketData):
            if self._strategy is not None:
                self._on_tick(self._strategy, event)
        elif isinstance(event, RunStarted):
            self._start(event.run_id, event.settings)
        return self._emitter.outputs()

    def snapshot(self) -> bytes:
        """Settings of the run and the strategy's state."""
        strategy = self._strategy.snapshot() if self._strategy is not None else b"null"
        state = _SignalState(
            run_id=self._emitter.run_id, settings=self._settings, strategy=msgspec.Raw(strategy)
        )
        return msgspec.json.encode(state)

    def restore(self, snapshot: bytes) -> None:
        """Become what `snapshot` was made from."""
        state = msgspec.json.decode(snapshot, type=_SignalState)
        if state.run_id:
            self._start(state.run_id, state.settings).restore(bytes(state.strategy))

    def status(self) -> dict[str, object]:
        """The strategy, and what it says of itself."""
        if self._strategy is None:
            return {"strategy": None}
        return {"strategy": self._strategy.strategy_id, "symbols": self._strategy.status()}

    def _start(self, run_id: str, settings: dict[str, str]) -> Strategy:
        self._emitter.run_id = run_id
        self._settings = settings
        self._strategy = self._make_strategy(TradingSettings.parse(settings)[0])
        return self._strategy

    def _on_tick(self, strategy: Strategy, tick: MarketData) -> None:
        intent = strategy.on_tick(tick)
        if intent is None:
            return
        signal_id = self._emitter.next_id()
        self._emitter.emit(
            Signal,
            correlation_id=signal_id,
            signal_id=signal_id,
            symbol=tick.symbol,
            direction=intent.direction,
            strength=intent.strength,
            price=intent.price,
            reason=intent.reason,
            indicators=intent.indicators,
            reduce_only=intent.reduce_only,
            strategy_id=strategy.strategy_id,
            quantity=intent.quantity,
        )
