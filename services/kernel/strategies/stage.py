"""The signal stage: market data in, what the strategy wants out.

A strategy sees confirmed trades only (`services.kernel.market.prices`): none has to know the rule.
"""

from collections.abc import Callable
from decimal import Decimal
from itertools import islice
from typing import ClassVar

import msgspec
from msgspec import Struct, field

from services.kernel.emitter import Emitter
from services.kernel.events import (
    Clock,
    Condition,
    ConditionName,
    ConditionPhase,
    Event,
    MarketData,
    MarketDataKind,
    OpeningStance,
    RunStarted,
    Signal,
    topics,
)
from services.kernel.market.bars import GRACE_MS, Bar, BarBuilder, interval_ms
from services.kernel.market.prices import Prices
from services.kernel.market.rows import Rows
from services.kernel.settings.model import TradingSettings
from services.kernel.strategies import Intent, Strategy
from services.kernel.strategies.protocol import Quiet
from services.kernel.strategies.registry import make_strategy

INTERVAL, DEFAULT_INTERVAL = "INTERVAL", "1m"


class _SymbolTrades(Struct, kw_only=True):
    """One symbol's trades on their way to the strategy."""

    bars: BarBuilder
    prices: Prices = field(default_factory=Prices)


class _SignalState(Struct, kw_only=True):
    run_id: str
    settings: dict[str, str]
    strategy: msgspec.Raw
    symbols: dict[str, _SymbolTrades] = {}
    bars_closed: int = 0
    bars_revised: int = 0
    stances: tuple[OpeningStance, ...] = ()


