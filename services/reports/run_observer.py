"""Gathers a run's facts from its events: the same for a backtest and for a recorded paper run."""

from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar

from services.kernel.events import (
    Clock,
    Event,
    Instruments,
    MarketData,
    MarketDataKind,
    Order,
    OrderResult,
    PortfolioSnapshot,
    Reset,
    RiskDecision,
    RunEnded,
    RunStarted,
    Signal,
    TradingStateChanged,
    codec,
    topics,
)
from services.kernel.instruments.contracts import Instrument
from services.kernel.market.rows import Rows
from services.kernel.portfolio.portfolio import ClosedTrade, Portfolio
from services.kernel.portfolio.stage import PortfolioStage
from services.reports.decisions_hash import DECISION_TOPICS, decisions_hash
from services.reports.run_facts import (
    AccountPoint,
    Candle,
    ClosingFill,
    RunFacts,
    StopPoint,
    SymbolFacts,
)

MS_PER_MINUTE = 60_000


class RunObserver:
    """Reads every topic and publishes nothing. Feed it each event after the portfolio has it.

    Args:
        portfolio: The fold of the same events.
        engine: What ran the stages.

    Attributes:
        ticks: Market data events so far.
        now: Time of the newest tick, Unix ms; 0 before the first.
    """

    topics: ClassVar[frozenset[str]] = frozenset(topics.TOPICS)

    def __init__(self, portfolio: PortfolioStage, engine: str) -> None:
        self.ticks = 0
        self.now = 0
        self._portfolio = portfolio
        self._engine = engine
        self._facts: RunFacts | None = None
        self._markets: dict[str, _Market] = {}
        self._stops: dict[str, Decimal | None] = {}
        self._bodies: dict[str, list[str]] = defaultdict(list)
        self._first = self._seq = 0
        self._handlers: dict[type[Event], Callable[[Any], None]] = {
            MarketData: self._on_tick,
            Clock: self._on_clock,
            RunStarted: self._on_started,
            RunEnded: self._on_ended,
            Instruments: self._on_instruments,
            Reset: self._on_reset,
            PortfolioSnapshot: self._on_snapshot,
            OrderResult: self._on_result,
        }

    @property
    def portfolio(self) -> Portfolio:
        """The account as it is now."""
        return self._portfolio.portfolio

    def handle(self, event: Event) -> list[Event]:
        """Take one event; never answers."""
        self.see(event)
        return []

    def see(self, event: Event, body: bytes | None = None) -> None:
        """Take one event.

        Args:
            event: In total order.
            body: As it was published, where that is known; else it is encoded again.
        """
        self._seq = event.seq
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)
        if event.TOPIC in DECISION_TOPICS:
            text = codec.encode(event) if body is None else body
            self._bodies[event.TOPIC].append(text.decode())

    def advance(self, rows: Rows, row: int, upto: int, minutes: list[int]) -> None:
        """Take quiet rows from ``row`` to before ``upto``.

        Args:
            rows: Of the market.
            row: The first one.
            upto: The one after the last.
            minutes: Times of the clocks at which a snapshot of the account was due.
        """
        for _, trades in rows.trades(row, upto):
            for trade in trades:
                self._on_tick(trade)
        equity = self.portfolio.equity
        self._known.account.extend(AccountPoint(at, equity, Decimal(0)) for at in minutes)

    def facts(self) -> RunFacts:
        """What the run came to so far."""
        known = self._known
        known.ticks, known.last_seq = self.ticks, self._seq
        if self.ticks:
            known.first_tick, known.last_tick = self._first, self.now
        for symbol, market in self._markets.items():
            known.symbols[symbol] = market.facts()
        known.decisions_hash = decisions_hash(self._bodies)
        return known

    @property
    def _known(self) -> RunFacts:
        assert self._facts is not None, "a run begins with run_started"
        return self._facts

    def _on_started(self, event: RunStarted) -> None:
        self._facts = known = RunFacts(started=event, engine=self._engine)
        self._handlers |= {
            Signal: known.signals.append,
            RiskDecision: known.decisions.append,
            TradingStateChanged: known.states.append,
            Order: known.orders.append,
        }

    def _on_ended(self, event: RunEnded) -> None:
        self._known.ended = event.reason

    def _on_instruments(self, event: Instruments) -> None:
        for contract in event.instruments:
            market = self._markets.get(contract.symbol)
            if market is None:
                self._markets[contract.symbol] = _Market(contract)
            else:
                market.contract = contract

    def _on_tick(self, event: MarketData) -> None:
        self.ticks += 1
        timestamp = event.timestamp
        if timestamp > self.now:
            self.now = timestamp
            if not self._first:
                self._first = timestamp
        market = self._markets.get(event.symbol)
        if market is not None:
            market.see(event, timestamp)

    def _on_clock(self, _: Clock) -> None:
        for effect in self._portfolio.effects:
            assert not isinstance(effect, ClosedTrade), "only a fill closes"
            self._known.payments.append(effect)

    def _on_reset(self, event: Reset) -> None:
        self._known.resets[event.event_id] = event.reason

    def _on_result(self, event: OrderResult) -> None:
        known = self._known
        known.results.append(event)
        for effect in self._portfolio.effects:
            assert isinstance(effect, ClosedTrade), "only a clock settles funding"
            known.trades.append(ClosingFill(event.event_id, effect))
        if event.filled_quantity > 0:
            self._note_stop(event.timestamp, event.symbol)

    def _on_snapshot(self, event: PortfolioSnapshot) -> None:
        known = self._known
        known.last = event
        known.account.append(AccountPoint(event.timestamp, event.equity, event.gross_exposure))
        for position in event.positions:
            self._note_stop(event.timestamp, position.symbol)

    def _note_stop(self, at: int, symbol: str) -> None:
        position = self.portfolio.state.positions.get(symbol)
        stop = None if position is None else position.stop_loss_price
        if self._stops.get(symbol) != stop:
            self._stops[symbol] = stop
            self._known.stops.append(StopPoint(at, symbol, stop))


