"""A trading desk for tests: the stages in one process, fed by a few verbs in event time."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from services.kernel.events import (
    Alert,
    Event,
    MarketData,
    OpeningAccount,
    Order,
    OrderResult,
    RiskDecision,
    Side,
    TradingStateChanged,
    Verdict,
    codec,
)
from services.kernel.execution.stage import ExecutionStage
from services.kernel.instruments.contracts import Instrument
from services.kernel.pipeline import Pipeline
from services.kernel.portfolio.stage import PortfolioStage
from services.kernel.risk.stage import RiskStage
from services.kernel.stage import Stage
from tests import builders
from tests.builders import BTC, NOON, Number

SECOND_MS = 1000


class Desk:
    """Risk, execution and the orchestrator's fold; the test plays market, strategy and operator.

    Time begins at noon and goes on by `wait`; `trade` and `quote` happen now. A run has started,
    contracts are known and the first clock has come.
    """

    def __init__(
        self,
        settings: dict[str, str] | None = None,
        *,
        contracts: Iterable[Instrument] = (),
        symbols: Iterable[str] = (BTC,),
        opening: OpeningAccount | None = None,
        now: int = NOON,
        source: str = "replay",
    ) -> None:
        self.execution = ExecutionStage()
        self.risk = RiskStage()
        self.portfolio = PortfolioStage()
        self.stages: tuple[Stage, ...] = (self.execution, self.risk, self.portfolio)
        self.pipeline = Pipeline(self.stages)
        self.events: list[Event] = []
        self.now = now
        known = tuple(contracts) or tuple(map(builders.instrument, symbols))
        self.feed(builders.run_started(settings, opening=opening, at=now, source=source))
        self.feed(builders.instruments(*known, at=now))
        self.feed(builders.clock(now))

    def feed(self, event: Event) -> list[Event]:
        """Publish an event; returns everything it led to, itself not included.

        What is published can be read again and is then the same: no field has a wrong type.
        """
        led_to = list(self.pipeline.feed(event))[1:]
        for published in led_to:
            assert codec.decode(codec.encode(published)) == published
        self.events.extend(led_to)
        return led_to

    def wait(self, seconds: int, *, step: int = 1) -> list[Event]:
        """Let time go by, with a clock every ``step`` seconds."""
        led_to: list[Event] = []
        for _ in range(0, seconds, step):
            self.now += step * SECOND_MS
            led_to += self.feed(builders.clock(self.now))
        return led_to

    def trade(self, price: Number, symbol: str = BTC, volume: Number = 1000) -> list[Event]:
        """A trade happens now."""
        return self.feed(builders.trade(symbol, price, self.now, volume))

    def quote(self, bid: Number, ask: Number, symbol: str = BTC) -> list[Event]:
        """Best bid and ask change now."""
        return self.feed(builders.quote(symbol, bid, ask, self.now))

    def ticks(self, *events: MarketData) -> list[Event]:
        """These observations, one after the other."""
        return [led_to for event in events for led_to in self.feed(event)]

    def signal(
        self,
        price: Number,
        side: Side = Side.BUY,
        symbol: str = BTC,
        quantity: Number | None = None,
        **terms: Any,
    ) -> RiskDecision:
        """The strategy wants to enter now; returns risk's decision."""
        self.feed(builders.signal(symbol, side, price, self.now, quantity=quantity, **terms))
        return self.decisions[-1]

    def exit_signal(
        self,
        price: Number,
        side: Side = Side.SELL,
        symbol: str = BTC,
        quantity: Number | None = None,
        **terms: Any,
    ) -> RiskDecision:
        """The strategy wants to leave now; returns risk's decision."""
        terms |= {"quantity": quantity, "reduce_only": True}
        self.feed(builders.signal(symbol, side, price, self.now, **terms))
        return self.decisions[-1]

    def enter(
        self,
        price: Number = 100,
        side: Side = Side.BUY,
        symbol: str = BTC,
        quantity: Number | None = None,
    ) -> OrderResult:
        """A whole entry: tick, signal, and the tick that fills it; returns the fill."""
        self.trade(price, symbol)
        decision = self.signal(price, side, symbol, quantity)
        assert decision.verdict is not Verdict.REJECTED, decision.reason
        self.wait(1)
        self.trade(price, symbol)
        return self.results[-1]

    @property
    def decisions(self) -> list[RiskDecision]:
        return builders.of_type(self.events, RiskDecision)

    @property
    def orders(self) -> list[Order]:
        return builders.of_type(self.events, Order)

    @property
    def results(self) -> list[OrderResult]:
        return builders.of_type(self.events, OrderResult)

    @property
    def alerts(self) -> list[Alert]:
        return builders.of_type(self.events, Alert)

    @property
    def states(self) -> list[TradingStateChanged]:
        return builders.of_type(self.events, TradingStateChanged)

    def alerts_of(self, code: str) -> list[Alert]:
        return [alert for alert in self.alerts if alert.code == code]

    def position(self, symbol: str = BTC) -> Decimal:
        """Signed open quantity, as the orchestrator's fold sees it."""
        return self.portfolio.portfolio.quantity(symbol)

    @property
    def equity(self) -> Decimal:
        return self.portfolio.portfolio.equity