class SignalStage:
    """Feeds ticks and bars to the strategy and publishes its intents as signals."""

    name: ClassVar[str] = topics.CORE
    topics: ClassVar[frozenset[str]] = topics.CONSUMES[topics.CORE]

    def __init__(self, make: Callable[[TradingSettings], Strategy] = make_strategy) -> None:
        self._make_strategy = make
        self._emitter = Emitter(self.name)
        self._settings: dict[str, str] = {}
        self._strategy: Strategy | None = None
        self._max_jump, self._stale_ms = Decimal(0), 0
        self._length_ms = interval_ms(DEFAULT_INTERVAL)
        self._symbols: dict[str, _SymbolTrades] = {}
        self._closed = self._revised = 0
        self._stances: tuple[OpeningStance, ...] = ()

    def handle(self, event: Event) -> list[Event]:
        """Take one event; before ``run_started`` all others are ignored."""
        self._emitter.begin(event)
        if isinstance(event, MarketData):
            if self._strategy is not None:
                self._on_tick(self._strategy, event)
        elif isinstance(event, Clock):
            if self._strategy is not None:
                self._on_clock(self._strategy, event.timestamp)
        elif isinstance(event, Condition):
            if self._strategy is not None and event.name is ConditionName.DATA_GAP:
                self._on_gap(event)
        elif isinstance(event, RunStarted):
            self._start(event.run_id, event.settings)
            self._stances = event.account.stances
        return self._emitter.outputs()

    def advance(self, rows: Rows, row: int, upto: int) -> int:
        """Take quiet rows from ``row`` on, and stop before one on which the strategy may act.

        The strategy reads no bars, so bars are not kept over these rows.

        Returns:
            The first row that was not taken, at most ``upto``.
        """
        strategy, row_reached = self._strategy, row
        if not isinstance(strategy, Quiet) or self._stances:
            return row
        if any(not known.prices.awaits_nothing for known in self._symbols.values()):
            return row
        for event in islice(rows.events, row, upto):
            if type(event) is MarketData and not strategy.take_quietly(event):
                break
            row_reached += 1
        for symbol, trades in rows.trades(row, row_reached):
            self._symbols[symbol].prices.skip(trades)
        return row_reached

    def snapshot(self) -> bytes:
        """Settings of the run and the strategy's state."""
        strategy = self._strategy.snapshot() if self._strategy is not None else b"null"
        state = _SignalState(
            run_id=self._emitter.run_id,
            settings=self._settings,
            strategy=msgspec.Raw(strategy),
            symbols=self._symbols,
            bars_closed=self._closed,
            bars_revised=self._revised,
            stances=self._stances,
        )
        return msgspec.json.encode(state)

    def restore(self, snapshot: bytes) -> None:
        """Become what `snapshot` was made from."""
        state = msgspec.json.decode(snapshot, type=_SignalState)
        if state.run_id:
            self._start(state.run_id, state.settings).restore(bytes(state.strategy))
            self._symbols = state.symbols
            self._closed, self._revised = state.bars_closed, state.bars_revised
            self._stances = state.stances

    def status(self) -> dict[str, object]:
        """The strategy, what it says of itself, and how many bars it was given."""
        if self._strategy is None:
            return {"strategy": None}
        return {
            "strategy": self._strategy.strategy_id,
            "symbols": self._strategy.status(),
            "bars": {
                "length_ms": self._length_ms,
                "closed": self._closed,
                "revised": self._revised,
                "too_late": sum(known.bars.too_late for known in self._symbols.values()),
            },
        }

    def _start(self, run_id: str, settings: dict[str, str]) -> Strategy:
        self._emitter.run_id = run_id
        self._settings = settings
        trading = TradingSettings.parse(settings)[0]
        self._max_jump = trading.max_price_jump_pct
        self._stale_ms = trading.data_stale_timeout_sec * 1000
        self._strategy = self._make_strategy(trading)
        self._length_ms = interval_ms(settings.get(INTERVAL) or DEFAULT_INTERVAL)
        self._symbols = {}
        self._closed = self._revised = 0
        return self._strategy

    def _on_tick(self, strategy: Strategy, tick: MarketData) -> None:
        known = self._of(tick.symbol)
        counted = known.prices.on_tick(tick, self._max_jump, self._stale_ms)
        if tick.kind is not MarketDataKind.TRADE:
            for trade in counted:
                self._take(strategy, known.bars, trade)
            self._ask(strategy, tick)
            return
        for trade in counted:
            if trade is not tick:  # it waited for this one
                self._take(strategy, known.bars, trade)
        due = known.bars.due_at
        # Only what happens now proves that a span is over.
        if due is not None and not tick.backfill and tick.timestamp >= due:
            self._close_bars(strategy, known, tick.timestamp)
        if counted and counted[-1] is tick:
            self._take(strategy, known.bars, tick)

    def _take(self, strategy: Strategy, bars: BarBuilder, trade: MarketData) -> None:
        """A trade is confirmed or voided: bars and strategy get it."""
        volume = trade.volume
        if volume is not None:
            if trade.price is None:
                bars.add_volume(trade.timestamp, volume, trade.backfill)
            else:
                bars.add(trade.timestamp, trade.price, volume, trade.backfill)
        self._ask(strategy, trade)

    def _ask(self, strategy: Strategy, tick: MarketData) -> None:
        intent = strategy.on_tick(tick)
        if intent is not None:
            self._publish(strategy, tick.symbol, intent)

    def _on_clock(self, strategy: Strategy, now: int) -> None:
        if self._stances:  # the run's first clock
            sides = {s.symbol: s.side for s in self._stances if s.side is not None}
            rests = {s.symbol: now + s.rest_ms for s in self._stances if s.rest_ms}
            strategy.seed(sides, rests)
            self._stances = ()
        for known in self._symbols.values():
            for trade in known.prices.on_clock(now, self._stale_ms):
                self._take(strategy, known.bars, trade)
            bars = known.bars
            if bars.due_at is not None and now >= bars.due_at:
                self._close_bars(strategy, known, now)
            if bars.revised:
                self._hand_over(strategy, bars.revisions(), now)

    def _close_bars(self, strategy: Strategy, known: _SymbolTrades, now: int) -> None:
        """Hand over what is over; a bar waits for a print in it that is not confirmed yet."""
        waiting = known.prices.unconfirmed
        upto = None if waiting is None else waiting.timestamp
        self._hand_over(strategy, known.bars.close(now, upto), now)

    def _on_gap(self, gap: Condition) -> None:
        """A hole in a symbol's data began, or is filled as far as it could be."""
        symbols = list(self._symbols) if gap.symbol is None else [gap.symbol]
        for symbol in symbols:
            bars = self._of(symbol).bars
            bars.held = gap.phase is ConditionPhase.BEGAN
            if gap.lost_from is not None and gap.lost_to is not None:
                bars.lose(gap.lost_from, gap.lost_to)

    def _of(self, symbol: str) -> _SymbolTrades:
        known = self._symbols.get(symbol)
        if known is None:
            bars = BarBuilder(symbol=symbol, length_ms=self._length_ms)
            known = self._symbols[symbol] = _SymbolTrades(bars=bars)
        return known

    def _hand_over(self, strategy: Strategy, bars: list[Bar], now: int) -> None:
        """Give the strategy its bars; only one that is news may trigger something."""
        for bar in bars:
            if bar.revision:
                self._revised += 1
            else:
                self._closed += 1
            intent = strategy.on_bar(bar)
            waited = now - bar.end > bar.length_ms + GRACE_MS  # for the end of a gap
            if intent is not None and not (bar.revision or bar.backfilled or waited):
                self._publish(strategy, bar.symbol, intent)

    def _publish(self, strategy: Strategy, symbol: str, intent: Intent) -> None:
        signal_id = self._emitter.next_id()
        self._emitter.emit(
            Signal,
            correlation_id=signal_id,
            signal_id=signal_id,
            symbol=symbol,
            direction=intent.direction,
            strength=intent.strength,
            price=intent.price,
            reason=intent.reason,
            indicators=intent.indicators,
            reduce_only=intent.reduce_only,
            strategy_id=strategy.strategy_id,
            quantity=intent.quantity,
            order_type=intent.order_type,
            limit_price=intent.limit_price,
            trigger_price=intent.trigger_price,
            time_in_force=intent.time_in_force,
            post_only=intent.post_only,
        )