class _Market:
    """One symbol's ticks, on their way to candles."""

    __slots__ = (
        *("_candles", "_close", "_high", "_low", "_minute", "_open", "_point", "_volume"),
        *("contract", "gaps", "kinds", "newest"),
    )

    def __init__(self, contract: Instrument) -> None:
        self.contract = contract
        self.kinds: set[str] = set()
        self.gaps: dict[int, int] = {}
        self.newest = 0
        self._candles: list[Candle] = []
        self._minute = self._point = 0
        self._open = self._high = self._low = self._close = self._volume = Decimal(0)

    def see(self, event: MarketData, timestamp: int) -> None:
        if not event.backfill:
            self.kinds.add(event.kind)
            if timestamp > self.newest:  # noqa: PLR1730  a call of max costs more
                self.newest = timestamp
            if event.bar is not None:
                gap, self._point = timestamp - self._point, timestamp
                if 0 < gap < timestamp:
                    self.gaps[gap] = self.gaps.get(gap, 0) + 1
        price = event.price
        if price is None or event.kind is not MarketDataKind.TRADE:
            return
        minute = timestamp // MS_PER_MINUTE
        if minute > self._minute:
            self._flush()
            self._minute = minute
            self._open = self._high = self._low = self._close = price
            self._volume = event.volume or Decimal(0)
            return
        if price > self._high:
            self._high = price
        elif price < self._low:
            self._low = price
        self._close = price
        self._volume += event.volume or 0

    def facts(self) -> SymbolFacts:
        self._flush()
        self._minute = 0
        return SymbolFacts(
            contract=self.contract,
            kinds=self.kinds,
            newest=self.newest,
            point_gaps=self.gaps,
            candles=self._candles,
        )

    def _flush(self) -> None:
        if self._minute:
            prices = (self._open, self._high, self._low, self._close)
            self._candles.append(Candle(self._minute, *prices, self._volume))
